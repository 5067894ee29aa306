"""Claims: what the payload of a verified token says, read strictly: types are exact, and nothing is converted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from evox.auth.principal import Principal
from evox.errors import TokenExpired, UnacceptableClaims

__all__ = ["MAX_LIFETIME", "Expected", "moment", "principal_of", "text", "times"]

MAX_LIFETIME: Final = 86_400.0  # seconds
_LATEST: Final = 2**53  # what every JSON reader still reads as it was written


@dataclass(frozen=True, slots=True)
class Expected:
    """What claims are held against.

    Attributes:
        issuer: What ``iss`` is.
        audience: What ``aud`` is, or contains.
        roles_claim: Where the roles are: a member's name, or the way to it: ``"realm_access.roles"``.
        leeway: Seconds by which the issuer's clock may be ahead of ours. It never prolongs a token.
        max_lifetime: Seconds that a token may be good for at most.
    """

    issuer: str
    audience: str
    roles_claim: str = "roles"
    leeway: float = 0.0
    max_lifetime: float = MAX_LIFETIME


def principal_of(claims: Mapping[str, Any], expected: Expected, now: float) -> Principal:
    """Return who the claims say that it is.

    Args:
        claims: The payload of a token whose signature was verified.
        expected: What they are held against.
        now: Seconds since 1970.

    Raises:
        UnacceptableClaims: if one is missing, of another type, or not for here and now.
    """
    expires = times(claims, now, leeway=expected.leeway, max_lifetime=expected.max_lifetime)
    if text(claims, "iss") != expected.issuer:
        raise UnacceptableClaims("its iss is not the issuer that is trusted here")
    if not _is_for(claims.get("aud"), expected.audience):
        raise UnacceptableClaims("its aud is missing, or does not name this audience")
    subject = text(claims, "sub")
    roles = _roles(claims, expected.roles_claim)
    return Principal("user", subject, roles, expected.issuer, (), expires, MappingProxyType(dict(claims)))


def times(claims: Mapping[str, Any], now: float, *, leeway: float, max_lifetime: float) -> float:
    """Check ``exp``, ``iat`` and ``nbf``; return the first.

    Raises:
        UnacceptableClaims: if one does not fit.
    """
    issued, expires = moment(claims, "iat"), moment(claims, "exp")
    if expires <= now:
        raise TokenExpired(now - expires)
    if issued > now + leeway:
        raise UnacceptableClaims("its iat lies in the future")
    if not issued < expires <= issued + max_lifetime:
        raise UnacceptableClaims(f"it is good for longer than {max_lifetime:g} s, or for no time at all")
    if "nbf" in claims and moment(claims, "nbf") > now + leeway:
        raise UnacceptableClaims("its nbf lies in the future")
    return expires


def moment(claims: Mapping[str, Any], name: str) -> int:
    """Return a time: whole seconds since 1970.

    Raises:
        UnacceptableClaims: if it is missing, or no whole number.
    """
    value = claims.get(name)
    if type(value) is not int or not 0 <= value <= _LATEST:
        raise UnacceptableClaims(f"its {name} is missing, or no whole number of seconds")
    return value


def text(claims: Mapping[str, Any], name: str) -> str:
    """Return a text that can be shown.

    Raises:
        UnacceptableClaims: if it is missing, empty, or has characters that cannot be shown.
    """
    value = claims.get(name)
    if not (isinstance(value, str) and value and value.isprintable()):
        raise UnacceptableClaims(f"its {name} is missing, or no text")
    return value


def _is_for(audience: Any, expected: str) -> bool:
    if isinstance(audience, str):
        return audience == expected
    return isinstance(audience, list) and all(isinstance(one, str) for one in audience) and expected in audience


def _roles(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    found: Any = claims.get(name, _MISSING)
    if found is _MISSING:
        found = _below(claims, name.split("."))
    if found is _MISSING:
        return frozenset()
    is_list = isinstance(found, Sequence) and not isinstance(found, str)
    if not is_list or not all(isinstance(one, str) and one and one.isprintable() for one in found):
        raise UnacceptableClaims(f"its {name} is no list of texts")
    return frozenset(found)


def _below(claims: Mapping[str, Any], names: Sequence[str]) -> Any:
    found: Any = claims
    for name in names:
        if not isinstance(found, Mapping):
            raise UnacceptableClaims(f"its {'.'.join(names)} is no list of texts")
        found = found.get(name, _MISSING)
        if found is _MISSING:
            return _MISSING
    return found


_MISSING: Final = object()
