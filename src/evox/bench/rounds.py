"""Rounds: times several things beside each other, so that what the machine does meanwhile is the same for all.

Rounds are interleaved, each the other way round than the one before, and only what stands in one round is compared;
the median of the rounds counts. Times are of the processor, so that what else the machine does counts less.
"""

import gc
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

__all__ = ["frozen", "interleaved", "uncollected"]


async def interleaved(
    contestants: Mapping[str, Callable[[], Awaitable[object]]], calls: int, rounds: int
) -> dict[str, list[float]]:
    """Return the seconds of one call of each contestant, round by round."""
    for call in contestants.values():
        await _block(call, calls)  # warm
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants.items())
    with uncollected(), frozen():
        for _ in range(rounds):
            gc.collect()
            for name, call in order:
                taken[name].append(await _block(call, calls))
            order.reverse()
    return taken


async def _block(call: Callable[[], Awaitable[object]], calls: int) -> float:
    began = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - began) / calls


@contextmanager
def frozen() -> Iterator[None]:
    """Keep what is there now out of the collector. What was kept out before stays so: all can be let in, or nothing."""
    before = gc.get_freeze_count()
    gc.freeze()
    try:
        yield
    finally:
        if not before:
            gc.unfreeze()


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector out of what is timed, once it has done what there is to do."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
