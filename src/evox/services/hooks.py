"""Hooks: what a service declares about its own life, from start-up hooks to health checks.

A mixin of ``Service``. It only records; ``life`` runs the records.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar, overload

from evox.durations import Duration, seconds
from evox.errors import InvalidDeclaration, LateDeclaration, Place, place_of
from evox.runtime import BackgroundTask, FailurePolicy, RestartPolicy
from evox.services.health import Check

__all__ = ["Hook", "Hooks", "LifespanFunction"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
LifespanFunction: TypeAlias = Callable[..., AbstractAsyncContextManager[Any] | AbstractContextManager[Any]]
HookKind: TypeAlias = Literal["startup", "shutdown", "lifespan"]


@dataclass(frozen=True, slots=True)
class Hook:
    """One contributor to a service's life, in the order of declaration."""

    kind: HookKind
    function: Callable[..., Any] = field(compare=False)
    name: str
    place: Place | None


class Hooks:
    """Records hooks, background tasks, checks and providers. The service's name must be set first."""

    name: str

    def __init__(self) -> None:
        self.hooks: list[Hook] = []
        self.background: list[BackgroundTask] = []
        self.checks: list[Check] = []
        self.providers: dict[type, Any] = {}
        self._started = False

    def on_startup(self, function: F) -> F:
        """Run a sync or async function before the service answers requests."""
        self._hook("startup", function)
        return function

    def on_shutdown(self, function: F) -> F:
        """Run a sync or async function after the last request was answered; last declared runs first.

        The n-th shutdown hook belongs to the n-th start-up hook and runs only if that one succeeded; one without a
        partner runs if all start-up hooks succeeded.
        """
        self._hook("shutdown", function)
        return function

    def lifespan(self, function: T) -> T:
        """Enter a context manager function round the service's life; it may take the FastAPI app as its argument."""
        self._hook("lifespan", function)
        return function

    def _hook(self, kind: HookKind, function: Any) -> None:
        name, place = getattr(function, "__qualname__", repr(function)), place_of(function)
        self._late(f"{kind} hook {name!r}", place)
        if not callable(function):
            raise InvalidDeclaration(
                kind, function, on=f"service {self.name!r}", why="it cannot be called", place=place
            )
        self.hooks.append(Hook(kind, function, name, place))

    @overload
    def background_task(self, function: F, /) -> F: ...
    @overload
    def background_task(
        self,
        /,
        *,
        interval: Duration | None = None,
        name: str | None = None,
        jitter: Duration = 0,
        start_after: Duration = 0,
        grace: Duration | None = None,
        on_error: FailurePolicy = "restart",
        max_restarts: int = 5,
        window: Duration = 60,
        backoff: Duration = 0.5,
    ) -> Callable[[F], F]: ...
    def background_task(
        self,
        function: Any = None,
        /,
        *,
        interval: Duration | None = None,
        name: str | None = None,
        jitter: Duration = 0,
        start_after: Duration = 0,
        grace: Duration | None = None,
        on_error: FailurePolicy = "restart",
        max_restarts: int = 5,
        window: Duration = 60,
        backoff: Duration = 0.5,
    ) -> Any:
        """Run a sync or async function beside the requests: every ``interval``, or once and for as long as it likes.

        Args:
            function: The function, when the decorator is written without parentheses.
            interval: From the end of a run to the start of the next; None for a consumer that runs on.
            name: The function's name by default; unique in the service.
            jitter: Random extra wait, at most, before each run.
            start_after: Wait before the first run.
            grace: How long a run may go on when the service drains; 5 s with an interval, else 0.
            on_error: ``"restart"`` with backoff, ``"fail_service"``, or ``"log"``.
            max_restarts: Failures tolerated within ``window`` before the task is marked failed.
            window: See ``max_restarts``.
            backoff: Wait before the first restart; doubles.

        Raises:
            InvalidDeclaration: if a value does not fit.
        """

        def declare(target: F) -> F:
            label = name or str(getattr(target, "__name__", target))
            on, place = f"background task {label!r}", place_of(target)
            self._late(on, place)

            def length(option: str, value: Duration) -> float:
                try:
                    return seconds(value)
                except ValueError as error:
                    raise InvalidDeclaration(option, value, on=on, why=str(error), place=place) from None

            if interval is not None and length("interval", interval) == 0:
                why = "it would run without a pause; leave interval out for a task that runs on"
                raise InvalidDeclaration("interval", interval, on=on, why=why, place=place)
            if on_error not in ("restart", "fail_service", "log"):
                why = 'it is "restart", "fail_service" or "log"'
                raise InvalidDeclaration("on_error", on_error, on=on, why=why, place=place)
            if any(task.name == label for task in self.background):
                why = "the service has a background task of that name; give one of them name="
                raise InvalidDeclaration("name", label, on=f"service {self.name!r}", why=why, place=place)
            task = BackgroundTask(
                label,
                target,
                interval=None if interval is None else length("interval", interval),
                jitter=length("jitter", jitter),
                start_after=length("start_after", start_after),
                grace=length("grace", grace) if grace is not None else (0.0 if interval is None else 5.0),
                on_error=on_error,
                restart=RestartPolicy(max_restarts, length("window", window), length("backoff", backoff)),
            )
            self.background.append(task)
            return target

        return declare if function is None else declare(function)

    def health_check(self, name: str, *, timeout: Duration = 2) -> Callable[[F], F]:
        """Add a named readiness check: a sync or async function that raises or returns False when it fails."""

        def declare(function: F) -> F:
            on, place = f"health check {name!r}", place_of(function)
            self._late(on, place)
            if any(check.name == name for check in self.checks):
                raise InvalidDeclaration("name", name, on=on, why="the service has a check of that name", place=place)
            try:
                limit = seconds(timeout)
            except ValueError as error:
                raise InvalidDeclaration("timeout", timeout, on=on, why=str(error), place=place) from None
            if limit == 0:
                raise InvalidDeclaration("timeout", timeout, on=on, why="no check answers in no time", place=place)
            self.checks.append(Check(name, function, limit))
            return function

        return declare

    def provide(self, kind: type[T], provider: T | Callable[..., T]) -> None:
        """Say what ``inject(kind)`` gives: an instance, or a class or function called once for each running service."""
        self.providers[kind] = provider

    def _late(self, what: str, place: Place | None) -> None:
        if self._started:
            raise LateDeclaration(what, self.name, place)
