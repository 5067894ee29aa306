"""Two ways: a check where a service is in the same process, and where it is behind a socket."""

from collections.abc import Awaitable, Callable
from typing import Any

from evox import Service, ServiceBuilder
from evox.testing import running

__all__ = ["Check", "both"]

Check = Callable[[], Awaitable[None]]


async def both(svc: Service, check: Check, settings: dict[str, Any] | None = None) -> None:
    """Run a check where the service is in the same process, and where it is behind a socket."""
    caller, asked = ServiceBuilder("caller"), settings or {}
    async with running(caller, svc, settings=asked):
        await check()
    async with running(svc, sockets=True, settings=asked) as there:
        peers = {"peers": {svc.name: there.url(svc)}}
        async with running(caller, declared=[svc], settings=asked | peers):
            await check()
