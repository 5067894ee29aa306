"""Injecting: what is injected arrives, what is put in its place is seen, and the sections that services read fit."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from pydantic import BaseModel

from evox.services import Running, Scope, ServiceBuilder, inject
from evox.testing.harness import Env, running
from evox.testing.selftest.project import Check, Project
from evox.testing.selftest.results import Failed

__all__ = ["injection_checks"]

FIX: Final = "this is a fault of Evox itself: install it anew, or report it with this line"
SECTION: Final = "evox-selftest"
SECTION_OF: Final[Any] = inject.config(SECTION)


class Clock:
    """What is injected."""

    def now(self) -> str:
        """Return what tells it from another one."""
        return "real"


class Midnight(Clock):
    """What is put in its place."""

    def now(self) -> str:
        """Return what tells it from another one."""
        return "fake"


class Desk:
    """What needs something itself."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock


class Section(BaseModel):
    """A section of the configuration."""

    limit: int


def injection_checks(project: Project) -> Iterator[Check]:
    """Yield what must hold of injection."""
    yield Check("framework", "injection: inject gives one instance, made with what it needs", partial(_inject, project))
    yield Check("framework", "injection: inject.override is seen, and ends", partial(_override, project))
    yield Check("framework", "injection: inject.config gives the section, as its model", partial(_config, project))
    for one in project.services:
        if one.config_models:
            name = f"injection: the sections that {one.name} reads fit"
            yield Check("framework", name, partial(_sections, project, one))


def _probe() -> ServiceBuilder:
    probe = ServiceBuilder("selftest-injection").config(SECTION, Section)

    @probe.get("/now")
    async def now(clock: Clock = inject(Clock), desk: Desk = inject(Desk)) -> list[Any]:  # noqa: B008  as users write it
        return [clock.now(), desk.clock.now(), desk.clock is clock]

    @probe.get("/limit")
    async def limit() -> Any:
        found: Any = inject.config(SECTION)
        return found.limit

    return probe


async def _got(env: Env, path: str) -> Any:
    reply = await env.client("selftest-injection").get(path)
    return reply.json() if reply.status_code == 200 else f"status {reply.status_code}"


def _settings(project: Project) -> dict[str, Any]:
    return project.settings(config={**project.loaded.settings.config, SECTION: {"limit": 3}})


async def _inject(project: Project) -> None:
    async with running(_probe(), settings=_settings(project)) as env:
        for _ in range(2):
            _expect(await _got(env, "/now"), ["real", "real", True], "a handler that injects")


async def _override(project: Project) -> None:
    async with running(_probe(), settings=_settings(project)) as env:
        with inject.override(Clock, Midnight()):
            _expect((await _got(env, "/now"))[:2], ["fake", "fake"], "within inject.override")
        _expect((await _got(env, "/now"))[:2], ["real", "real"], "after inject.override")


async def _config(project: Project) -> None:
    async with running(_probe(), settings=_settings(project)) as env:
        _expect(await _got(env, "/limit"), 3, f"inject.config({SECTION!r})")
        with inject.override(SECTION_OF, Section(limit=4)):
            _expect(await _got(env, "/limit"), 4, "within inject.override of a section")


async def _sections(project: Project, service: Any) -> None:
    life = Running(service, Scope(project.apart(), mode="test"))
    for name in service.config_models:
        life.resolve(service.config_key(name))


def _expect(seen: Any, expected: Any, what: str) -> None:
    if seen != expected:
        raise Failed(f"{what}: {seen!r}", repr(expected), FIX)
