"""Builder: the fluent way to a service. ``service("users").port(8001).health("/health").build()``.

Every step returns the builder; the builder is the service, so it can be used with or without ``.build()``.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from evox.config import PrioritySettings
from evox.durations import Duration, seconds
from evox.errors import InvalidDeclaration, LateDeclaration
from evox.runtime import RestartPolicy
from evox.services.definition import Service
from evox.services.functions import called_from

__all__ = ["ServiceBuilder", "service"]


class ServiceBuilder(Service):
    """A service with the steps that shape it. Arguments as for ``Service``."""

    def port(self, number: int) -> Self:
        """Listen on this port; 0 takes a free one. Without it, ports are given in order from ``[tool.evox] port``."""
        if type(number) is not int or not 0 <= number <= 65535:
            raise self._invalid("port", number, "a port is a number from 0 to 65535")
        self.settings.port = number
        return self

    def health(self, path: str) -> Self:
        """Move the health routes: ``path``, ``path/live``, ``path/ready``, ``path/startup``."""
        if not str(path).startswith("/") or "{" in path:
            raise self._invalid("health", path, 'it is a path such as "/health"')
        if self._app is not None:
            raise LateDeclaration(f"health path {path!r}", self.name, self.place)
        self.settings.health_path = path
        return self

    def capabilities(self, path: str | None) -> Self:
        """Move the route that tells what the service can do, or leave it out: None."""
        if path is not None and (not str(path).startswith("/") or "{" in path):
            raise self._invalid("capabilities", path, 'it is a path such as "/capabilities", or None')
        if self._app is not None:
            raise LateDeclaration(f"capabilities path {path!r}", self.name, self.place)
        self.settings.capabilities_path = path
        return self

    def depends_on(self, *services: str) -> Self:
        """Start after these services, and stop before them."""
        self.settings.depends_on = (*self.settings.depends_on, *services)
        return self

    def start_timeout(self, limit: Duration) -> Self:
        """Bound start-up by this many seconds instead of ``[tool.evox.runtime] start_timeout``."""
        self.settings.start_timeout = self._seconds("start_timeout", limit)
        if self.settings.start_timeout == 0:
            raise self._invalid("start_timeout", limit, "a start takes longer than no time")
        return self

    def restart(self, *, max_restarts: int = 5, window: Duration = 60, backoff: Duration = 0.5) -> Self:
        """Say how crashes of the whole service are answered, instead of ``[tool.evox.runtime]``."""
        if type(max_restarts) is not int or max_restarts < 0:
            raise self._invalid("max_restarts", max_restarts, "it is a number of failures, 0 or more")
        policy = RestartPolicy(max_restarts, self._seconds("window", window), self._seconds("backoff", backoff))
        self.settings.restart = policy
        return self

    def concurrency(
        self,
        *,
        total: int | None = None,
        high: int | None = None,
        medium: int | None = None,
        low: int | None = None,
        queue: int | Mapping[str, int] | None = None,
        reserve: Mapping[str, int] | None = None,
        per_client: int | None = None,
        max_wait: Duration | None = None,
    ) -> Self:
        """Give the service seats of its own, instead of a share of the process's.

        Args:
            total: Requests that run at the same time; 200 by default.
            high: Of those, at most so many of this level; all by default.
            medium: The same; four fifths by default.
            low: The same; half by default.
            queue: How many may wait, in each level or by level: ``{"low": 10}``; 1000 by default.
            reserve: Seats that a level is given first: ``{"low": 2}``.
            per_client: Requests that one client may have running and waiting.
            max_wait: Seconds a request may wait at most; 5 by default.
        """
        given = {name: value for name, value in locals().items() if name != "self" and value is not None}
        if self._started:
            raise LateDeclaration(f"concurrency(...) of {self.name!r}", self.name, self.place)
        try:
            self.settings.concurrency = PrioritySettings(**given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            option, why = str(first["loc"][0]), first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                why = "levels are high, medium and low"
            on, why = f"service {self.name!r}", f"in concurrency(...): {why}"
            raise InvalidDeclaration(option, given.get(option), on=on, why=why, place=called_from()) from None
        return self

    def config(self, name: str, model: type[BaseModel]) -> Self:
        """Validate configuration section ``name`` by a model at start-up; ``inject.config(name)`` gives the model."""
        if not isinstance(model, type) or not issubclass(model, BaseModel):
            raise self._invalid("model", model, f"section {name!r} wants a pydantic model class")
        self.config_models[name] = model
        return self

    def build(self) -> Service:
        """Return the service. Declarations may still follow until it starts."""
        return self

    def _seconds(self, option: str, value: Duration) -> float:
        try:
            return seconds(value)
        except ValueError as error:
            raise self._invalid(option, value, str(error)) from None

    def _invalid(self, option: str, value: object, why: str) -> InvalidDeclaration:
        return InvalidDeclaration(option, value, on=f"service {self.name!r}", why=why, place=self.place)


def service(name: str, **options: Any) -> ServiceBuilder:
    """Begin a service; the same as ``ServiceBuilder(name)``."""
    return ServiceBuilder(name, **options)
