"""Sources: those that fail, some of them by name and all others as one: a source of a thousand keys is one trouble.

It only decides under which subject an incident of a source is noted, and when that one is over.
"""

from collections.abc import Callable
from typing import Final

__all__ = ["OTHERS", "Sources"]

NAMED: Final = 10
OTHERS: Final = "(others)"


class Sources:
    """The failing sources of one service.

    Args:
        goes_on: Whether the incident of a subject still goes on; one that has settled makes room for another.
    """

    def __init__(self, goes_on: Callable[[str], bool]) -> None:
        self._goes_on = goes_on
        self._named: set[str] = set()
        self._others: set[str] = set()  # bounded by whoever tells of them

    def __repr__(self) -> str:
        return f"<Sources: {len(self._named)} named, {len(self._others)} others>"

    def failed(self, key: str) -> tuple[str, int]:
        """Return the subject under which it is noted, and for how many sources that stands."""
        if key not in self._named and len(self._named) >= NAMED:
            self._named = {one for one in self._named if self._goes_on(one)}
        if key in self._named or len(self._named) < NAMED:
            self._named.add(key)
            self._others.discard(key)
            return key, 1
        self._others.add(key)
        return OTHERS, len(self._others)

    def recovered(self, key: str) -> str | None:
        """Return the subject of which it is over now; None if it goes on for others."""
        if key in self._named:
            self._named.discard(key)
            return key
        self._others.discard(key)
        return None if self._others else OTHERS

    def clear(self) -> None:
        """Forget all of them: the service has another life."""
        self._named.clear()
        self._others.clear()
