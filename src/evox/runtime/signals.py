"""Signals: the first SIGTERM or SIGINT asks for a drain, the second ends the process at once with 130.

Installed once, at the root, by ``evox run`` only; embedding installs none. The handler itself works even when the
loop is
blocked: it writes one byte to a socket pair, which wakes either loop, and the second signal needs no loop at all.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import anyio

__all__ = ["SignalWatch", "end_if_stuck", "watch_signals"]

SECOND_SIGNAL = 130


class SignalWatch:
    """Waits for the first signal. Made by ``watch_signals``."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.received: signal.Signals | None = None
        self.on_first: Callable[[], None] | None = None
        self.on_second: Callable[[], None] | None = None

    async def wait(self) -> signal.Signals:
        """Wait for the first signal and return it."""
        while self.received is None:
            await anyio.wait_readable(self._reader)
        return self.received

    def handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  the signature is Python's
        """Take a signal: note the first and wake the loop, end the process on the second."""
        if self.received is not None:
            if self.on_second is not None:
                self.on_second()
            os._exit(SECOND_SIGNAL)
        self.received = signal.Signals(number)
        if self.on_first is not None:
            self.on_first()
        self._writer.send(b"\0")

    def close(self) -> None:
        """Close the socket pair."""
        self._reader.close()
        self._writer.close()


@contextmanager
def watch_signals(*numbers: signal.Signals) -> Iterator[SignalWatch]:
    """Take over signals for the time of a ``with`` block; what was installed before is put back.

    Args:
        *numbers: SIGTERM and SIGINT when none are named.

    Raises:
        ValueError: if called outside the main thread, where Python allows no signal handlers.
    """
    watch = SignalWatch()
    before: dict[signal.Signals, Any] = {}
    try:
        for number in numbers or (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, watch.handle)
        yield watch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        watch.close()


def end_if_stuck(after: float, report: Callable[[], int]) -> threading.Timer:
    """Arm a timer in a daemon thread that ends the process when the loop does not.

    Args:
        after: Seconds.
        report: Called in the timer's thread; writes what was stuck and returns the exit code.

    Returns:
        The timer; cancel it when the loop ended by itself.
    """

    def end() -> None:
        code = report()
        os._exit(code)

    timer = threading.Timer(after, end)
    timer.daemon = True
    timer.start()
    return timer
