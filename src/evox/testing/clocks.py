"""Clocks: virtual time on trio, where hours pass in milliseconds whenever every task waits."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from trio.testing import MockClock

from evox.runtime import Choice, run

__all__ = ["run_virtual", "virtual_trio"]

T = TypeVar("T")


def virtual_trio() -> tuple[str, dict[str, Any]]:
    """Return an ``anyio_backend`` for pytest: trio, whose clock jumps to the next deadline when all tasks wait.

    Not for tests with real sockets or threads: the clock would jump while they work.
    """
    return "trio", {"clock": MockClock(autojump_threshold=0)}


def run_virtual(main: Callable[[], Awaitable[T]]) -> T:
    """Run an async function on trio with a virtual clock, to its end."""
    return run(Choice("trio", "virtual time"), main, clock=MockClock(autojump_threshold=0))
