"""Context: which runtime, which service and which call the current task belongs to.

Context variables follow tasks and worker threads on both loops, so a handler never passes these along by hand. The
facades (``inject``, later ``data_io`` and ``proxy``) resolve through here, which is what lets several runtimes live
in one process. This floor knows only protocols; the rooms above fill them.
"""

from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from typing import Any, Protocol

from evox.errors import OutsideRuntime

__all__ = [
    "RuntimeScope",
    "ServiceScope",
    "current_service",
    "enter_service",
    "leave_service",
    "maybe_service",
]


class RuntimeScope(Protocol):
    """What the facades need from a runtime."""

    def running(self, service: object) -> "ServiceScope":
        """Return the running instance of a declared service, or raise ``OutsideRuntime``."""

    def override(self, thing: object, fake: object) -> AbstractContextManager[None]:
        """Replace what injection gives for ``thing``, in this runtime only."""


class ServiceScope(Protocol):
    """What the facades need from a running service."""

    @property
    def name(self) -> str:
        """The service's name."""

    @property
    def runtime(self) -> RuntimeScope:
        """The runtime it runs in."""

    def resolve(self, thing: Any) -> Any:
        """Return what injection gives for a type or named value."""


_service: ContextVar[ServiceScope | None] = ContextVar("evox_service", default=None)


def enter_service(scope: ServiceScope | None) -> Token[ServiceScope | None]:
    """Make ``scope`` the current service of this task and of the tasks it starts."""
    return _service.set(scope)


def leave_service(token: Token[ServiceScope | None]) -> None:
    """Undo ``enter_service``."""
    _service.reset(token)


def maybe_service() -> ServiceScope | None:
    """Return the current service, or None outside any."""
    return _service.get()


def current_service(asked_for: str) -> ServiceScope:
    """Return the current service.

    Args:
        asked_for: What the caller wanted, for the message, e.g. ``"inject(Repository)"``.

    Raises:
        OutsideRuntime: if no service is running in this context.
    """
    scope = _service.get()
    if scope is None:
        raise OutsideRuntime(asked_for)
    return scope
