"""Storage: whether each backend that the project names takes a value, gives it back, and lets it go again.

It is opened as a service opens it. What is written stands under a name that no service can have, so it is nobody
else's, and it is deleted however the check ends. A SQLite file that is not there yet is not made: a file beside it is,
for the time of the check.
"""

import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import anyio

from evox.config import DataSettings, scheme_of, without_secrets
from evox.data import DataIO, Entry, MemoryBackend
from evox.data.backends.opening import make_database, sqlite_path
from evox.testing.selftest.backends import backends_of
from evox.testing.selftest.project import Check, Project
from evox.testing.selftest.results import Failed

__all__ = ["storage_checks"]

CLEANING: Final = 1.0  # seconds; twice that is less than what a check may take after its limit
IMPORT: Final = 10.0  # seconds that a driver may take to be imported, on a machine that has much to do
KEY: Final = "probe"
FIX: Final = "look into its log: it acknowledges what it does not keep"


class _Undo(Exception):
    """Ends a transaction without keeping what was done in it."""


def storage_checks(project: Project) -> Iterator[Check]:
    """Yield one check for each backend that the project names, and one for its SQL database."""
    data = project.loaded.settings.data
    limit = 2 * data.timeout + IMPORT
    for url, names in backends_of(project).items():
        name = f"storage: {without_secrets(url)} ({', '.join(names)})"
        yield Check("connection", name, partial(_tried, project, url), limit=limit)
    if data.database is not None:
        name = f"storage: {without_secrets(data.database)} (inject.db)"
        yield Check("connection", name, partial(_database, project, data.database), limit=limit)


async def _tried(project: Project, url: str) -> str:
    settings, root = project.loaded.settings.data, project.loaded.root
    file = sqlite_path(url, root) if scheme_of(url) == "sqlite" else None
    with _writable(file) if file is not None else nullcontext(None) as other:
        used = url if other is None else f"sqlite:///{other}"
        async with _opened(settings.model_copy(update={"backend": used, "intents": {}}), root) as data:
            took = await _round_trip(data)
            await _kept_stale(data)
    beside = "; the file is not there yet, so one beside it was tried" if other is not None else ""
    return f"round trip {1000 * took:.1f} ms{beside}"


def _writable(file: Path) -> Any:
    """Return what gives the file to try in place of one that is not there; None for one that is.

    Raises:
        Failed: if the file, or the folder that it is or will be in, cannot be written.
    """
    folder = next((one for one in file.resolve().parents if one.exists()), Path("/"))
    for one in (file, folder) if file.exists() else (folder,):
        if not os.access(one, os.W_OK):
            raise Failed(f"{one} cannot be written", "a file and a folder that this user may write to", f"chown {one}")
    return nullcontext(None) if file.exists() else _Beside(folder)


class _Beside:
    """A new file in a new folder within a folder, for the time of a block."""

    def __init__(self, folder: Path) -> None:
        self._made = tempfile.TemporaryDirectory(prefix=".evox-selftest-", dir=folder)

    def __enter__(self) -> Path:
        return Path(self._made.name) / "probe.db"

    def __exit__(self, *_: object) -> None:
        self._made.cleanup()


@asynccontextmanager
async def _opened(settings: DataSettings, root: Path) -> AsyncIterator[DataIO]:
    """Open data as a service does, under a name that none can have: those of services begin with a letter."""
    async with anyio.create_task_group() as group:
        memory = MemoryBackend(settings.entries, settings.memory_bytes)
        data = DataIO(f"~selftest-{token_hex(8)}", settings, root, memory, group, start_soon=_nothing)
        try:
            await data.open()
            yield data
        finally:
            with anyio.move_on_after(CLEANING, shield=True):
                await _cleaned(data)
            with anyio.move_on_after(CLEANING, shield=True):
                await data.close()
            group.cancel_scope.cancel()


def _nothing(*_: Any, **__: Any) -> None:
    """Start no job: nobody listens to what happens to this data."""


async def _cleaned(data: DataIO) -> None:
    for store in data.stores.all():
        await store.backend.delete(data.homes.untyped.prefix + KEY)


async def _round_trip(data: DataIO) -> float:
    """Write, read, delete and read again; return the seconds of the first two."""
    value = {"of": "the self-test", "number": token_hex(8)}
    began = time.perf_counter()
    await data.write(KEY, value)
    seen = await data.read(KEY)
    took = time.perf_counter() - began
    if seen != value:
        raise Failed(f"a value that was written is read as {seen!r}", repr(value), FIX)
    await data.delete(KEY)
    seen = await data.read(KEY)
    if seen is not None:
        raise Failed(f"a value that was deleted is read as {seen!r}", "nothing", FIX)
    return took


async def _kept_stale(data: DataIO) -> None:
    """Write a copy that is not fresh any more and is kept for a fallback: it must still be there."""
    store = await data.stores.of(data.homes.untyped)
    now, full = store.backend.clock(), data.homes.untyped.prefix + KEY
    copy = Entry(b'"old"', stored_at=now - 2, fresh_until=now - 1, keep_until=now + 60, evictable=True)
    await store.backend.put(full, copy)
    held = (await store.backend.get(full)).entry
    if held is None or held.data != copy.data:
        raise Failed("an old copy that is to be kept is gone", "that it is there until it is past max_stale", FIX)


async def _database(project: Project, url: str) -> str:
    """Begin a transaction, write to a table of its own, read from it, and undo all of it."""
    loaded = project.loaded
    settings, root = loaded.settings.data, loaded.root
    file = sqlite_path(url, root) if scheme_of(url) == "sqlite" else None
    table, began = f"evox_selftest_{token_hex(8)}", time.perf_counter()
    with _writable(file) if file is not None else nullcontext(None) as other:
        used = url if other is None else f"sqlite:///{other}"
        database = make_database("selftest", settings.model_copy(update={"database": used}), root)
        rows: list[Any] = []
        try:
            async with database.transaction():
                await database.execute(f"CREATE TEMPORARY TABLE {table} (value TEXT)")
                await database.execute(f"INSERT INTO {table} VALUES (?)", table)  # noqa: S608  a name made here
                rows = await database.fetch_all(f"SELECT value FROM {table}")  # noqa: S608
                raise _Undo  # noqa: TRY301  so that nothing is kept
        except _Undo:
            pass
        finally:
            with anyio.move_on_after(CLEANING, shield=True):
                await database.close()
    if rows != [{"value": table}]:
        raise Failed(f"a row that was written is read as {rows!r}", "what was written", FIX)
    return f"a transaction that was undone, {1000 * (time.perf_counter() - began):.1f} ms"
