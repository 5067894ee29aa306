"""Fallback: old answers while a source is down, in virtual time, and under the settings of the project.

The endpoints of the project are not called: it is looked whether what they declare can be kept.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import anyio

from evox.config import Loaded
from evox.data.backends.opening import make_backend
from evox.services import Service, ServiceBuilder
from evox.services.caching import caching_of
from evox.testing.harness import running
from evox.testing.selftest.project import Check, Project
from evox.testing.selftest.results import Failed, Skipped, counted

__all__ = ["fallback_checks"]

TTL: Final = 10.0
STALE: Final = 100.0
FIX: Final = "see whether data.entries, memory_bytes and value_bytes leave room; else report it: Evox is at fault"


def fallback_checks(project: Project) -> Iterator[Check]:
    """Yield what must hold of answers that are kept."""
    for name, look in (
        ("an answer is kept while it is fresh", _fresh),
        ("an old answer is served, with its age, while the source is down", _stale),
        ("beyond max_stale the error is passed on", _beyond),
        ("a source that is back is asked again", _recovered),
    ):
        yield Check("services", f"cache: {name}", partial(_tried, project, look), virtual=True)
    yield Check("services", "cache: the project's fallbacks can be kept", partial(_declared, project))


class _Source:
    """An endpoint over a source that may be down, and its answers."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.state = {"down": False, "asked": 0}

    async def get(self) -> Any:
        """Return the answer of the endpoint."""
        return await self._client.get("/prices")


async def _tried(project: Project, look: Any) -> None:
    probe = ServiceBuilder("selftest-fallback")
    state = {"down": False, "asked": 0}

    @probe.get("/prices", cache=TTL, fallback="aggressive", max_stale=STALE)
    async def prices() -> int:
        state["asked"] += 1
        if state["down"]:
            raise OSError("the source of the self-test is down, as it is meant to be")
        return state["asked"]

    async with running(probe, settings=project.settings()) as env:
        source = _Source(env.client(probe))
        source.state = state
        _expect(await source.get(), (200, "1"), "the first answer")
        await look(source, project.loaded)


async def _fresh(source: _Source, loaded: Loaded) -> None:
    del loaded
    await anyio.sleep(TTL / 2)
    reply = await source.get()
    _expect(reply, (200, "1"), f"{TTL / 2:g} s later, with cache={TTL:g},")
    if not reply.headers.get("cache-status", "").startswith("evox; hit"):
        raise Failed(f"cache-status {reply.headers.get('cache-status')!r}", "a hit", FIX)


async def _stale(source: _Source, loaded: Loaded) -> None:
    del loaded
    source.state["down"] = True
    await anyio.sleep(TTL + 5)
    reply = await source.get()
    _expect(reply, (200, "1"), f"{TTL + 5:g} s after an answer, with max_stale={STALE:g} and a source that is down,")
    if reply.headers.get("age") != f"{TTL + 5:g}":
        raise Failed(f"age {reply.headers.get('age')!r}", f"age {TTL + 5:g}", FIX)


async def _beyond(source: _Source, loaded: Loaded) -> None:
    del loaded
    source.state["down"] = True
    await anyio.sleep(TTL + STALE + 1)
    reply = await source.get()
    if reply.status_code < 500:
        seen = f"{TTL + STALE + 1:g} s after an answer, with max_stale={STALE:g}: {reply.status_code} {reply.text}"
        raise Failed(seen, "the error of the source", FIX)


async def _recovered(source: _Source, loaded: Loaded) -> None:
    source.state["down"] = True
    await anyio.sleep(TTL + 1)
    await source.get()
    source.state["down"] = False
    await anyio.sleep(loaded.settings.data.throttle + 1)
    _expect(await source.get(), (200, "3"), f"{loaded.settings.data.throttle + 1:g} s after a failure (data.throttle)")


def _expect(reply: Any, expected: tuple[int, str], what: str) -> None:
    if (reply.status_code, reply.text) != expected:
        raise Failed(f"{what} is {reply.status_code} {reply.text[:60]}", f"{expected[0]} {expected[1]}", FIX)


async def _declared(project: Project) -> str:
    """Look at the endpoints of the project that fall back: what is old enough to be served then must still be there."""
    found = 0
    for service in project.services:
        for row in service.endpoints:
            kept = caching_of(row)
            if kept is None or kept[0].fallback is None:
                continue
            found += 1
            if kept[1].max_stale <= 0:
                seen = f"endpoint {row.name!r} of {service.name} falls back for {kept[1].max_stale:g} s"
                raise Failed(seen, "more than 0", "give it max_stale=, or leave fallback= out")
            _keeps(project.loaded, service, kept[0].backend)
    if not found:
        raise Skipped("no endpoint of the project declares fallback=")
    return counted(found, "endpoint")


def _keeps(loaded: Loaded, service: Service, own: str | None) -> None:
    """Make the backend of an endpoint's answers, which is not opened here.

    Raises:
        EvoxError: if its packages are not there, or its URL cannot be read.
    """
    data = loaded.settings.data
    url = own or data.services.get(service.name, data.backend)
    if url != "memory":
        make_backend(url, data, loaded.root)
    elif data.memory_bytes < data.value_bytes:
        seen = f"answers are kept in {data.memory_bytes} bytes of memory, and one may take {data.value_bytes}"
        raise Failed(seen, "that one of them fits", "raise data.memory_bytes in [tool.evox]")
