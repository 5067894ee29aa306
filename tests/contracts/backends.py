"""The backends that the contract suite runs over, each opened on a store of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from tests import postgres_server, valkey_server

from evox.config import DataSettings
from evox.data.backends.base import Backend, Change
from evox.data.backends.memory import MemoryBackend
from evox.data.backends.postgres import PostgresBackend
from evox.data.backends.sqlite import SQLiteBackend
from evox.data.backends.valkey import ValkeyBackend
from evox.data.entries import Entry

__all__ = ["KINDS", "Heard", "entry", "opened"]

KINDS = ("memory", "sqlite", "postgresql", "valkey")
SHARED = ("sqlite", "postgresql", "valkey")
REPORTING = ("sqlite", "postgresql", "valkey")


@dataclass
class Heard:
    """What a backend reported."""

    changes: list[Change] = field(default_factory=list)
    lost_times: int = 0
    found_times: int = 0
    news: anyio.Event = field(default_factory=anyio.Event)

    def changed(self, change: Change) -> None:
        self.changes.append(change)
        self.tell()

    def lost(self) -> None:
        self.lost_times += 1
        self.tell()

    def found(self) -> None:
        self.found_times += 1
        self.tell()

    def tell(self) -> None:
        self.news.set()
        self.news = anyio.Event()

    async def wait_for(self, *, key: str | None = None, guard: str | None = None) -> Change:
        """Wait until a change of a key or guard was reported."""
        while True:
            for change in self.changes:
                if (key is not None and change.key == key) or (guard is not None and change.guard == guard):
                    return change
            await self.news.wait()


_emptied: set[str] = set()


@asynccontextmanager
async def opened(kind: str, folder: Path, heard: Heard | None = None, *, notify: bool = True) -> AsyncIterator[Backend]:
    """Open a backend; those opened on one folder share their store."""
    settings = DataSettings(notify=notify)
    backend: Backend
    if kind == "memory":
        backend = MemoryBackend(settings.entries, settings.memory_bytes)
    elif kind == "sqlite":
        backend = SQLiteBackend(folder / "store.db", settings)
    else:
        server = valkey_server if kind == "valkey" else postgres_server
        if str(folder) not in _emptied:
            server.flush()
            _emptied.add(str(folder))
        make = ValkeyBackend if kind == "valkey" else PostgresBackend
        backend = make(server.url(), settings)
    async with anyio.create_task_group() as group:
        await backend.open(group, heard or Heard())
        try:
            yield backend
        finally:
            await backend.close()
            group.cancel_scope.cancel()


def entry(
    data: bytes = b"1", *, backend: Backend, keep: float | None = None, copy: bool = False, tags: tuple[str, ...] = ()
) -> Entry:
    """Make an entry; ``keep`` in seconds from now."""
    now = backend.clock()
    until = float("inf") if keep is None else now + keep
    return Entry(data, "j", now, until, until, copy, tags)
