"""Observing: what it costs a request to be seen, and a process to be looked at.

Requests go through a service's whole app, without sockets, once with somebody who hears of them and once without, in
the same run; so do calls within the process. See ``rounds`` for how that is timed.
"""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from evox import ServiceBuilder, events
from evox.bench.rounds import interleaved
from evox.observe.metrics import metrics_of
from evox.observe.snapshot import snapshot
from evox.service_proxy import proxy
from evox.testing import running

__all__ = ["LOOKS", "MORE", "SHARE", "Look", "Seen", "looking", "observing"]

CALLS: Final = 50
ROUNDS: Final = 200
LOOKS: Final = 100
MORE: Final = 3.0  # microseconds that being seen may cost
SHARE: Final = 0.05  # of what a request takes, if that is more


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that is seen. Microseconds without anybody who hears of it, and what hearing adds."""

    name: str
    unseen: float
    more: float

    @property
    def allowed(self) -> float:
        """How much that may be."""
        return max(MORE, SHARE * self.unseen)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a process. ``share`` is that of a core, with a look a second."""

    name: str
    milliseconds: float
    share: float


async def observing(*, calls: int = CALLS, rounds: int = ROUNDS) -> list[Seen]:
    """Measure requests and calls in the current loop.

    Args:
        calls: How many are timed together.
        rounds: How often, of which the median counts.
    """
    users, orders = ServiceBuilder("users"), ServiceBuilder("orders")
    found: dict[str, list[float]] = {}

    @users.get("/users/{user_id}")
    async def get_user(user_id: int) -> dict[str, int]:
        return {"id": user_id}

    @orders.get("/measure")
    async def measure() -> str:
        near = await interleaved({"call": lambda: proxy.users.get_user(7), "call, unseen": _unseen_call}, calls, rounds)
        found.update(near)
        return "done"

    async def _unseen_call() -> None:
        token = events.mute()
        try:
            await proxy.users.get_user(7)
        finally:
            events.forget(token)

    async with running(orders, users) as env:
        host = env.host(users)

        async def request() -> None:
            await host(_scope(), _receive, _send)

        async def unseen() -> None:
            token = events.mute()
            try:
                await host(_scope(), _receive, _send)
            finally:
                events.forget(token)

        ways: dict[str, Callable[[], Awaitable[object]]] = {"request": request, "request, unseen": unseen}
        found.update(await interleaved(ways, calls, rounds))
        reply = await env.client(orders).get("/measure", timeout=None)
        reply.raise_for_status()
    names = {"request": "a request, without sockets", "call": "a call within the process"}
    return [_seen(shown, found[name], found[f"{name}, unseen"]) for name, shown in names.items()]


async def looking(*, looks: int = LOOKS) -> list[Look]:
    """Measure what the process does for one look at it, after some requests.

    Args:
        looks: How many are timed, of which the median counts.
    """
    users = ServiceBuilder("users")

    @users.get("/users/{user_id}")
    async def get_user(user_id: int) -> dict[str, int]:
        return {"id": user_id}

    async with running(users) as env:
        for number in range(100):
            (await env.client(users).get(f"/users/{number}")).raise_for_status()
        seen = env.observation
        ways: dict[str, Callable[[], object]] = {
            "a snapshot, as the dashboard asks for it": lambda: json.dumps(snapshot(seen)),
            "metrics, as Prometheus does": lambda: metrics_of(seen, "users", ""),
        }
        return [_look(name, way, looks) for name, way in ways.items()]


def _look(name: str, way: Callable[[], object], looks: int) -> Look:
    taken = []
    for _ in range(looks):
        began = time.process_time()
        way()
        taken.append(time.process_time() - began)
    return Look(name, 1e3 * median(taken), median(taken))


def _seen(name: str, taken: list[float], unseen: list[float]) -> Seen:
    more = [one - other for one, other in zip(taken, unseen, strict=True)]
    return Seen(name, 1e6 * median(unseen), 1e6 * median(more))


def _scope() -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/users/7",
        "raw_path": b"/users/7",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"users")],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 80),
        "extensions": {},
    }


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Any) -> None:
    del message
