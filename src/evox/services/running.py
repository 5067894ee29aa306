"""Running: one life of one service.

A ``Service`` only declares; everything that exists while it runs (instances, background tasks, jobs, lifespan
state) is here, so that the same service can run several times in one process without the lives seeing each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from evox import events
from evox.auth import (
    Authority,
    Caller,
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
from evox.config import section
from evox.data import Database, DataIO, make_database
from evox.data.clock import loop_clock
from evox.errors import AuthError, OutsideRuntime
from evox.runtime import (
    BackgroundStatistics,
    JobStatistics,
    Lifecycle,
    LifecycleStatistics,
    Nursery,
    Runner,
)
from evox.scheduling import SchedulerStatistics
from evox.services.declaration import Declaration
from evox.services.first_answers import FirstAnswers
from evox.services.health import Checks
from evox.services.injection import Container
from evox.services.sharing import Scope

__all__ = ["Running", "ServiceStatistics"]


@dataclass(frozen=True, slots=True)
class ServiceStatistics:
    """One running service from outside."""

    name: str
    lifecycle: LifecycleStatistics
    background: tuple[BackgroundStatistics, ...]
    jobs: JobStatistics
    seats: SchedulerStatistics


class Running:
    """One life of one service.

    Args:
        service: What was declared.
        scope: The runtime it runs in.
        lifecycle: Its state; lives longer than one life when the service is restarted.
    """

    def __init__(self, service: Declaration, scope: Scope, lifecycle: Lifecycle | None = None) -> None:
        self.service = service
        self.name = service.name
        self.runtime = scope
        self._system = system(service.name)
        self.lifecycle = lifecycle or Lifecycle(service.name)
        self.threads = anyio.CapacityLimiter(scope.loaded.settings.runtime.threads)
        self.nursery: Nursery | None = None
        self._data: DataIO | None = None
        self._first_answers: FirstAnswers | None = None
        self._spawn: Any = None
        self.clock: Callable[[], float] = anyio.current_time  # once it is started, the loop's own, which is far quicker
        self.loop: anyio.lowlevel.EventLoopToken | None = None  # the way back for threads that anyio did not start
        self.runners = tuple(
            Runner(task, service.name, threads=self.threads, on_error=scope.on_job_error) for task in service.background
        )
        self.draining = anyio.Event()
        self.settled = anyio.Event()  # hooks and lifespans have ended; only threads may still run
        self.calls: set[anyio.CancelScope] = set()  # those that other services of the process make here
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
    def first_answers(self) -> FirstAnswers:
        """The first answers to requests with an idempotency key.

        Raises:
            OutsideRuntime: if the service is not started.
        """
        if self._first_answers is None:
            self._first_answers = FirstAnswers(self.data)
        return self._first_answers

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
        self.runtime.onlookers.open()
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
        self.clock = loop_clock()
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

    def spawn(self, function: Callable[..., Any], *args: Any, name: str) -> None:
        """Start a task beside the service's own, on behalf of who asks; it ends with the service.

        Raises:
            OutsideRuntime: if the service is not started.
        """
        if self.nursery is None or self._spawn is None:
            raise OutsideRuntime(f"a task of service {self.name!r}")
        self._spawn(function, *args, name=f"svc:{self.name}/{name}")

    def watch(self) -> None:
        """Let what is seen of the runtime hear what this context and its tasks tell."""
        observation = self.runtime.observation
        if observation is not None:
            events.observe(observation)

    def cut(self) -> None:
        """End the calls that other services of the process make here: the service is down."""
        for scope in self.calls:
            scope.cancel()

    def statistics(self) -> ServiceStatistics:
        """Return state, background tasks and jobs."""
        jobs = self.nursery.statistics() if self.nursery is not None else JobStatistics((), 0, 0)
        background = tuple(runner.statistics() for runner in self.runners)
        seats = self.scheduler.statistics()
        return ServiceStatistics(self.name, self.lifecycle.statistics(), background, jobs, seats)
