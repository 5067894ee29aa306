"""Running: one life of one service, and the registry of those that share a runtime.

A ``Service`` only declares; everything that exists while it runs (instances, background tasks, jobs, lifespan
state) is here, so that the same service can run several times in one process without the lives seeing each other.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from fastapi import FastAPI
from pydantic import BaseModel

from evox import events
from evox.auth import (
    Authority,
    Caller,
    Mode,
    Requirement,
    anything_declared,
    current,
    declared_on_types,
    enter_principal,
    leave_principal,
    protected_types,
    requirements_within,
    system,
)
from evox.config import Loaded, PrioritySettings, Settings, find_root, load, section
from evox.data import Database, DataIO, MemoryBackend, make_database
from evox.errors import AuthError, OutsideRuntime, Place
from evox.runtime import (
    BackgroundStatistics,
    BackgroundTask,
    JobStatistics,
    Lifecycle,
    LifecycleStatistics,
    Nursery,
    RestartPolicy,
    Runner,
)
from evox.scheduling import Scheduler, SchedulerStatistics
from evox.services.endpoint import Endpoint
from evox.services.health import Check, Checks
from evox.services.hooks import Hook
from evox.services.injection import Container, Key, Overrides

__all__ = ["Declaration", "Running", "Scope", "ServiceSettings", "ServiceStatistics"]


@dataclass(slots=True)
class ServiceSettings:
    """What the builder's steps set. Durations in seconds; None means the project's setting."""

    port: int | None = None
    health_path: str = "/health"
    start_timeout: float | None = None
    restart: RestartPolicy | None = None
    depends_on: tuple[str, ...] = ()
    concurrency: PrioritySettings | None = None
    tags: tuple[str, ...] = ()
    fastapi: dict[str, Any] = field(default_factory=dict)


class Declaration(Protocol):
    """What the rooms below ``definition`` need of a ``Service``."""

    name: str
    version: str
    place: Place | None
    adopted: bool
    settings: ServiceSettings
    config_models: dict[str, type[BaseModel]]
    hooks: list[Hook]
    background: list[BackgroundTask]
    checks: list[Check]
    providers: dict[type, Any]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The compiled rows."""

    @property
    def asking(self) -> tuple[str, ...]:
        """What of it asks who calls, by name."""

    @property
    def caches_answers(self) -> bool:
        """Whether answers of any endpoint are kept."""

    @property
    def app(self) -> FastAPI:
        """The compiled app."""

    def compile(self) -> None:
        """Compile what was declared since the last time."""

    def reserve(self, row: Endpoint) -> None:
        """Note a built-in route."""

    def config_key(self, name: str) -> Key:
        """Return the injection key of a declared configuration section."""

    def ambient(self) -> "Running":
        """Return the life that a call belongs to."""

    def started_by(self, running: "Running", *, hosted: bool) -> None:
        """Note that a life began."""

    def stopped(self, running: "Running") -> None:
        """Note that a life ended."""


@dataclass(frozen=True, slots=True)
class ServiceStatistics:
    """One running service from outside."""

    name: str
    lifecycle: LifecycleStatistics
    background: tuple[BackgroundStatistics, ...]
    jobs: JobStatistics
    seats: SchedulerStatistics


class Scope:
    """What the services of one runtime share: settings, overrides, and who runs.

    Args:
        loaded: The project's configuration; the defaults when None.
        mode: Where keys for tokens may come from; see ``Authority``.
        on_job_error: Called with the error of any job or background task that failed; what it raises ends the service.
    """

    def __init__(
        self,
        loaded: Loaded | None = None,
        *,
        mode: Mode = "production",
        on_job_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.loaded = loaded if loaded is not None else Loaded(Settings(), Path.cwd())
        self.on_job_error = on_job_error
        self.overrides = Overrides()
        settings = self.loaded.settings
        self.authority = Authority(settings.auth, self.loaded.root, mode=mode, host=settings.host)
        self.scheduler = Scheduler(settings.priority)
        self._schedulers: dict[int, Scheduler] = {}
        self._memories: dict[int, MemoryBackend] = {}
        self._running: dict[int, Running] = {}

    @classmethod
    def of_project(cls, service: Declaration, within: "Running | None" = None) -> "Scope":
        """Make the scope of a service that runs under another server: with the configuration of its own project.

        Args:
            service: What was declared.
            within: The service that it is mounted in, if it is: who calls that is known by the same keys.
        """
        if within is not None:
            made = cls(within.runtime.loaded)
            made.authority = within.authority
            return made
        return cls(load(find_root(Path(service.place.file)))) if service.place is not None else cls()

    def __repr__(self) -> str:
        return f"<Scope of {', '.join(one.name for one in self._running.values()) or 'no services'}>"

    def scheduler_of(self, service: Declaration) -> Scheduler:
        """Return what admits a service's calls: its own seats, if it declared any, else those all others share."""
        own = service.settings.concurrency
        if own is None:
            return self.scheduler
        return self._schedulers.setdefault(id(service), Scheduler(own, name=f"service {service.name!r}"))

    def enter(self, running: "Running") -> None:
        """Register a life of a service; it takes the place of an earlier one."""
        self._running[id(running.service)] = running

    def memory_of(self, service: Declaration) -> MemoryBackend:
        """Return what a service keeps in memory. It outlasts a life of the service, as other backends do."""
        data = self.loaded.settings.data
        return self._memories.setdefault(id(service), MemoryBackend(data.entries, data.memory_bytes))

    def find(self, service: object) -> "Running | None":
        """Return the running instance of a declared service, or None."""
        return self._running.get(id(service))

    def running(self, service: object) -> "Running":
        """Return the running instance of a declared service.

        Raises:
            OutsideRuntime: if it does not run here.
        """
        found = self.find(service)
        if found is None:
            raise OutsideRuntime(repr(service))
        return found

    def override(self, thing: object, fake: object) -> AbstractContextManager[None]:
        """Replace what injection gives for ``thing``, in this runtime only."""
        return self.overrides.put(thing, fake)


class Running:
    """One life of one service.

    Args:
        service: What was declared.
        scope: The runtime it runs in.
        lifecycle: Its state; lives longer than one life when the service is restarted.
    """

    def __init__(self, service: Declaration, scope: Scope, lifecycle: Lifecycle | None = None) -> None:
        self.service = service
        self.runtime = scope
        self._system = system(service.name)
        self.lifecycle = lifecycle or Lifecycle(service.name)
        self.threads = anyio.CapacityLimiter(scope.loaded.settings.runtime.threads)
        self.nursery: Nursery | None = None
        self._data: DataIO | None = None
        self._spawn: Any = None
        self.loop: anyio.lowlevel.EventLoopToken | None = None  # the way back for threads that anyio did not start
        self.runners = tuple(
            Runner(task, service.name, threads=self.threads, on_error=scope.on_job_error) for task in service.background
        )
        self.draining = anyio.Event()
        self.settled = anyio.Event()  # hooks and lifespans have ended; only threads may still run
        self.on_ready: Callable[[], None] | None = None
        self.on_down: Callable[[], None] | None = None
        self.state: dict[str, Any] = {}
        beside = service.place.file if service.place is not None else ""
        self._folder = Path(beside).resolve().parent if beside else None
        self._container = Container(
            service.providers,
            scope.overrides,
            lambda name: section(scope.loaded, name, Path(beside).parent / "config.toml"),
            service.config_models,
            self._make_database,
        )
        self._database: Database | None = None
        self.health = Checks(service.name, tuple(service.checks), self.lifecycle, self.runners, self.threads)
        self.scheduler = scope.scheduler_of(service)
        scope.enter(self)

    def __repr__(self) -> str:
        return f"<Running {self.name!r} {self.lifecycle.state}>"

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    @property
    def data(self) -> DataIO:
        """The service's data.

        Raises:
            OutsideRuntime: if the service is not started.
        """
        if self._data is None:
            raise OutsideRuntime(f"data of service {self.name!r}")
        return self._data

    @property
    def maybe_data(self) -> DataIO | None:
        """The service's data, or None if it is not started: a call may come to an app that never was."""
        return self._data

    @property
    def authority(self) -> Authority:
        """What knows about tokens; shared with the other services of its runtime."""
        return self.runtime.authority

    @property
    def asks(self) -> bool:
        """Whether anything of the service asks who calls; what declares nothing is then for nobody."""
        return bool(self.service.asking)

    @property
    def looks_at_callers(self) -> bool:
        """Whether it matters who calls: to the service, or to data types that it may use."""
        return anything_declared() and (self.asks or declared_on_types())

    @property
    def shows_documentation(self) -> bool:
        """Whether everybody may read its document."""
        return not self.asks or self.authority.mode != "production" or self.runtime.loaded.settings.auth.docs

    async def open_auth(self, group: TaskGroup) -> None:
        """Read or fetch the keys that callers are known by; what keeps them fresh runs in ``group``.

        Raises:
            UnusableKey, MissingKeys: if something asks who calls, and nothing can find it out.
        """
        authority, needed = self.authority, list(self.service.asking)
        if not needed and declared_on_types() and authority.mode != "production":
            needed = ["a data type"]
        authority.open(needed)
        self._spawn = group.start_soon
        await authority.prepare(group.start_soon)

    async def identify(self, headers: Any, *, operation: str | None, optional: bool) -> Caller:
        """Return who a request comes from; see ``Authority.identify``."""
        authority = self.authority
        if not authority.is_open:  # under another server, without its lifespan
            authority.open(() if optional else self.service.asking)
        return await authority.identify(
            headers, service=self.name, operation=operation, optional=optional, spawn=self._spawn
        )

    def refused(self, error: AuthError, target: str) -> None:
        """Tell those who watch that a caller was refused, and why."""
        found = self.authority.refusals.add(error, service=self.name, target=target)
        events.notify(events.CallRefused(self.name, target, found.status, found.reason))

    def _guard_data(self, requirements: tuple[Requirement, ...], label: str) -> None:
        """Let the current caller use values of a type.

        Raises:
            NotAuthenticated, NotAllowed: if it may not.
        """
        try:
            for requirement in requirements:
                requirement.check(current(), label)
        except AuthError as error:
            self.refused(error, label)
            raise

    def as_service(self, function: Callable[..., Any], *args: Any, name: str | None = None) -> None:
        """Start a job on behalf of the service itself, whoever has caused it."""
        token = enter_principal(self._system)
        try:
            self.start_soon(function, *args, name=name)
        finally:
            leave_principal(token)

    async def open_data(self, group: TaskGroup) -> None:
        """Open the service's data; what watches backends and fills copies runs in ``group``."""
        loaded = self.runtime.loaded
        self.loop = anyio.lowlevel.current_token()
        self._data = DataIO(
            self.name,
            loaded.settings.data,
            loaded.root,
            self.runtime.memory_of(self.service),
            group,
            start_soon=self.start_soon,
            start_handler=self.as_service,
            asks=requirements_within,
            protected=protected_types,
            guard=self._guard_data,
            workers=loaded.settings.workers,
        )
        await self._data.open()
        await self._data.check(self._folder)

    async def close_data(self) -> None:
        """Close the service's data."""
        if self._database is not None:
            await self._database.close()
        if self._data is not None:
            await self._data.close()

    def _make_database(self) -> Database:
        loaded = self.runtime.loaded
        self._database = make_database(self.name, loaded.settings.data, loaded.root)
        return self._database

    def resolve(self, thing: Any) -> Any:
        """Return what injection gives for a type or named value; it is made on the service's behalf, being for all."""
        token = enter_principal(self._system)
        try:
            return self._container.resolve(thing)
        finally:
            leave_principal(token)

    def start_soon(self, job: Callable[..., Any], *args: Any, name: str | None = None) -> None:
        """Start a job in the service's nursery; see ``Nursery.start_soon``.

        Raises:
            OutsideRuntime: if the service is not started.
        """
        if self.nursery is None:
            raise OutsideRuntime(f"start_soon of service {self.name!r}")
        self.nursery.start_soon(job, *args, name=name)

    def statistics(self) -> ServiceStatistics:
        """Return state, background tasks and jobs."""
        jobs = self.nursery.statistics() if self.nursery is not None else JobStatistics((), 0, 0)
        background = tuple(runner.statistics() for runner in self.runners)
        seats = self.scheduler.statistics()
        return ServiceStatistics(self.name, self.lifecycle.statistics(), background, jobs, seats)
