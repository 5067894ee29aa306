"""What tests of idempotency keys share: backends, a service that counts what it does, and requests with a key."""

from pathlib import Path
from typing import Any

import anyio
import httpx2

from evox import ServiceBuilder
from evox.services.first_answers import FirstAnswersStatistics
from evox.testing import Env

__all__ = ["KINDS", "Till", "idle", "on", "post", "sums"]

KINDS = ("memory", "sqlite")


def on(kind: str, folder: Path, **data: Any) -> dict[str, Any]:
    """Return settings for a backend."""
    url = "memory" if kind == "memory" else f"sqlite:///{folder}/kept.db"
    return {"data": {"backend": url, **data}}


class Till:
    """A service that charges, and counts how often.

    Attributes:
        charged: The amounts, in order.
        begun: Set when a charge that waits has begun.
        go: Lets charges that wait go on.
    """

    def __init__(self, **options: Any) -> None:
        self.svc = ServiceBuilder("till")
        self.charged: list[int] = []
        self.begun, self.go = anyio.Event(), anyio.Event()

        @self.svc.post("/charges", idempotency="24h", status_code=201, **options)
        async def charge(amount: int) -> dict[str, int]:
            self.charged.append(amount)
            return {"number": len(self.charged), "amount": amount}

        @self.svc.post("/slow", idempotency="24h", **options)
        async def slow() -> int:
            self.begun.set()
            await self.go.wait()
            self.charged.append(0)
            return len(self.charged)


async def post(
    env: Env, path: str = "/charges?amount=5", key: str | None = "k1", *, token: str | None = None, **more: Any
) -> httpx2.Response:
    """Send one request with a key."""
    headers = {**({} if key is None else {"idempotency-key": key}), **more.pop("headers", {})}
    service = more.pop("service", "till")
    return await env.client(service, token=token).post(path, headers=headers, **more)


def sums(env: Env, service: str = "till") -> FirstAnswersStatistics:
    """Return what the service counts."""
    return env.service(service).first_answers.statistics()


async def idle(env: Env) -> None:
    """Wait until no request with a key runs."""
    for _ in range(1000):
        if not sums(env).running:
            return
        await anyio.sleep(0.01)
    raise AssertionError("a key is still taken")
