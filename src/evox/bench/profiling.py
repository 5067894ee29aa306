"""Profiling: what a request takes, step by step, so that a regression has an address.

Requests go through a connection of the fast lane to a whole service and back, on a wire that is no socket. What they
take is timed without a profiler; how that divides among the steps is told by one, which counts time by module. So the
sum is right, and the shares are those of a profile: steps of many small calls look somewhat larger than they are.
"""

import cProfile
import gc
import pstats
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.lowlevel
from pydantic import BaseModel

import evox
from evox import ServiceBuilder
from evox.bench.rounds import frozen
from evox.config import ServingSettings
from evox.serving.http1 import Connection, Lane
from evox.testing import running

__all__ = ["REQUESTS", "ROUNDS", "STEPS", "Profile", "profiling"]

BLOCK: Final = 100  # requests that are timed together
ROUNDS: Final = 60  # blocks, of which the quickest counts: what else the machine does only adds to the others
COUNTED: Final = 2000  # requests under the profiler

# Where a step's time is spent: modules below ``src/evox``, the more particular ones first.
STEPS: Final = {
    "read the request": ("serving/http1/head", "serving/http1/chunks"),
    "write the answer": ("serving/http1/reply", "serving/http1/exchange"),
    "connection": ("serving/http1",),
    "door: limits, drain, client": ("serving", "orchestrator"),
    "find the endpoint": ("services/table", "services/direct", "services/app", "services/route", "services/telemetry"),
    "who calls": ("services/guard", "auth"),
    "kept answers": ("services/hits", "services/caching", "services/cache_steps", "services/answers", "data"),
    "admission": ("services/admission", "scheduling"),
    "arguments": ("services/parameters", "services/compiled", "services/binding"),
    "value to JSON": ("services/writing", "services/results"),
    "context": ("services", "context", "spans"),
    "metrics": ("observe", "events"),
}
OTHERS: Final = "libraries and loop"

BODY: Final = b'{"name":"lamp","quantity":2,"price":9.5,"tags":["a","b"]}'
REQUESTS: Final = {
    "GET, path parameter": b"GET /items/12 HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n",
    "POST, validated": b"POST /orders HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
    "GET, kept": b"GET /kept/12 HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n",
    "POST, 422": b"POST /orders HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    b"Content-Length: 2\r\n\r\n{}",
}


class Order(BaseModel):
    """What is posted."""

    name: str
    quantity: int
    price: float
    tags: list[str] = []


@dataclass(frozen=True, slots=True)
class Profile:
    """What one kind of request takes.

    Attributes:
        name: The kind.
        microseconds: In all, without sockets.
        steps: Microseconds by step, in the order in which a request meets them.
    """

    name: str
    microseconds: float
    steps: dict[str, float]


async def profiling(name: str, *, rounds: int = ROUNDS, counted: int = COUNTED) -> Profile:
    """Measure one kind of request in the current loop.

    Args:
        name: One of ``REQUESTS``.
        rounds: How often a block is timed.
        counted: Requests under the profiler.
    """
    svc = _service(keeps=name == "GET, kept")
    async with running(svc, raise_errors=False) as env, anyio.create_task_group() as group:
        lane = Lane(env.host(svc), ServingSettings(), group, lambda _: None)

        async def ask(count: int) -> float:
            wire = _Wire(REQUESTS[name], count)
            began = time.perf_counter()
            await Connection(lane, wire, (("127.0.0.1", 1), ("127.0.0.1", 2)), _complain).run()
            return (time.perf_counter() - began) / count

        await ask(BLOCK)
        gc.collect()
        with frozen():
            taken = []
            for _ in range(rounds):
                taken.append(await ask(BLOCK))
                await anyio.lowlevel.checkpoint()
            profiler = cProfile.Profile()
            profiler.enable()
            await ask(counted)
            profiler.disable()
        group.cancel_scope.cancel()
    return Profile(name, 1e6 * min(taken), _divided(1e6 * min(taken), profiler))


def _divided(total: float, profiler: cProfile.Profile) -> dict[str, float]:
    """Divide what a request takes among the steps as a profile says."""
    found: dict[str, float] = dict.fromkeys([*STEPS, OTHERS], 0.0)
    root = str(Path(evox.__file__).parent)
    stats: Any = pstats.Stats(profiler)
    for (file, _, function), (_, _, own, _, _) in stats.stats.items():
        if file == __file__ or function == "ask":
            continue
        found[_step(file, root)] += own
    whole = sum(found.values())
    return {step: total * own / whole for step, own in found.items()}


def _step(file: str, root: str) -> str:
    """Return which step a module belongs to."""
    if not file.startswith(root):
        return OTHERS
    module = Path(file).relative_to(root).with_suffix("").as_posix()
    for step, places in STEPS.items():
        if any(module == place or module.startswith(place + "/") for place in places):
            return step
    return OTHERS


def _service(*, keeps: bool) -> ServiceBuilder:
    svc = ServiceBuilder("bench")

    @svc.get("/items/{item_id}")
    async def read_item(item_id: int) -> dict[str, Any]:
        return {"item_id": item_id, "name": f"item {item_id}"}

    @svc.post("/orders")
    async def create_order(order: Order) -> Order:
        return order

    if keeps:  # a service that keeps answers takes them away at each write, which is no part of the other requests

        @svc.get("/kept/{item_id}", cache="60s")
        async def read_kept(item_id: int) -> dict[str, Any]:
            return {"item_id": item_id, "name": f"item {item_id}"}

    return svc


class _Wire:
    """A wire on which the same request comes again and again."""

    raw: Any = None

    def __init__(self, request: bytes, count: int) -> None:
        self._request = request
        self._left = count

    unsent = 0

    async def receive(self, size: int = 0) -> bytes:
        del size
        self._left -= 1
        return self._request if self._left >= 0 else b""

    def take(self) -> bytes | None:
        return None

    def put(self, data: bytes) -> bool:
        return bool(data)

    async def flush(self) -> None: ...

    def end(self) -> None: ...

    def abort(self) -> None: ...

    async def close(self) -> None: ...


def _complain(reason: Any, detail: str) -> None:
    del reason, detail
