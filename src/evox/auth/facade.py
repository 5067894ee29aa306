"""Facade: what is exported as functions of ``evox.auth`` and belongs to the running service."""

from collections.abc import Iterable, Mapping
from typing import Any

from evox.auth.authority import Authority
from evox.context import current_service
from evox.durations import Duration

__all__ = ["issue", "public_jwks"]


def issue(
    subject: str, *, roles: Iterable[str] = (), ttl: Duration = "15m", claims: Mapping[str, Any] | None = None
) -> str:
    """Return a new token of the running service's issuer, for first-party logins and for tests.

    Args:
        subject: Whom it is for: ``sub``.
        roles: What its bearer may do.
        ttl: How long it is good for.
        claims: More claims.

    Raises:
        CannotIssue: if no key here can sign, or the token would be refused.
        OutsideRuntime: if no service runs in this context.
    """
    return _own("auth.issue(...)").issue(subject, roles=roles, ttl=ttl, claims=claims)


def public_jwks() -> dict[str, Any]:
    """Return the public keys of the running service's issuer as a JWKS, to be published by an endpoint.

    Raises:
        CannotIssue: if its keys are secrets, or another issuer's.
        OutsideRuntime: if no service runs in this context.
    """
    return _own("auth.public_jwks()").public_jwks()


def _own(asked_for: str) -> Authority:
    found: Authority = current_service(asked_for).authority
    return found
