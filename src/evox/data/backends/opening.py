"""Opening: a URL to the backend that it names. What a backend needs is imported when one is named."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from evox.config import DataSettings, scheme_of
from evox.data.backends.base import Backend
from evox.data.database import Database
from evox.errors import InvalidOption, MissingExtra

__all__ = ["SQLAddress", "make_backend", "make_database", "sql_address", "sqlite_path"]

_MODULES: Final = {
    "sqlite": ("evox.data.backends.sqlite", "SQLiteBackend", ""),
    "postgresql": ("evox.data.backends.postgres", "PostgresBackend", "postgres"),
    "valkey": ("evox.data.backends.valkey", "ValkeyBackend", "valkey"),
}


def make_backend(url: str, settings: DataSettings, root: Path) -> Backend:
    """Make the backend of a URL, not yet open. ``memory`` is made by the runtime, whose services' lives it outlasts.

    Args:
        url: As in ``[tool.evox.data]``.
        settings: Timeouts and numbers of connections.
        root: The project's folder, from which relative paths count.

    Raises:
        MissingExtra: if its packages are not installed.
    """
    scheme = scheme_of(url)
    module, name, extra = _MODULES[scheme]
    try:
        kind: Any = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("evox"):
            raise
        raise MissingExtra(f"backend {scheme}://", extra) from None
    backend: Backend = kind(sqlite_path(url, root) if scheme == "sqlite" else url, settings)
    return backend


def make_database(service: str, settings: DataSettings, root: Path) -> Database:
    """Make the SQL database of a service, which connects when it is first used.

    Args:
        service: The service's name.
        settings: ``[tool.evox.data]``.
        root: The project's folder.

    Raises:
        MissingExtra: if its packages are not installed.
        InvalidOption: if what is configured is no SQL database.
    """
    address = sql_address(service, settings, root)
    if address.path is None:
        try:
            module = importlib.import_module("evox.data.backends.postgres_database")
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("evox"):
                raise
            raise MissingExtra("inject.db() with postgresql://", "postgres") from None
        made: Database = module.PostgresDatabase(address.url, settings)
        return made
    module = importlib.import_module("evox.data.backends.sqlite_database")
    database: Database = module.SQLiteDatabase(address.path, timeout=settings.timeout, ignored=address.own)
    return database


@dataclass(frozen=True, slots=True)
class SQLAddress:
    """Where a SQL database is.

    Attributes:
        url: As it was configured; of a file that is a service's own, one that names it.
        path: The file; None for a server.
        own: Whether it is the file that a service has when nothing is configured.
    """

    url: str = field(repr=False)
    path: Path | None = None
    own: bool = False


def sql_address(service: str, settings: DataSettings, root: Path) -> SQLAddress:
    """Return where the SQL database of a service is: see ``make_database``."""
    url = settings.database or settings.services.get(service, settings.backend)
    scheme = scheme_of(url)
    if scheme == "postgresql":
        return SQLAddress(url)
    if scheme == "sqlite":
        return SQLAddress(url, sqlite_path(url, root))
    if settings.database is not None:
        why = "inject.db() is a SQL database: sqlite:///... or postgresql://..."
        raise InvalidOption("data.database", source="the configuration", why=why)
    return SQLAddress(f"sqlite:///.evox/{service}.db", root / ".evox" / f"{service}.db", own=True)


def sqlite_path(url: str, root: Path) -> Path:
    """Return the file of ``sqlite:///file.db`` (below ``root``) or ``sqlite:////var/file.db``."""
    return root / url.removeprefix("sqlite:///")
