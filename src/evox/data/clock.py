"""Clock: the monotonic time of the running loop, without asking each time which loop that is."""

from collections.abc import Callable
from typing import Any

import anyio.lowlevel

__all__ = ["loop_clock"]


def loop_clock() -> Callable[[], float]:
    """Return what gives the same as ``anyio.current_time()`` in this loop. Virtual time included."""
    token: Any = anyio.lowlevel.current_token().native_token
    if hasattr(token, "time"):  # asyncio's is the loop itself
        return token.time  # type: ignore[no-any-return]
    import trio  # noqa: PLC0415  only where it runs

    clock: Callable[[], float] = trio.lowlevel.current_clock().current_time
    return clock
