"""Calling: what a call of another service costs: within the process, beside the bare coroutine and the same over HTTP.

All are made from within a handler, which holds a seat, as calls are. Over HTTP the server is in this process too, so
its time counts as it would elsewhere. See ``rounds`` for how it is timed.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import httpx2
from pydantic import BaseModel

from evox import ServiceBuilder
from evox.bench.rounds import interleaved
from evox.service_proxy import proxy
from evox.testing import running

__all__ = ["CALLS", "FASTER", "MORE", "ROUNDS", "Measured", "calling"]

CALLS: Final = 10
ROUNDS: Final = 300
LONGER: Final = 20
MORE: Final = 20.0  # microseconds that a call within the process may take beyond the coroutine
FASTER: Final = 20.0  # times that it is at least faster than the same over HTTP on this machine


class User(BaseModel):
    """What is read."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One way to call.

    Attributes:
        name: Which.
        microseconds: What it takes.
        more: What of that the coroutine alone does not.
        slower: How often a call within the process fits into it.
    """

    name: str
    microseconds: float
    more: float
    slower: float


async def calling(*, calls: int = CALLS, rounds: int = ROUNDS) -> list[Measured]:
    """Measure one call each way, in the current loop.

    Args:
        calls: Calls timed together.
        rounds: How often, of which the median counts.
    """
    users, orders, there = ServiceBuilder("users"), ServiceBuilder("orders"), ServiceBuilder("users-elsewhere")
    found: dict[str, list[float]] = {}
    beside: dict[str, list[float]] = {}

    async def get_user(user_id: int) -> User:
        return User(id=user_id, name="Ada")

    users.get("/users/{user_id}")(get_user)
    there.get("/users/{user_id}")(get_user)

    @orders.get("/measure")
    async def measure() -> str:
        async with httpx2.AsyncClient(trust_env=False) as client:
            near: dict[str, Callable[[], Awaitable[object]]] = {
                BARE: lambda: get_user(7),
                INSIDE: lambda: proxy.users.get_user(7),
            }
            far: dict[str, Callable[[], Awaitable[object]]] = {
                INSIDE: near[INSIDE],
                "httpx2, over HTTP": lambda: client.get(f"{url}/users/7"),
                "proxy, over HTTP": lambda: proxy.users_elsewhere.get_user(7),
            }
            # What takes microseconds is timed in long blocks, apart from HTTP, which leaves the machine's caches cold.
            beside.update(await interleaved(far, calls, rounds))
            found.update(await interleaved(near, calls * LONGER, max(3, rounds // LONGER)))
        return "done"

    async with running(there, sockets=True) as elsewhere:
        url = elsewhere.url(there)
        settings: dict[str, Any] = {"peers": {"users-elsewhere": url}}
        async with running(orders, users, settings=settings, declared=[there]) as env:
            reply = await env.client(orders).get("/measure", timeout=None)
            reply.raise_for_status()
    return [_near(name, found) for name in found] + [_far(name, beside, found) for name in beside if name != INSIDE]


BARE: Final = "the coroutine"
INSIDE: Final = "proxy, in the process"


def _near(name: str, found: dict[str, list[float]]) -> Measured:
    more = [own - bare for own, bare in zip(found[name], found[BARE], strict=True)]
    slower = [own / inside for own, inside in zip(found[name], found[INSIDE], strict=True)]
    return Measured(name, 1e6 * median(found[name]), 1e6 * median(more), median(slower))


def _far(name: str, beside: dict[str, list[float]], found: dict[str, list[float]]) -> Measured:
    """Compare with calls within the process of the same rounds, which are slower there than they are by themselves."""
    slower = [own / inside for own, inside in zip(beside[name], beside[INSIDE], strict=True)]
    more = median(beside[name]) - median(found[BARE])
    return Measured(name, 1e6 * median(beside[name]), 1e6 * more, median(slower))
