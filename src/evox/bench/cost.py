"""Cost: what one admission takes, beside the capacity limiters of anyio and trio, in one run.

Rounds are interleaved and the best of each is kept, so that a busy machine slows all of them alike. Numbers are
microseconds, and only their ratios mean anything on another machine.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import anyio
import anyio.lowlevel
import trio

from evox.config import PrioritySettings
from evox.runtime import on_trio
from evox.scheduling import Priority, Scheduler

__all__ = ["DEPTH", "Cost", "measure"]

ROUNDS: Final = 7
CALLS: Final = 2000
DEPTH: Final = 5000
Backend: TypeAlias = Literal["trio", "asyncio"]
_Timed: TypeAlias = Callable[[int], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of one acquire and release. ``ratio`` is to the anyio limiter of the same run."""

    name: str
    microseconds: float
    ratio: float


async def measure(*, calls: int = CALLS, rounds: int = ROUNDS) -> list[Cost]:
    """Measure in the current loop.

    Args:
        calls: Admissions timed together.
        rounds: How often, of which the best counts.
    """
    contestants: dict[str, _Timed] = {"anyio.CapacityLimiter": _anyio_limiter}
    if on_trio():
        contestants["trio.CapacityLimiter"] = _trio_limiter
    contestants |= {
        "Scheduler, a seat is free": _free,
        "Scheduler, each waits for the one before": _contended,
        "anyio.CapacityLimiter, each waits for the one before": _contended_limiter,
        "Scheduler, HIGH beside an empty LOW queue": _beside(0),
        f"Scheduler, HIGH beside {DEPTH} waiting LOW": _beside(DEPTH),
    }
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(rounds):
        for name, timed in contestants.items():
            best[name] = min(best[name], await timed(calls))
    base = best["anyio.CapacityLimiter"]
    return [Cost(name, 1e6 * took, took / base) for name, took in best.items()]


async def _anyio_limiter(calls: int) -> float:
    limiter = anyio.CapacityLimiter(10)
    began = time.perf_counter()
    for _ in range(calls):
        await limiter.acquire()
        limiter.release()
    return (time.perf_counter() - began) / calls


async def _trio_limiter(calls: int) -> float:
    limiter = trio.CapacityLimiter(10)
    began = time.perf_counter()
    for _ in range(calls):
        await limiter.acquire()
        limiter.release()
    return (time.perf_counter() - began) / calls


async def _free(calls: int) -> float:
    scheduler = Scheduler(PrioritySettings(total=10))
    began = time.perf_counter()
    for _ in range(calls):
        (await scheduler.acquire(Priority.HIGH)).release()
    return (time.perf_counter() - began) / calls


async def _contended(calls: int) -> float:
    """Two tasks take turns on one seat."""
    scheduler = Scheduler(PrioritySettings(total=1))

    async def turn() -> None:
        for _ in range(calls // 2):
            seat = await scheduler.acquire(Priority.HIGH)
            await anyio.lowlevel.checkpoint()
            seat.release()

    return await _both(turn, calls)


async def _contended_limiter(calls: int) -> float:
    limiter = anyio.CapacityLimiter(1)

    async def turn() -> None:
        for _ in range(calls // 2):
            await limiter.acquire()
            await anyio.lowlevel.checkpoint()
            limiter.release()

    return await _both(turn, calls)


async def _both(turn: Callable[[], Coroutine[Any, Any, None]], calls: int) -> float:
    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        group.start_soon(turn)
        group.start_soon(turn)
    return (time.perf_counter() - began) / calls


def _beside(depth: int) -> _Timed:
    async def timed(calls: int) -> float:
        scheduler = Scheduler(PrioritySettings(total=10, low=1, queue=depth + 1))
        held = scheduler.enter(Priority.LOW)
        waiting = [scheduler.enter(Priority.LOW) for _ in range(depth)]
        began = time.perf_counter()
        for _ in range(calls):
            scheduler.enter(Priority.HIGH).release()
        took = (time.perf_counter() - began) / calls
        for seat in waiting:
            scheduler.leave(seat)
        held.release()
        return took

    return timed
