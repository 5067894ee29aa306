"""Data: where data lives. ``[tool.evox.data]``, with one sub-table for services and one for named intents."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ByteSize, Field

from evox.config.fields import Bytes, Count, Limit, Seconds, Table

__all__ = ["DataSettings", "IntentSettings", "scheme_of", "without_secrets"]

SCHEMES: Final = {
    "memory": "memory",
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "valkey": "valkey",
    "redis": "valkey",
    "valkeys": "valkey",
    "rediss": "valkey",
}
_KNOWN: Final = "memory, sqlite:///path, postgresql://... and valkey://... (or redis://...)"


def scheme_of(url: str) -> str:
    """Return which backend a URL names: ``"memory"``, ``"sqlite"``, ``"postgresql"`` or ``"valkey"``.

    Raises:
        ValueError: if there is no such backend.
    """
    scheme = url.partition(":")[0].lower()
    if scheme not in SCHEMES or (scheme != "memory" and "://" not in url):
        raise ValueError(f"{without_secrets(url)!r} names no backend; there are {_KNOWN}")
    if SCHEMES[scheme] == "sqlite" and not re.match(r"sqlite:///.+", url):
        raise ValueError("write sqlite:///file.db for a file beside the project, sqlite:////var/file.db for any other")
    return SCHEMES[scheme]


def without_secrets(url: str) -> str:
    """Return a URL as it may be shown: without its password, and without parameters that may hold one."""
    shown = re.sub(r"(//[^/@:]*):\S*@", r"\1:***@", url)  # up to the last @: people forget to quote theirs
    return re.sub(r"(?i)([?&][^=&]*(?:pass|secret|token|key)[^=&]*=)[^&]*", r"\1***", shown)


def _backend(url: str) -> str:
    scheme_of(url)
    return url


Backend = Annotated[str, AfterValidator(_backend)]


class IntentSettings(Table):
    """``[tool.evox.data.intents.NAME]``. What is left out is as the code says."""

    cacheable: bool | None = None
    ttl: Seconds | None = None
    consistency: Literal["strong", "eventual"] | None = None
    fallback: Literal["aggressive"] | None = None
    max_stale: Seconds | None = None
    soft_timeout: Seconds | None = None
    timeout: Seconds | None = None
    eager: float | None = None
    jitter: float | None = None
    negative_ttl: Seconds | None = None
    key: str | None = None
    backend: Backend | None = None
    tags: tuple[str, ...] = ()

    def said(self) -> dict[str, Any]:
        """Return what was set."""
        return self.model_dump(exclude_unset=True)


class DataSettings(Table):
    """``[tool.evox.data]``. Where data lives, and how much of it is kept in memory."""

    backend: Backend = Field(default="memory", repr=False, description=f"where data is kept: {_KNOWN}")
    database: Backend | None = Field(
        default=None,
        repr=False,
        description="what `inject.db()` gives: `sqlite:///...` or `postgresql://...`; the backend if it is one of them, else `.evox/<service>.db`",  # noqa: E501  one row of a table
    )
    services: dict[str, Backend] = Field(default={}, repr=False, description="backends of single services, by name")
    intents: dict[str, IntentSettings] = Field(default={}, description="named intents: `[tool.evox.data.intents.NAME]`")
    entries: Count = Field(default=10_000, description="entries kept in memory, by each service")
    memory_bytes: Bytes = Field(default=ByteSize(67_108_864), description="memory they may take; cached ones make room")
    value_bytes: Bytes = Field(default=ByteSize(1_048_576), description="size of one value; a larger one is an error")
    l1_ttl: Limit = Field(
        default=5.0, description="how far behind a copy of eventual data may be, in memory before a shared backend"
    )
    timeout: Limit = Field(default=5.0, description="how long a backend may take to answer")
    throttle: Limit = Field(
        default=30.0, description="how long a source that has failed is left alone while old values are served"
    )
    notify: bool = Field(
        default=False,
        description="whether PostgreSQL tells other processes of each change; it then commits one at a time",
    )
    connections: Count = Field(default=10, description="connections to a PostgreSQL or Valkey server, by each service")
