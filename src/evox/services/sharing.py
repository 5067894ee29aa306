"""Sharing: what the services of one runtime share: settings, who runs, and what rooms above keep for them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from evox.auth import Authority, Mode
from evox.config import Loaded, Settings, find_root, load
from evox.data import MemoryBackend
from evox.errors import OutsideRuntime
from evox.scheduling import Scheduler
from evox.services.declaration import Declaration
from evox.services.injection import Overrides
from evox.services.observing import Onlookers

__all__ = ["Room", "Scope", "observed_by"]


class Room(Protocol):
    """What a room above keeps for one runtime."""

    def __init__(self, scope: "Scope") -> None: ...

    async def aclose(self) -> None:
        """End it."""


R = TypeVar("R", bound=Room)
_observed_by: list[type[Any]] = []


def observed_by(kind: type[Any]) -> None:
    """Say which room knows what there is to see of a runtime; that room does, as it is above."""
    _observed_by[:] = [kind]


class Scope:
    """What the services of one runtime share: settings, overrides, and who runs.

    Args:
        loaded: The project's configuration; the defaults when None.
        mode: Where keys for tokens may come from, and who may look at what runs; see ``Authority``, ``Onlookers``.
        on_job_error: Called with the error of any job or background task that failed; what it raises ends the service.

    Attributes:
        declared: Services of the project, run here or not: callers know their operations and types.
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
        self.onlookers = Onlookers(settings.observe, self.loaded.root, mode)
        self.scheduler = Scheduler(settings.priority)
        self._schedulers: dict[int, Scheduler] = {}
        self._memories: dict[int, MemoryBackend] = {}
        self._running: dict[int, Any] = {}
        self.declared: list[Declaration] = []
        self._rooms: dict[type[Any], Any] = {}

    @classmethod
    def of_project(cls, service: Declaration, within: Any = None) -> "Scope":
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

    def enter(self, running: Any) -> None:
        """Register a life of a service; it takes the place of an earlier one."""
        self._running[id(running.service)] = running

    def memory_of(self, service: Declaration) -> MemoryBackend:
        """Return what a service keeps in memory. It outlasts a life of the service, as other backends do."""
        data = self.loaded.settings.data
        return self._memories.setdefault(id(service), MemoryBackend(data.entries, data.memory_bytes))

    def find(self, service: object) -> Any:
        """Return the running instance of a declared service, or None."""
        return self._running.get(id(service))

    def running(self, service: object) -> Any:
        """Return the running instance of a declared service.

        Raises:
            OutsideRuntime: if it does not run here.
        """
        found = self.find(service)
        if found is None:
            raise OutsideRuntime(repr(service))
        return found

    @property
    def observation(self) -> Any:
        """What there is to see of this runtime; None where the room that knows is not there."""
        return self.room(_observed_by[-1]) if _observed_by else None

    @property
    def schedulers(self) -> tuple[Scheduler, ...]:
        """What admits calls here: the seats that services share, and those that they have for themselves."""
        return (self.scheduler, *self._schedulers.values())

    @property
    def size(self) -> int:
        """How many services run, or have run, here."""
        return len(self._running)

    @property
    def lives(self) -> tuple[Any, ...]:
        """The services that run, or have run, here."""
        return tuple(self._running.values())

    def room(self, kind: type[R]) -> R:
        """Return what a room above keeps for this runtime; it is made when first asked for."""
        found: R | None = self._rooms.get(kind)
        if found is None:
            found = self._rooms[kind] = kind(self)
        return found

    async def close(self) -> None:
        """Close what rooms above keep for this runtime."""
        while self._rooms:
            _, room = self._rooms.popitem()
            await room.aclose()

    def override(self, thing: object, fake: object) -> AbstractContextManager[None]:
        """Replace what injection gives for ``thing``, in this runtime only."""
        return self.overrides.put(thing, fake)
