"""Auth: errors of who calls, what they may do, and with which keys that is found out.

A client sees 401, 403 or 503 and nothing of the reason; logs and records have it. No token, secret or claim of a token
that was refused is ever part of a message.
"""

from collections.abc import Iterable
from typing import ClassVar, Final

from evox.errors.base import EvoxError, Place
from evox.errors.configuration import ConfigurationError

__all__ = [
    "AuthError",
    "CannotIssue",
    "KeysUnavailable",
    "MalformedToken",
    "MissingKeys",
    "NotAllowed",
    "NotAuthenticated",
    "TokenExpired",
    "TokenRefused",
    "UnacceptableClaims",
    "UnacceptableHeader",
    "UnknownKey",
    "UnusableKey",
    "WrongSignature",
]

SHOWN: Final = 64  # characters of a name that a client chose


class AuthError(EvoxError):
    """A caller was refused, or could not be looked at."""


class NotAuthenticated(AuthError):
    """No credentials came, and they are wanted."""

    id = "EVX-801"
    status = 401

    def __init__(self, target: str, why: str = "the request has no credentials") -> None:
        super().__init__(
            f"{target} is not for callers who do not say who they are",
            why=why,
            fix="send one header: Authorization: Bearer TOKEN",
        )


class TokenRefused(AuthError):
    """A token that proves nothing. Its subclasses say which check it failed."""

    id = "EVX-802"
    status = 401
    summary: ClassVar[str] = "the token was refused"

    def __init__(self, why: str, *, fix: str = "") -> None:
        super().__init__(self.summary, why=why, fix=fix or "have a new one issued")


class MalformedToken(TokenRefused):
    """No compact JWS of UTF-8 JSON, or not sent as one."""

    id = "EVX-803"
    summary = "the token is not written as a token is"


class UnacceptableHeader(TokenRefused):
    """A header with a member or a value that is not accepted, an algorithm other than that of the key included."""

    id = "EVX-804"
    summary = "the token has a header that is not accepted"


class UnknownKey(TokenRefused):
    """The header names a key that is not there, or none where there are several."""

    id = "EVX-805"
    summary = "the token is signed with a key that is not known"

    def __init__(self, kid: str | None) -> None:
        shown = None if kid is None else kid[:SHOWN]
        why = "it names no key, and there is not just one" if kid is None else f"there is no key {shown!r}"
        super().__init__(why)


class WrongSignature(TokenRefused):
    """The signature is not one of the key over these bytes."""

    id = "EVX-806"
    summary = "the token has a signature that does not fit"

    def __init__(self) -> None:
        super().__init__("it was changed, or signed with another key")


class UnacceptableClaims(TokenRefused):
    """Claims that are missing, of another type, or not for here and now."""

    id = "EVX-807"
    summary = "the token has claims that are not accepted"


class TokenExpired(UnacceptableClaims):
    """Its time is over."""

    id = "EVX-808"
    summary = "the token has expired"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"its time was over {seconds:.0f} s ago")


class NotAllowed(AuthError):
    """The caller is known, and may not do this."""

    id = "EVX-809"
    status = 403

    def __init__(self, target: str, why: str) -> None:
        super().__init__(f"{target} is not for this caller", why=why, fix="call it as somebody who may")


class KeysUnavailable(AuthError):
    """There are no keys that a token could be verified with: they could not be fetched, or not for too long."""

    id = "EVX-810"
    status = 503
    retryable = True

    def __init__(self, source: str, why: str) -> None:
        super().__init__(
            f"the keys of {source} are not there",
            why=why,
            fix="see that it can be reached; it is asked again",
        )


class CannotIssue(AuthError):
    """No key here can sign, or what is to be issued would be refused."""

    id = "EVX-811"

    def __init__(self, why: str, fix: str) -> None:
        super().__init__("no token can be issued", why=why, fix=fix)


class UnusableKey(ConfigurationError, ValueError):
    """A key that cannot be used, or should not be: it does not parse, is too short, or known to others."""

    id = "EVX-107"

    def __init__(self, source: str, why: str, *, fix: str = "", place: Place | None = None) -> None:
        super().__init__(
            f"the key of {source} cannot be used", why=why, fix=fix or "replace it, or correct its source", place=place
        )


class MissingKeys(ConfigurationError):
    """Something asks who calls, and there is nothing to find it out with."""

    id = "EVX-108"

    def __init__(self, needed_by: Iterable[str]) -> None:
        first, *others = needed_by
        asking = f"{first} and {len(others)} more ask" if others else f"{first} asks"
        super().__init__(
            f"{asking} who calls, and there is no key to verify tokens with",
            why="[tool.evox.auth] names neither keys nor jwks_url",
            fix='name one: keys = ["env:AUTH_SECRET"] or jwks_url = "https://..."; evox run --dev makes one by itself',
        )
