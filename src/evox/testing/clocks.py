"""Clocks: virtual time on trio, where hours pass in milliseconds whenever every task waits."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from trio.testing import MockClock

from evox.data.backends.sqlite_connection import SQLiteConnection
from evox.runtime import Choice, in_threads, run

__all__ = ["run_virtual", "virtual_clock", "virtual_trio"]

T = TypeVar("T")
PATIENCE: Final = 0.0002  # real seconds after which a thread is looked at again


def virtual_clock() -> MockClock:
    """Return a clock that jumps to the next deadline when all tasks wait, but not while a thread of ours works for one.

    A statement of SQLite takes no virtual time then, as everything else that is computed.
    """
    clock = MockClock(autojump_threshold=0)
    jump = clock._autojump  # noqa: SLF001  it has no other place to say so, and lets nobody derive from it

    def unless_a_thread_works() -> None:
        if SQLiteConnection.waiting or in_threads():
            time.sleep(PATIENCE)
        else:
            jump()

    clock._autojump = unless_a_thread_works  # type: ignore[method-assign]  # noqa: SLF001
    return clock


def virtual_trio() -> tuple[str, dict[str, Any]]:
    """Return an ``anyio_backend`` for pytest: trio, whose clock jumps to the next deadline when all tasks wait.

    It stands still while SQLite works, for ``inject.db()`` and for data, and while sync hooks and background tasks do.
    Not for tests with real sockets: the clock would jump while they work.
    """
    return "trio", {"clock": virtual_clock()}


def run_virtual(main: Callable[[], Awaitable[T]]) -> T:
    """Run an async function on trio with a virtual clock, to its end; see ``virtual_trio``."""
    return run(Choice("trio", "virtual time"), main, clock=virtual_clock())
