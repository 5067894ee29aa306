"""Leaving: closes streams that nobody can read any more, and that nobody has closed.

They are noticed by the garbage collector, in whichever thread that runs, and closed by a task of a service that has
called; those noticed elsewhere wait for the next stream that is opened.
"""

import threading
from collections import deque
from contextlib import suppress

from evox.errors import OutsideRuntime
from evox.service_proxy.streams import Chunks
from evox.services import Running

__all__ = ["Left"]


class Left:
    """The streams of one runtime that were left open."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._running: Running | None = None
        self._waiting: deque[Chunks] = deque()

    def __repr__(self) -> str:
        return f"<Left {len(self._waiting)} streams>"

    def enter(self, running: Running) -> None:
        """Have a service close what is left from now on."""
        self._running = running
        self._close()

    def add(self, chunks: Chunks) -> None:
        """Take a stream. It may be any thread."""
        self._waiting.append(chunks)
        if threading.get_ident() == self._thread:
            self._close()

    def _close(self) -> None:
        while self._waiting and self._running is not None:
            chunks = self._waiting.popleft()
            with suppress(OutsideRuntime, RuntimeError):  # it has ended, and its connections with it
                self._running.spawn(chunks.aclose, name="a stream that was left")
