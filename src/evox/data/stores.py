"""Stores: the backends of one service, each opened when something that lives there is first used."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from evox.config import DataSettings
from evox.data.backends.base import Backend
from evox.data.backends.memory import MemoryBackend
from evox.data.backends.opening import make_backend
from evox.data.declaring import declared_types, defined_intents
from evox.data.flights import Flights
from evox.data.homes import Home, Homes
from evox.data.near import Near
from evox.data.policy import check_backend
from evox.data.store import Store
from evox.errors import BackendUnavailable

__all__ = ["Stores"]

_log = logging.getLogger("evox.data")


class Stores:
    """The stores of one service.

    Args:
        service: The service's name.
        settings: ``[tool.evox.data]``.
        root: The project's folder.
        memory: The runtime's memory backend of this service.
        group: Where whatever watches backends runs.
        flights: The service's flights.
        workers: How many processes run the service.
    """

    def __init__(
        self,
        service: str,
        settings: DataSettings,
        root: Path,
        memory: MemoryBackend,
        group: TaskGroup,
        flights: Flights,
        workers: int,
    ) -> None:
        self._service = service
        self._settings = settings
        self._root = root
        self._memory = memory
        self._group = group
        self._flights = flights
        self._workers = workers
        self._default = settings.services.get(service, settings.backend)
        self._open: dict[str, Store] = {}
        self._checked: dict[Home, Store] = {}
        self._opening = anyio.Lock()

    def __repr__(self) -> str:
        return f"<Stores {', '.join(repr(store.backend) for store in self._open.values()) or 'none open'}>"

    def all(self) -> list[Store]:
        """Return those that are open."""
        return list(self._open.values())

    def remove_tags(self, tags: Sequence[str]) -> bool:
        """Remove the copies under any of the tags at once; False if something has to be waited for."""
        return all(store.remove_tags(tags) for store in self._open.values())

    def find(self, home: Home) -> Store | None:
        """Return the store of a home if it is open and known to keep what the home promises."""
        return self._checked.get(home)

    async def of(self, home: Home) -> Store:
        """Return the store of a home, opened if this is its first use.

        Raises:
            InvalidDeclaration: if its backend cannot keep what was promised.
            BackendUnavailable, BackendRefused, MissingExtra, UnsupportedSchema: if it cannot be used.
        """
        store = self.find(home)
        if store is None:
            url = home.backend or self._default
            if url == "memory":  # before anybody is told what opening it tells
                check_backend(home.policy, self._memory.facts, workers=self._workers, where=home.where)
            store = await self.open(url)
            check_backend(home.policy, store.backend.facts, workers=self._workers, where=home.where)
            self._checked[home] = store
        return store

    async def reach(self, home: Home) -> Store:
        """Return the store of a home, opened if need be, without asking whether it keeps what the home promises.

        Raises:
            BackendUnavailable, BackendRefused, MissingExtra, UnsupportedSchema: if it cannot be used.
        """
        return self.find(home) or await self.open(home.backend or self._default)

    async def prepare(self) -> None:
        """Open the service's own backend; memory of one of several workers when it is used, to say so then."""
        if self._default != "memory" or self._workers == 1:
            await self.open(self._default)

    async def open(self, url: str) -> Store:
        """Open a backend, if it is not open yet."""
        async with self._opening:
            if url in self._open:
                return self._open[url]
            settings = self._settings
            backend: Backend = self._memory
            near: Near | None = None
            if url == "memory" and self._workers > 1:
                _log.warning(
                    "service %s keeps data in memory, each of its %d workers for itself; "
                    "name a shared backend in [tool.evox.data] if they are to see each other's",
                    *(self._service, self._workers),
                )
            if url != "memory":
                backend = make_backend(url, settings, self._root)
                near = Near(settings.entries, settings.memory_bytes, settings.l1_ttl)
            store = Store(backend, near, self._flights)
            try:
                await backend.open(self._group, store)
            except BackendUnavailable as error:
                error.fix = "start it, or correct its URL in [tool.evox.data]"  # there is no old value to fall back to
                raise
            self._open[url] = store
            return store

    async def check(self, homes: Homes, folder: Path | None) -> None:
        """Open what is declared, and check that what was promised can be kept, before anybody relies on it.

        Looked at are all that the configuration speaks of, and types and names declared beside the service; others
        when they are first used.

        Args:
            homes: The service's homes.
            folder: Where the service is declared.

        Raises:
            InvalidDeclaration: naming the intent and the backend that cannot keep it.
        """
        targets = homes.configured()
        targets += [kind for kind, _ in declared_types() if _is_below(_file_of(kind), folder)]
        targets += [made for made, place in defined_intents() if _is_below(place.file, folder)]
        for target in targets:
            home = homes.look(target)
            if home.policy.strong or home.backend is not None:  # what a tag takes away may be in any of them
                await self.of(home)

    async def close(self) -> None:
        """Close all backends."""
        self._checked.clear()
        while self._open:
            _, store = self._open.popitem()
            await store.backend.close()


def _file_of(kind: type) -> str | None:
    return getattr(sys.modules.get(kind.__module__), "__file__", None)


def _is_below(file: str | None, folder: Path | None) -> bool:
    return file is not None and folder is not None and Path(file).resolve().is_relative_to(folder)
