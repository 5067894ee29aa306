"""Reaching: whether the services that run elsewhere, and the registry, can be reached from here."""

import socket
import time
from collections.abc import Iterator
from functools import partial
from secrets import token_hex
from typing import Final
from urllib.parse import urlsplit

import anyio
import httpx2

from evox.config import PeerSettings, without_secrets
from evox.errors import RegistryUnavailable
from evox.service_proxy import Registry, trusted
from evox.testing.selftest.project import Check, Project
from evox.testing.selftest.results import Failed, Skipped

__all__ = ["reaching_checks"]

LIVE: Final = "/health/live"
MARGIN: Final = 1.0  # seconds
LEASE: Final = 5.0  # seconds
IMPORT: Final = 20.0  # seconds, of which the driver may take most to be imported


def reaching_checks(project: Project) -> Iterator[Check]:
    """Yield one check for each peer, and one for the registry."""
    settings = project.loaded.settings
    for name, peer in settings.peers.items():
        limit = peer.timeout or settings.proxy.timeout
        yield Check(
            "connection", f"proxy: peer {name} at {peer.url}", partial(_peer, project, name, peer), limit=limit + MARGIN
        )
    if settings.proxy.registry is not None:
        name = f"proxy: registry {without_secrets(settings.proxy.registry)}"
        yield Check("connection", name, partial(_registry, settings.proxy.registry), limit=IMPORT)
    if not settings.peers and settings.proxy.registry is None:
        yield Check("connection", "proxy: services elsewhere", _none)


async def _none() -> None:
    raise Skipped("no peers and no registry are configured")


async def _peer(project: Project, name: str, peer: PeerSettings) -> str:
    limit = peer.timeout or project.loaded.settings.proxy.timeout
    option = f"peers.{name}.url in [tool.evox]"
    parts = urlsplit(peer.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    began = time.perf_counter()
    with anyio.move_on_after(limit):
        try:
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Failed(f"{host!r} has no address: {error}", "one", f"correct {option}, or its DNS entry") from None
        addresses = ", ".join(dict.fromkeys(str(one[4][0]) for one in found))
        try:
            await (await anyio.connect_tcp(host, port)).aclose()
        except OSError as error:
            seen = f"nobody answers at {host} ({addresses}) port {port}: {error}"
            raise Failed(seen, "a connection", f"start {name}, or correct {option}") from None
        status = await _asked(project, peer, name)
        took = 1000 * (time.perf_counter() - began)
        return _judged(peer, name, status, f"{status} in {took:.0f} ms")
    seen = f"{host} port {port} gave no answer within {limit:g} s"
    raise Failed(seen, "one", f"see whether {name} hangs, or correct {option}")


async def _asked(project: Project, peer: PeerSettings, name: str) -> int:
    root = project.loaded.root
    is_tls = peer.url.startswith("https:")
    verify = trusted(None if peer.cafile is None else str(root / peer.cafile)) if is_tls else False
    async with httpx2.AsyncClient(verify=verify, trust_env=False, timeout=None) as client:
        try:
            async with client.stream("GET", peer.url + LIVE) as reply:
                return reply.status_code
        except httpx2.HTTPError as error:
            seen = f"GET {peer.url}{LIVE} failed: {str(error) or type(error).__name__}"
            fix = f"see its certificate, and peers.{name}.cafile" if is_tls else f"see what listens there for {name}"
            raise Failed(seen, "an answer", fix) from None


def _judged(peer: PeerSettings, name: str, status: int, said: str) -> str:
    """Return what is told of an answer. One of ours is alive; of others it is only known that they are there."""
    if status == 200:
        return said
    if peer.trust == "external" and status < 500:
        return f"{said}: it is there, and has no {LIVE}"
    if status == 404:
        fix = f"correct peers.{name}.url; if its health is elsewhere, .health(...) of {name} has moved it"
    else:
        fix = f"see what evox health says of {name}"
    raise Failed(f"GET {peer.url}{LIVE} is {status}", "200", fix)


async def _registry(url: str) -> str:
    """Announce something that no service is called, look it up, and take it out again."""
    name, address = f"~selftest-{token_hex(8)}", "http://127.0.0.1:9"
    began = time.perf_counter()
    registry, other = (Registry(url, lease=LEASE) for _ in range(2))
    try:
        await registry.instances(name)  # raises where announcing would try again and again
        async with anyio.create_task_group() as group:
            await group.start(registry.announce, name, address)
            found = await other.instances(name)
            group.cancel_scope.cancel()
    except RegistryUnavailable as error:
        raise Failed(error.why, "an answer", "start it, or correct proxy.registry in [tool.evox]") from None
    finally:
        with anyio.move_on_after(MARGIN, shield=True):
            await registry.close()
            await other.close()
    if [one.url for one in found] != [address]:
        raise Failed(f"what was announced is found as {found!r}", address, "see what else is kept on that server")
    return f"announced and found in {1000 * (time.perf_counter() - began):.1f} ms"
