"""Watching: epoll where there is one, and poll with the same face elsewhere."""

import select
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final, Protocol

__all__ = ["READ", "WRITE", "Watch", "watching"]

READ: Final = select.POLLIN  # the same numbers as epoll's
WRITE: Final = select.POLLOUT


class Watch(Protocol):
    """Says which descriptors are ready."""

    def register(self, descriptor: int, events: int, /) -> None:
        """Watch one."""

    def modify(self, descriptor: int, events: int, /) -> None:
        """Watch it for something else."""

    def unregister(self, descriptor: int, /) -> None:
        """Watch it no more."""

    def poll(self, timeout: float, /) -> list[tuple[int, int]]:
        """Return descriptors and what they are ready for, none after ``timeout`` seconds."""


class _Polled:
    """``poll``, whose times are in milliseconds."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register, self.modify, self.unregister = self._poll.register, self._poll.modify, self._poll.unregister

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        return self._poll.poll(1000 * timeout)


@contextmanager
def watching() -> Iterator[Watch]:
    """Return what this system has."""
    if hasattr(select, "epoll"):
        with closing(select.epoll()) as found:
            yield found
    else:
        yield _Polled()
