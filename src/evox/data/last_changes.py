"""Last changes: when a name was last changed, for whoever has looked at it before and must know whether it still holds.

The latest are known exactly. Of older ones, and of entries that made room, only the highest version of all that share a
place is kept, so that memory is bounded: one may seem to have changed when another did. A copy is then not
stored, which costs one more load; that a change goes unseen cannot happen.
"""

from array import array
from collections import OrderedDict
from typing import Final

__all__ = ["LastChanges"]

PLACES: Final = 16_384  # 128 KiB; a power of two


class LastChanges:
    """Versions by name.

    Args:
        exact: How many are known exactly.
    """

    def __init__(self, exact: int) -> None:
        self._exact = exact
        self._latest: OrderedDict[str, int] = OrderedDict()
        self._places = array("Q", bytes(8 * PLACES))

    def __repr__(self) -> str:
        return f"<LastChanges {len(self._latest)} exact>"

    def of(self, name: str) -> int:
        """Return the version at which a name was last changed, or a later one; 0 if it never was."""
        return max(self._latest.get(name, 0), self._places[hash(name) & (PLACES - 1)])

    def note(self, name: str, version: int) -> None:
        """Note a change."""
        latest = self._latest
        latest[name] = version
        latest.move_to_end(name)
        if len(latest) > self._exact:
            self.note_roughly(*self._latest.popitem(last=False))

    def note_roughly(self, name: str, version: int) -> None:
        """Note a change of which there may be very many."""
        place = hash(name) & (PLACES - 1)
        self._places[place] = max(self._places[place], version)

    def clear(self, name: str) -> None:
        """Forget what is known exactly of a name: it is held now, with its own version."""
        self._latest.pop(name, None)
