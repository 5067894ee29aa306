"""Opening: a URL to the backend that it names. What a backend needs is imported when one is named."""

import importlib
from pathlib import Path
from typing import Any, Final

from evox.config import DataSettings, scheme_of
from evox.data.backends.base import Backend
from evox.errors import MissingExtra

__all__ = ["make_backend", "sqlite_path"]

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


def sqlite_path(url: str, root: Path) -> Path:
    """Return the file of ``sqlite:///file.db`` (below ``root``) or ``sqlite:////var/file.db``."""
    return root / url.removeprefix("sqlite:///")
