"""Declaration: what the rooms below ``definition`` need of a service, and what its builder's steps set."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import FastAPI
from pydantic import BaseModel

from evox.config import PrioritySettings
from evox.errors import Place
from evox.runtime import BackgroundTask, RestartPolicy
from evox.services.endpoint import Endpoint
from evox.services.health import Check
from evox.services.hooks import Hook
from evox.services.injection import Key

__all__ = ["Declaration", "ServiceSettings"]


@dataclass(slots=True)
class ServiceSettings:
    """What the builder's steps set. Durations in seconds; None means the project's setting."""

    port: int | None = None
    health_path: str = "/health"
    capabilities_path: str | None = "/capabilities"
    start_timeout: float | None = None
    restart: RestartPolicy | None = None
    depends_on: tuple[str, ...] = ()
    concurrency: PrioritySettings | None = None
    tags: tuple[str, ...] = ()
    fastapi: dict[str, Any] = field(default_factory=dict)


class Declaration(Protocol):
    """What the rooms below ``definition`` need of a ``Service``."""

    name: str
    version: str
    place: Place | None
    adopted: bool
    settings: ServiceSettings
    config_models: dict[str, type[BaseModel]]
    hooks: list[Hook]
    background: list[BackgroundTask]
    checks: list[Check]
    providers: dict[type, Any]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The compiled rows."""

    @property
    def asking(self) -> tuple[str, ...]:
        """What of it asks who calls, by name."""

    @property
    def caches_answers(self) -> bool:
        """Whether answers of any endpoint are kept."""

    @property
    def app(self) -> FastAPI:
        """The compiled app."""

    def compile(self) -> None:
        """Compile what was declared since the last time."""

    def reserve(self, row: Endpoint) -> None:
        """Note a built-in route."""

    def config_key(self, name: str) -> Key:
        """Return the injection key of a declared configuration section."""

    def ambient(self) -> Any:
        """Return the life that a call belongs to."""

    def started_by(self, running: Any, *, hosted: bool) -> None:
        """Note that a life began."""

    def stopped(self, running: Any) -> None:
        """Note that a life ended."""
