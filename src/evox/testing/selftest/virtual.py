"""Virtual time on the loop of the project: where all wait, the clock jumps to what is next.

On trio that is its own clock for tests. For asyncio it is a loop whose selector does not wait, but remembers how long
it would have. Not for sockets or threads: the clock would jump while they work.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import anyio

from evox.testing.clocks import virtual_clock

__all__ = ["run_in_virtual_time"]

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Finds what is ready now; a wait for more is counted and not made."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None and timeout > 0:
            self.waited += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    """A loop whose time is what it would have waited."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.waited


def run_in_virtual_time(backend: Literal["trio", "asyncio"], main: Callable[[], Awaitable[T]]) -> T:
    """Run an async function to its end on a loop with a virtual clock.

    Args:
        backend: Which kind of loop.
        main: The function.
    """
    options: dict[str, Any] = {"clock": virtual_clock()} if backend == "trio" else {"loop_factory": _Loop}
    return anyio.run(main, backend=backend, backend_options=options)
