"""Registry: how services of several machines find each other, through a Valkey or Redis server.

Every running service announces its address under a lease that it renews, and others look it up. Whoever is killed is
gone when its lease is over. Where calls go, and whether they are repeated elsewhere, is decided by those who ask.
"""

import importlib
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Never

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup, TaskStatus

from evox.config import without_secrets
from evox.errors import MissingExtra, RegistryUnavailable
from evox.service_proxy.registry_memory import Instance, RegistryMemory, is_address, pause_after_failure

if TYPE_CHECKING:  # its driver is an extra, so it is imported when a registry is made
    from evox.service_proxy.registry_store import RegistryStore

__all__ = ["Registry", "RegistryStatistics"]

_log = logging.getLogger("evox.proxy")
REMOVING: Final = 1.0  # seconds that an end may take longer for the sake of the registry
JITTER: Final = 0.2  # share of the time between two renewals by which one may come earlier


@dataclass(frozen=True, slots=True)
class RegistryStatistics:
    """What a registry does, and counts since it was made.

    Attributes:
        announced: What is announced here now.
        known: Services that were looked up.
        available: Whether the last lookup could be made.
        renewals: Announcements, the first ones included.
        fetches: Times that the server was asked where a service runs.
        joined: Lookups that waited for the fetch of another.
        failures: Announcements and fetches that failed.
        connections: Connections that are open.
    """

    announced: tuple[Instance, ...]
    known: tuple[str, ...]
    available: bool
    renewals: int
    fetches: int
    joined: int
    failures: int
    connections: int


class Registry:
    """Where services run. It works as it is made; ``open`` saves it a new connection for each question.

    Args:
        url: ``valkey://user:password@host:6379/0``; ``valkeys://`` for TLS; ``redis://`` and ``rediss://`` alike.
        lease: Seconds after which an announcement that is not renewed is over.
        timeout: Seconds that the server may take to answer.
        rand: Returns a number from 0 to 1, by which renewals are spread.

    Raises:
        BackendRefused: if the URL cannot be used.
        MissingExtra: if the driver is not installed.
        ValueError: if the lease or the timeout is not above 0.
    """

    def __init__(
        self, url: str, *, lease: float = 15.0, timeout: float = 5.0, rand: Callable[[], float] = random.random
    ) -> None:
        if not (lease > 0 and timeout > 0):
            raise ValueError(f"lease and timeout are seconds above 0, and not {lease!r} and {timeout!r}")
        try:
            kind: type[RegistryStore] = importlib.import_module("evox.service_proxy.registry_store").RegistryStore
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("evox"):
                raise
            raise MissingExtra("the registry of services", "valkey") from None
        self._store = kind(url, timeout)
        self._lease = lease
        self._rand = rand
        self._memories: dict[str, RegistryMemory] = {}
        self._announced: list[Instance] = []
        self._renewals = self._fetches = self._joined = self._failures = 0
        self._available = True
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Registry {self._store.name}: {len(self._announced)} announced, {len(self._memories)} looked up>"

    async def open(self, group: TaskGroup) -> None:
        """Keep one connection from now on, as a child of a group."""
        await self._store.open(group)

    async def close(self) -> None:
        """Look nothing up any more, and end the connection. Announcements end when they are cancelled, before this."""
        self._is_closed = True
        await self._store.close()

    async def announce(
        self, service: str, url: str, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> Never:
        """Announce that a service runs, until this is cancelled; its entry is taken out then, within a second.

        It goes on while the server cannot be reached.

        Args:
            service: The service's name.
            url: Where others reach it, such as ``https://10.0.0.7:8443``.
            task_status: Told when it is announced for the first time.

        Raises:
            ValueError: if the URL is none that others would believe.
        """
        if not is_address(url):
            shown = without_secrets(url)
            raise ValueError(f"{shown!r} is no URL of a service: http or https, a host, and no user, query or fragment")
        instance = Instance(service, url)
        is_announced = is_down = False
        written = ""
        try:
            while True:
                # What stands there is not known from here on, until the answer is.
                written = ""
                try:
                    written = await self._store.announce(service, url, self._lease)
                except RegistryUnavailable as error:
                    self._failures += 1
                    if not is_down:
                        self._warn(f"service {service!r} cannot be announced at {url}", error)
                    is_down = True
                else:
                    self._renewals += 1
                    if is_down:
                        _log.info("service %r is announced at %s%s", service, url, " again" if is_announced else "")
                    is_down = False
                    if not is_announced:
                        is_announced = True
                        self._announced.append(instance)
                        task_status.started()
                await anyio.sleep(self._pause(is_down=is_down))
        finally:
            if is_announced:
                self._announced.remove(instance)
            with anyio.move_on_after(REMOVING, shield=True):
                await self._remove(instance, written)

    async def instances(self, service: str) -> tuple[Instance, ...]:
        """Return where a service runs, as it was at most a third of a lease ago; nothing if nobody has announced it.

        The server is asked once for all who want to know at the same time. While it cannot be asked, the last answer is
        given for one lease more.

        Raises:
            RegistryUnavailable: if that is over too, or there was no answer yet.
        """
        await anyio.lowlevel.checkpoint()
        memory = self._memories.get(service)
        if memory is None:
            memory = self._memories[service] = RegistryMemory(service, self._lease)
        while not self._is_closed and memory.is_due(anyio.current_time()):
            if memory.asking is None:
                await self._fetch(service, memory)
            else:
                self._joined += 1
                await memory.asking.wait()
        known = None if self._is_closed else memory.known(anyio.current_time())
        if known is None:
            raise RegistryUnavailable(self._store.name, service, memory.why or "it was closed here")
        return known

    def forget(self, instance: Instance) -> None:
        """Leave out an instance that could not be reached, until the server is asked again."""
        memory = self._memories.get(instance.service)
        if memory is not None:
            memory.forget(instance.url, anyio.current_time())

    def statistics(self) -> RegistryStatistics:
        """Return what is announced and known here, and counts."""
        return RegistryStatistics(
            announced=tuple(self._announced),
            known=tuple(self._memories),
            available=self._available,
            renewals=self._renewals,
            fetches=self._fetches,
            joined=self._joined,
            failures=self._failures,
            connections=self._store.statistics().open,
        )

    async def _fetch(self, service: str, memory: RegistryMemory) -> None:
        """Ask in the task of whoever came first. When that is cancelled, one of those who wait asks anew."""
        memory.asking = asking = anyio.Event()
        began = anyio.current_time()
        self._fetches += 1
        try:
            found = await self._store.find(service)
        except RegistryUnavailable as error:
            self._failures += 1
            memory.failed(error.reason, anyio.current_time())
            if self._available:
                self._warn("services cannot be looked up", error)
            self._available = False
        else:
            memory.fetched(found, began=began, now=anyio.current_time())
            if not self._available:
                _log.info("services can be looked up again")
            self._available = True
        finally:
            memory.asking = None
            asking.set()

    async def _remove(self, instance: Instance, written: str) -> None:
        try:
            await self._store.remove(instance.service, instance.url, written)
        except RegistryUnavailable as error:  # it is over when its lease is
            _log.debug("service %r was not taken out at %s: %s", instance.service, instance.url, error.why)

    def _warn(self, what: str, error: RegistryUnavailable) -> None:
        """Once for each outage, and not for each try."""
        _log.warning("%s: %s: %s", what, self._store.name, error.reason)

    def _pause(self, *, is_down: bool) -> float:
        if is_down:
            return pause_after_failure(self._lease) * (1 - self._rand() / 2)
        return self._lease / 3 * (1 - JITTER * self._rand())
