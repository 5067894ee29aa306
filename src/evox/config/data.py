"""Data: where data lives. ``[tool.evox.data]``, with one sub-table for services and one for named intents."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ByteSize, Field, PrivateAttr, model_validator

from evox.config.fields import Bytes, Count, Limit, Seconds, Table
from evox.config.layers import Origin
from evox.config.urls import KNOWN, remember_url, scheme_of

__all__ = ["DataSettings", "IntentSettings"]


def _backend(url: str) -> str:
    remember_url(url)
    scheme_of(url)
    return url


def _database(url: str) -> str:
    remember_url(url)
    if scheme_of(url) not in ("sqlite", "postgresql"):
        raise ValueError("inject.db() is a SQL database: sqlite:///... or postgresql://...")
    return url


Backend = Annotated[str, AfterValidator(_backend)]
Database = Annotated[str, AfterValidator(_database)]
Share = Annotated[float, Field(gt=0, lt=1)]


class IntentSettings(Table):
    """``[tool.evox.data.intents.NAME]``. What is left out is as the code says."""

    cacheable: bool | None = None
    ttl: Limit | None = None
    consistency: Literal["strong", "eventual"] | None = None
    fallback: Literal["aggressive"] | None = None
    max_stale: Seconds | None = None
    soft_timeout: Seconds | None = None
    timeout: Seconds | None = None
    eager: Share | None = None
    jitter: Share | None = None
    negative_ttl: Seconds | None = None
    key: str | None = None
    backend: Backend | None = Field(default=None, repr=False)
    tags: tuple[str, ...] = ()
    _origins: dict[str, Origin] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse at once what contradicts itself, whatever the code says."""
        if self.cacheable is False and self.ttl is not None:
            raise ValueError("cacheable = false leaves nothing to expire: drop ttl, or cacheable")
        if self.consistency == "strong" and self.fallback is not None:
            raise ValueError('strong is never stale: drop fallback, or consistency = "strong"')
        return self

    def said(self) -> dict[str, Any]:
        """Return what was set."""
        return self.model_dump(exclude_unset=True)

    def note(self, option: str, origin: Origin) -> None:
        """Remember where an option was written."""
        self._origins[option] = origin

    def origin(self, option: str) -> Origin:
        """Return where an option was written, for errors that turn up when more is known."""
        return self._origins.get(option) or Origin("the configuration")


class DataSettings(Table):
    """``[tool.evox.data]``. Where data lives, and how much of it is kept in memory."""

    backend: Backend = Field(default="memory", repr=False, description=f"where data is kept: {KNOWN}")
    database: Database | None = Field(
        default=None,
        repr=False,
        description="what `inject.db()` gives: `sqlite:///...` or `postgresql://...`; the backend if it is one of them, else `.evox/<service>.db`",  # noqa: E501  one row of a table
    )
    migrations: str = Field(
        default="migrations", min_length=1, description="folder of the SQL files that `evox sync db` applies"
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
