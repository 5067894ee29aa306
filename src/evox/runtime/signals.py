"""Signals: the first SIGTERM or SIGINT asks for a drain, the second ends the process at once with 130.

Installed once, at the root, by ``evox run`` only; embedding installs none. The handler itself works even when the
loop is blocked: it writes one byte to a socket pair, which wakes either loop, and the second signal needs no loop.

Python runs a handler in the main thread, between two of its instructions. A signal that the kernel hands to another
thread, or that comes in the instant before the loop starts to wait, is only noted, and the loop would sleep on until
its next event. trio and uvloop have Python write to a descriptor they watch; asyncio does so for its own handlers
only, so on asyncio the watch brings such a descriptor.
"""

import asyncio
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
        self._wakeup: _Wakeup | None = None
        self.received: signal.Signals | None = None
        self.on_first: Callable[[], None] | None = None
        self.on_second: Callable[[], None] | None = None

    async def wait(self) -> signal.Signals:
        """Wait for the first signal and return it; until the watch ends, every later one wakes the loop too."""
        if self._wakeup is None:
            self._wakeup = _Wakeup()
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
        """Close the socket pair, and what woke the loop."""
        if self._wakeup is not None:
            self._wakeup.close()
        self._reader.close()
        self._writer.close()


class _Wakeup:
    """Wakes an asyncio loop at any signal, so that Python runs the handler at once; leaves trio's and uvloop's be."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        if before == -1:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._reader, self._reader.recv, 4096)
        else:
            signal.set_wakeup_fd(before, warn_on_full_buffer=False)

    def close(self) -> None:
        """Take the descriptor back, if it was ours."""
        if self._loop is not None:
            signal.set_wakeup_fd(-1)
            if not self._loop.is_closed():
                self._loop.remove_reader(self._reader)
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
