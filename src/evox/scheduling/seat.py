"""Seat: the right of one chain of calls to run, from queueing for it to giving it back.

A seat is lent to a chain, not to a function: what the handler calls in the same process runs on it too. Whoever goes
on with the chain's work after it, such as the filling of a cache, shares the seat; it is given back by the last.
"""

from collections.abc import Callable, Hashable
from typing import Protocol

from evox.scheduling.priority import Priority

__all__ = ["Owner", "Seat"]


class Owner(Protocol):
    """What a seat needs of its scheduler."""

    def free(self, seat: "Seat") -> None:
        """Take a seat back, and give its place to whoever is next."""

    def move(self, seat: "Seat", level: Priority) -> bool:
        """Let a seat that is queued for wait in another level."""


class Seat:
    """One seat, queued for or held. Made by ``Scheduler``.

    Attributes:
        level: What the chain counts as, for all that it calls.
        line: The level whose cap it is counted under.
        client: Whose request it is, where clients are limited.
        arrived: When it was asked for, in monotonic seconds.
        on_granted: Called when it is granted after a wait.
        holders: How many hold it; its scheduler makes that 1, others ``share`` and ``release`` it.
    """

    arrived: float = 0.0
    on_granted: Callable[[], object] | None = None
    holders: int = 0

    def __init__(self, owner: Owner, level: Priority, client: Hashable | None) -> None:
        self._owner = owner
        self.level = self.line = level
        self.client = client

    def __repr__(self) -> str:
        return f"<Seat {self.level.label}, {f'{self.holders} on it' if self.holders else 'nobody on it'}>"

    @property
    def live(self) -> bool:
        """Whether it is held."""
        return self.holders > 0

    def grant(self) -> None:
        """Hand it over. Called by the scheduler."""
        self.holders = 1

    def share(self) -> None:
        """Let one more hold it, who releases it too.

        Raises:
            RuntimeError: if nobody holds it any more.
        """
        if not self.holders:
            raise RuntimeError("this seat was given back; only one that is held can be shared")
        self.holders += 1

    def release(self) -> None:
        """Give it back; the last of its holders frees the place.

        Raises:
            RuntimeError: if nobody holds it.
        """
        if not self.holders:
            raise RuntimeError("this seat was given back before, or never granted")
        self.holders = left = self.holders - 1
        if not left:
            self._owner.free(self)

    def boost(self, level: Priority) -> bool:
        """Let the chain count as a higher level from now on: someone of that level waits for what it does.

        While it is queued for, it moves to the end of that level's queue. Once held it stays counted where it was, and
        what its chain calls elsewhere counts as the new level.

        Returns:
            Whether it moved; False if it is as high already, or that level's queue is full.
        """
        if level >= self.level:
            return False
        if self.holders:
            self.level = level
            return True
        return self._owner.move(self, level)
