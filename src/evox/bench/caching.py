"""Caching: what a read costs, what is kept under pressure, and what happens when many want the same. In one run.

Numbers are of this machine now; their ratios are what counts. A control that has to fail is among the contestants of
each question that has a right answer: ``naive``, which does the obvious thing.
"""

import importlib
import importlib.util
import itertools
import math
import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio

from evox import ServiceBuilder
from evox.bench.peers import NAMES, SHARED, Cache, Load, before_a_file, contestants
from evox.data.entries import Entry
from evox.data.shelf import Shelf
from evox.testing import running

__all__ = ["Crowd", "Expiry", "Hits", "Reads", "crowds", "expiry", "expiry_of_cashews", "hit_ratios", "reads"]

VALUE: Final = {"id": 1, "name": "Ada Lovelace", "email": "ada@example.org", "tags": ["a", "b"]}
ROUNDS: Final = 7
SIZE: Final = 1000
CROWD: Final = 500
WAITING: Final = 20


@dataclass(frozen=True, slots=True)
class Reads:
    """Microseconds of a hit and of a miss that is filled; ``ratio`` of the hit to cashews', or None without it."""

    name: str
    hit: float
    miss: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Hits:
    """Share of reads that were hits, with room for a tenth of the keys."""

    name: str
    zipf: float
    zipf_and_scan: float


@dataclass(frozen=True, slots=True)
class Crowd:
    """Calls of the source for 500 who want the same at once, and who was served when one of 20 left."""

    name: str
    calls: int
    served: int
    calls_after_leaving: int


@dataclass(frozen=True, slots=True)
class Expiry:
    """Milliseconds for which the loop stands still at most when 300,000 entries have expired."""

    name: str
    longest: float


@asynccontextmanager
async def _service() -> AsyncIterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        shared = {SHARED: {"backend": f"sqlite:///{folder}/shared.db"}}
        settings = {"data": {"entries": SIZE, "l1_ttl": "1h", "intents": shared}}
        async with running(ServiceBuilder("bench"), settings=settings):
            yield


async def reads(*, calls: int = 2000) -> list[Reads]:
    """Measure hits and misses, the contestants in turn, and keep the best round of each."""
    async with _service():
        found = [*contestants(SIZE), before_a_file()]
        hit, miss = dict.fromkeys((one.name for one in found), 1e9), dict.fromkeys((one.name for one in found), 1e9)
        for cache in found:
            await cache.put("user:1", VALUE, 3600)
        fresh = itertools.count()
        for _ in range(ROUNDS):
            for cache in found:
                hit[cache.name] = min(hit[cache.name], await _timed(_hits(cache, calls), calls))
                miss[cache.name] = min(miss[cache.name], await _timed(_misses(cache, calls // 10, fresh), calls // 10))
        base = hit.get("cashews")
        return [
            Reads(one.name, 1e6 * hit[one.name], 1e6 * miss[one.name], hit[one.name] / base if base else None)
            for one in found
        ]


async def _timed(work: Awaitable[None], calls: int) -> float:
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) / calls


async def _hits(cache: Cache, calls: int) -> None:
    for _ in range(calls):
        await cache.get("user:1")


async def _misses(cache: Cache, calls: int, fresh: Iterator[int]) -> None:
    async def load(key: str) -> Any:
        del key
        return VALUE

    read = cache.filled(load)
    for _ in range(calls):
        await read(f"miss:{next(fresh)}")


async def hit_ratios(*, requests: int = 50_000, seed: int = 1) -> list[Hits]:
    """Replay a trace in which some keys are wanted far more often than others, alone and with scans in between."""
    plain, scanned = _zipf(requests, seed), _with_scans(_zipf(requests, seed))
    found: list[Hits] = []
    names = [one.name for one in contestants(SIZE) if one.name not in ("aiocache", "async-lru")] + ["naive"]
    for name in names:
        ratios = [await _replay(name, trace) for trace in (plain, scanned)]
        found.append(Hits(name, *ratios))
    return found


async def _replay(name: str, trace: list[str]) -> float:
    async with _service():
        cache = Naive(SIZE) if name == "naive" else next(one for one in contestants(SIZE) if one.name == name)
        hits = 0
        for key in trace:
            if await cache.get(key) is None:
                await cache.put(key, 1, 3600)
            elif not key.startswith("scan"):
                hits += 1
        return hits / sum(not key.startswith("scan") for key in trace)


def _zipf(requests: int, seed: int) -> list[str]:
    rand = random.Random(seed)  # noqa: S311 - a trace, which has to be the same each time
    keys = range(1, 10 * SIZE + 1)
    drawn = rand.choices(keys, [1 / key for key in keys], k=requests)
    return [f"k{key}" for key in drawn]


def _with_scans(trace: list[str]) -> list[str]:
    mixed: list[str] = []
    for number, key in enumerate(trace):
        mixed.append(key)
        if number % (10 * SIZE) == 5 * SIZE:
            mixed += [f"scan{number}:{one}" for one in range(5 * SIZE)]
    return mixed


async def crowds() -> list[Crowd]:
    """Let 500 want the same at once; and let one of 20 leave, the one who came first."""
    found: list[Crowd] = []
    for name in [*(one.name for one in contestants(SIZE)), "naive"]:
        async with _service():
            cache = Naive(SIZE) if name == "naive" else next(one for one in contestants(SIZE) if one.name == name)
            calls, _ = await _crowd(cache.filled, CROWD, leaving=0)
            again, served = await _crowd(cache.filled, WAITING, leaving=1)
            found.append(Crowd(name, calls, served, again))
    return found


async def _crowd(filled: Callable[[Load], Load], size: int, *, leaving: int) -> tuple[int, int]:
    calls, served, key = 0, 0, f"crowd:{size}"
    go = anyio.Event()

    async def load(key: str) -> Any:
        nonlocal calls
        calls += 1
        await go.wait()
        return key

    read = filled(load)

    async def one(scope: anyio.CancelScope) -> None:
        nonlocal served
        with scope:
            try:
                found = await read(key)
                served += found is not None
            except BaseException as error:
                if scope.cancel_called or isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                # Somebody else's cancellation has reached this one: not served, and that is what is counted.

    scopes = [anyio.CancelScope() for _ in range(size)]
    async with anyio.create_task_group() as group:
        for scope in scopes:
            group.start_soon(one, scope)
        await anyio.wait_all_tasks_blocked()
        for scope in scopes[:leaving]:
            scope.cancel()
        await anyio.wait_all_tasks_blocked()
        go.set()
    return calls, served


def expiry(*, entries: int = 300_000) -> list[Expiry]:
    """Let so many entries expire, and time each of the writes that follow; twice, and the better one counts."""
    return [Expiry(name, min(1000 * _longest(write, entries) for _ in range(2))) for name, write in _SWEEPERS.items()]


async def expiry_of_cashews(*, entries: int = 300_000) -> list[Expiry]:
    """Let so many of cashews' entries expire, and find for how long its sweep holds the loop; empty without it."""
    if importlib.util.find_spec(NAMES["cashews"]) is None:
        return []
    wait = max(1.0, entries / 20_000)  # until it sweeps; by then all have been put
    cache = importlib.import_module("cashews").Cache()
    cache.setup(f"mem://?size={2 * entries}&check_interval={wait}")
    for number in range(entries):
        await cache.set(f"s/d:{number}", b"1", expire=0.01)
    longest, last = 0.0, time.perf_counter()
    with anyio.move_on_after(wait + 1):
        while True:
            await anyio.sleep(0.001)
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    await cache.close()
    return [Expiry("cashews", 1000 * longest)]


def _longest(begin: Callable[[int], Callable[[str, float, float], object]], entries: int) -> float:
    put = begin(2 * entries)
    for number in range(entries):
        put(f"s/d:{number}", 100.0, 0.0)
    longest = 0.0
    for number in range(entries // 4):
        began = time.perf_counter()
        put(f"s/d:new{number}", math.inf, 200.0)
        longest = max(longest, time.perf_counter() - began)
    return longest


def _shelf(entries: int) -> Callable[[str, float, float], object]:
    shelf = Shelf(entries, 10**12, Entry._make)
    return lambda key, until, now: shelf.put(key, Entry(b"1", keep_until=until, evictable=True), now)


def _all_at_once(entries: int) -> Callable[[str, float, float], object]:
    del entries
    kept: dict[str, tuple[bytes, float]] = {}

    def put(key: str, until: float, now: float) -> None:
        if now > 0 and len(kept) % 1000 == 0:
            for gone in [one for one, (_, end) in kept.items() if end <= now]:
                del kept[gone]
        kept[key] = (b"1", until)

    return put


_SWEEPERS: Final = {"evox": _shelf, "naive": _all_at_once}


class Naive:
    """What one writes first: a dictionary that drops the oldest key, and no thought of who else is loading."""

    name = "naive"

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: dict[str, Any] = {}

    async def get(self, key: str) -> Any:
        return self._values.get(key)

    async def put(self, key: str, value: Any, ttl: float) -> None:
        del ttl
        if len(self._values) >= self._size and key not in self._values:
            del self._values[next(iter(self._values))]
        self._values[key] = value

    def filled(self, load: Load) -> Load:
        async def read(key: str) -> Any:
            if key not in self._values:
                self._values[key] = await load(key)
            return self._values[key]

        return read
