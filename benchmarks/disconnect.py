"""What it costs an ordinary GET that its handler is cancelled when the client leaves.

The door that stands before every service (``Inflight``) is called directly as ASGI, without sockets: once with a client
in the scope that a connection could call, once without. Everything else is the same, so the difference is the watching.
Blocks of calls alternate, and are compared within one round, so that a slow moment of the machine meets both.
Nothing is asserted about time: this prints, people judge.
"""

import argparse
import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evox import service
from evox.serving import Client, Inflight

HEAD: Final = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
BODY: Final = {"type": "http.response.body", "body": b"{}"}

svc = service("bench")


@svc.get("/items/{item_id}")
async def read_item(item_id: int) -> dict[str, Any]:
    return {"item_id": item_id, "name": f"item {item_id}"}


async def bare(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer at once: what is measured then is the door alone."""
    await send(HEAD)
    await send(BODY)


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Message) -> None: ...


def scope_of(*, watched: bool) -> Scope:
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/items/7",
        "raw_path": b"/items/7",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"bench")],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
        "extensions": {},
    }
    # Both make a client: the connection needs that object anyhow, to hand the request's body on.
    client = Client()
    if watched:
        client.enter(scope)
    return scope


async def block(door: ASGIApp, calls: int, *, watched: bool) -> float:
    """Return the CPU seconds of one call, as the mean of a block: others on the machine count less."""
    began = time.process_time()
    for _ in range(calls):
        await door(scope_of(watched=watched), receive, send)
    return (time.process_time() - began) / calls


@dataclass(frozen=True)
class Pairs:
    """Seconds of a call without and with watching, round by round."""

    without: list[float]
    watched: list[float]

    def report(self, name: str) -> None:
        pairs = list(zip(self.without, self.watched, strict=True))
        ratio = statistics.median(after / before for before, after in pairs)
        more = statistics.median(after - before for before, after in pairs)
        low, _, high = statistics.quantiles([after / before - 1 for before, after in pairs], n=4)
        medians = [statistics.median(seconds) * 1e6 for seconds in (self.without, self.watched)]
        print(f"{name:<28}{medians[0]:>10.2f}{medians[1]:>10.2f}{more * 1e6:>+10.2f}{ratio - 1:>+10.2%}", end="")
        print(f"   {low:+.2%} .. {high:+.2%}", flush=True)


async def measure(app: ASGIApp, *, rounds: int, calls: int) -> Pairs:
    door = Inflight(app, service="bench")
    door.admit()
    pairs = Pairs([], [])
    for watched in (False, True):
        await block(door, calls, watched=watched)  # warm
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            gc.collect()
            taken = {False: 0.0, True: 0.0}
            # ABBA, and BAAB in every other round: neither is first more often, and what drifts drifts against both.
            first = bool(number % 2)
            for watched in (first, not first, not first, first):
                taken[watched] += await block(door, calls, watched=watched) / 2
            pairs.without.append(taken[False])
            pairs.watched.append(taken[True])
    finally:
        gc.enable()
    return pairs


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/disconnect.py", description="The cost of watching for clients.")
    parser.add_argument("--rounds", type=int, default=300, help="of four blocks, each measurement (default: 300)")
    parser.add_argument("--calls", type=int, default=50, help="calls of each block (default: 50)")
    given = parser.parse_args()
    if given.rounds < 2 or given.calls < 1:
        parser.error("--rounds is more than one and --calls more than zero")
    print("one GET through the door, without and with a client that may leave; no sockets")
    print(f"{given.rounds} rounds of 4 blocks of {given.calls} calls, ", end="")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"\n{'':<28}{'without':>10}{'with':>10}{'more':>10}{'ratio':>10}   middle half")
    print(f"{'':<28}{'us':>10}{'us':>10}{'us':>10}")
    apps: dict[str, ASGIApp] = {"the door alone": bare, "an Evox service": svc.app}
    for backend in ("trio", "asyncio"):
        for name, app in apps.items():
            run: Callable[[], Awaitable[Pairs]] = partial(measure, app, rounds=given.rounds, calls=given.calls)
            anyio.run(run, backend=backend).report(f"{name}, {backend}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
