"""Topologies: the same test with services in one process, over HTTP on this machine, and in processes of their own.

    @pytest.mark.parametrize("topology", TOPOLOGIES)
    async def test_an_order_has_its_user(topology):
        async with spread(topology, orders, users) as env:
            reply = await env.client(orders).get("/orders/1")

The first service is the one that the test speaks to. Each may call those that come after it.
"""

import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from evox.runtime import on_trio
from evox.services import Service
from evox.testing.harness import Env, running
from evox.testing.processes import service_process

__all__ = ["TOPOLOGIES", "Topology", "spread"]

Topology: TypeAlias = Literal["in-process", "loopback", "processes"]
TOPOLOGIES: Final[tuple[Topology, ...]] = ("in-process", "loopback", "processes")


@asynccontextmanager
async def spread(
    topology: Topology, *services: Service, settings: Mapping[str, Any] | None = None, root: Path | None = None
) -> AsyncIterator[Env]:
    """Run services as a topology says, for the time of an ``async with`` block.

    Args:
        topology: ``"in-process"``, ``"loopback"`` or ``"processes"``.
        *services: What to run. For processes each is declared at the top level of a file.
        settings: ``[tool.evox]``, for all of them.
        root: The project's folder, for configuration that refers to it.

    Yields:
        The environment of the first service; its tokens are good for all.

    Raises:
        RuntimeError: if a process does not start.
        ValueError: if there is no such topology.
    """
    if topology not in TOPOLOGIES:
        raise ValueError(f"there is no topology {topology!r}: there are {', '.join(TOPOLOGIES)}")
    given = dict(settings or {})
    if topology == "in-process":
        async with running(*services, settings=given, root=root) as env:
            yield env
        return
    with tempfile.TemporaryDirectory() as folder:
        given["auth"] = _keys(Path(folder)) | dict(given.get("auth") or {})
        async with AsyncExitStack() as stack:
            peers: dict[str, Any] = dict(given.get("peers") or {})
            for service in reversed(services[1:]):
                own = given | {"peers": dict(peers)}
                peers[service.name] = await stack.enter_async_context(
                    _elsewhere(topology, service, services, own, root)
                )
            rest = services[1:]
            yield await stack.enter_async_context(
                running(services[0], settings=given | {"peers": peers}, root=root, declared=rest)
            )


@asynccontextmanager
async def _elsewhere(
    topology: Topology, service: Service, services: tuple[Service, ...], settings: dict[str, Any], root: Path | None
) -> AsyncIterator[str]:
    """Run one service elsewhere, and yield its URL."""
    if topology == "loopback":
        beside = [one for one in services if one is not service]
        async with running(service, sockets=True, settings=settings, root=root, declared=beside) as env:
            yield env.url(service)
        return
    if service.place is None:
        raise RuntimeError(f"{service.name} has no file to run")
    loop = {"backend": "trio" if on_trio() else "asyncio"} | settings
    async with service_process(service.place.file, only=[service.name], settings=loop) as process:
        yield process.urls[service.name]


def _keys(folder: Path) -> dict[str, Any]:
    """Make keys that all of them have: for tokens of users, and for calls to each other."""
    made: dict[str, Any] = {}
    for option in ("keys", "internal_keys"):
        file = folder / f"{option}.secret"
        file.write_text(secrets.token_urlsafe(48), encoding="utf-8")
        made[option] = [str(file)]
    return made
