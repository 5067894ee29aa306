"""Timeline: what happened when a runtime started, step by step, and each change of state since, within bounds."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["Moment", "Timeline"]

MOST: Final = 500


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened. ``when`` is wall-clock seconds; ``service`` is empty for the process."""

    when: float
    service: str
    what: str


class Timeline:
    """The moments of one runtime: the first ones for ever, and the last ones.

    Args:
        wall: Wall clock in seconds.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._first: list[Moment] = []
        self._last: deque[Moment] = deque(maxlen=MOST)

    def __repr__(self) -> str:
        return f"<Timeline of {len(self._first) + len(self._last)} moments>"

    def note(self, service: str, what: str, *, when: float | None = None) -> None:
        """Note what has just happened, or has at another time."""
        moment = Moment(self._wall() if when is None else when, service, what)
        if len(self._first) < MOST:
            self._first.append(moment)
        else:
            self._last.append(moment)

    def all(self) -> list[Moment]:
        """Return what was noted, the earliest first."""
        return sorted([*self._first, *self._last], key=lambda one: one.when)
