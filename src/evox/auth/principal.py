"""Principal: who calls, and the context variable that holds it for the current task.

A request begins as nobody; its guard says who it is. Hooks, health checks, background tasks and handlers of signals run
as the system principal of their service. A job that a handler starts keeps the handler's caller: it does not gain what
its caller has not.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, TypeAlias

__all__ = [
    "ANONYMOUS",
    "Kind",
    "Named",
    "Principal",
    "current",
    "enter_principal",
    "leave_principal",
    "on_behalf",
    "system",
]

Kind: TypeAlias = Literal["anonymous", "user", "service", "system"]
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_FLEETING: Final = frozenset({"exp", "iat", "nbf", "jti", "auth_time"})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls.

    Attributes:
        kind: ``"anonymous"``; ``"user"``, from a token; ``"service"``, another service on its own behalf; ``"system"``,
            the service itself.
        subject: ``sub`` of the token, the service's name, or empty.
        roles: What it may do, as its issuer says.
        issuer: Who says so; None without a token.
        chain: The services that the call came through, the first one outermost; empty for callers from outside.
        expires_at: When its token ends, in seconds since 1970; None without a token.
        claims: All claims of its token, read-only.
    """

    kind: Kind
    subject: str = ""
    roles: frozenset[str] = frozenset()
    issuer: str | None = None
    chain: tuple[str, ...] = ()
    expires_at: float | None = field(default=None, compare=False)
    claims: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, repr=False, compare=False)

    @property
    def is_authenticated(self) -> bool:
        """Whether it is known who calls."""
        return self.kind != "anonymous"

    @property
    def is_internal(self) -> bool:
        """Whether the call comes from another service, whoever that one works for."""
        return bool(self.chain)

    def has_role(self, *roles: str) -> bool:
        """Whether it has any of these roles."""
        return not self.roles.isdisjoint(roles)

    def identity(self) -> tuple[Any, ...]:
        """Return what tells it from all others; a new token of the same user with the same rights is the same."""
        claims = {name: value for name, value in self.claims.items() if name not in _FLEETING}
        return self.kind, self.issuer, self.subject, sorted(self.roles), self.chain, claims

    def __str__(self) -> str:
        through = f" through {' -> '.join(self.chain)}" if self.chain else ""
        return f"{self.kind} {self.subject!r}{through}" if self.subject else f"{self.kind}{through}"


class Named(Protocol):
    """Something that tells who calls, when it is asked."""

    @property
    def principal(self) -> Principal:
        """Who calls."""


ANONYMOUS: Final = Principal("anonymous")
_principal: ContextVar[Principal | Named] = ContextVar("evox_principal", default=ANONYMOUS)


def current() -> Principal:
    """Return who the current task works for; the anonymous principal where nobody has said."""
    found = _principal.get()
    return found if isinstance(found, Principal) else found.principal


def on_behalf() -> "Principal | Named":
    """Return the same, as it was entered: who calls from another service is made out when somebody asks."""
    return _principal.get()


def system(service: str) -> Principal:
    """Return the principal of a service itself. It meets every requirement within its service."""
    return Principal("system", service)


# Each request calls these, and a function round them would take as long again.
enter_principal: Final = _principal.set
"""Let the current task, and the tasks it starts, work for a principal; returns what undoes it."""
leave_principal: Final = _principal.reset
"""Undo ``enter_principal``."""
