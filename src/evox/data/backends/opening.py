"""Opening: a URL to the backend that it names. What a backend needs is imported when one is named."""

import importlib
from pathlib import Path
from typing import Any, Final

from evox.config import DataSettings, scheme_of
from evox.data.backends.base import Backend
from evox.data.database import Database
from evox.errors import InvalidOption, MissingExtra

__all__ = ["make_backend", "make_database", "sqlite_path"]

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
    url = settings.database or settings.services.get(service, settings.backend)
    scheme = scheme_of(url)
    if scheme == "postgresql":
        try:
            module = importlib.import_module("evox.data.backends.postgres_database")
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("evox"):
                raise
            raise MissingExtra("inject.db() with postgresql://", "postgres") from None
        made: Database = module.PostgresDatabase(url, settings)
        return made
    if scheme != "sqlite" and settings.database is not None:
        why = "inject.db() is a SQL database: sqlite:///... or postgresql://..."
        raise InvalidOption("data.database", source="the configuration", why=why)
    module = importlib.import_module("evox.data.backends.sqlite_database")
    own = scheme != "sqlite"
    path = root / ".evox" / f"{service}.db" if own else sqlite_path(url, root)
    database: Database = module.SQLiteDatabase(path, timeout=settings.timeout, ignored=own)
    return database


def sqlite_path(url: str, root: Path) -> Path:
    """Return the file of ``sqlite:///file.db`` (below ``root``) or ``sqlite:////var/file.db``."""
    return root / url.removeprefix("sqlite:///")
