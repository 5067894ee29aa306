"""Issuing: makes tokens that the verifier of the same issuer accepts: for logins, for tests, for the CLI."""

import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from evox.auth.claims import MAX_LIFETIME
from evox.auth.jws import NESTING, TOKEN_BYTES, is_deep
from evox.auth.keys import Key
from evox.durations import Duration, seconds
from evox.errors import CannotIssue

__all__ = ["Issuer", "compact"]

TTL: Final = 900.0  # seconds
_OWN: Final = frozenset({"iss", "aud", "sub", "iat", "exp", "roles", "jti"})


class Issuer:
    """Signs tokens.

    Args:
        key: Gives the key that signs, which may be another one tomorrow; None if none of the keys can.
        issuer: ``iss``.
        audience: ``aud``.
        clock: Gives seconds since 1970.
        roles_claim: Where roles stand, as the verifier looks for them.
        max_lifetime: Seconds that a token may be good for at most.
    """

    def __init__(
        self,
        key: Callable[[], Key | None],
        *,
        issuer: str,
        audience: str,
        clock: Callable[[], float] = time.time,
        roles_claim: str = "roles",
        max_lifetime: float = MAX_LIFETIME,
    ) -> None:
        self._key = key
        self._issuer, self._audience, self._roles_claim = issuer, audience, roles_claim
        self._clock = clock
        self._max_lifetime = max_lifetime

    def __repr__(self) -> str:
        return f"<Issuer {self._issuer!r}>"

    def issue(
        self, subject: str, *, roles: Iterable[str] = (), ttl: Duration = TTL, claims: Mapping[str, Any] | None = None
    ) -> str:
        """Return a new token.

        Args:
            subject: Whom it is for.
            roles: What its bearer may do.
            ttl: How long it is good for.
            claims: More claims.

        Raises:
            CannotIssue: if no key can sign, or it would be refused.
        """
        key = self._key()
        if key is None:
            raise CannotIssue("the keys here are public keys, or are fetched", "have the issuer issue it")
        named = [roles] if isinstance(roles, str) else list(roles)
        try:
            length = seconds(ttl)
        except ValueError as error:
            raise CannotIssue(f"ttl={ttl!r}: {error}", 'give seconds, or a text such as "15m"') from None
        _check(subject, named, claims or {})
        if not 1 <= length <= self._max_lifetime:
            raise CannotIssue(
                f"ttl is {length:.15g} s, and 1 to {self._max_lifetime:.15g} are accepted", "choose another ttl"
            )
        now = int(self._clock())
        body: dict[str, Any] = {"iss": self._issuer, "aud": self._audience, "sub": subject}
        body |= {"iat": now, "exp": now + int(length), "jti": secrets.token_urlsafe(12)}
        body |= dict(claims or {})
        _put(body, self._roles_claim, named)
        token = compact(key, body)
        if len(token) > TOKEN_BYTES:
            raise CannotIssue(f"it would be longer than {TOKEN_BYTES} bytes", "put less into claims=")
        if is_deep(body):
            raise CannotIssue(f"its claims are nested more than {NESTING} deep", "put less into claims=")
        return token


def compact(key: Key, claims: Mapping[str, Any], *, typ: str = "JWT") -> str:
    """Return signed claims as a compact token.

    Raises:
        CannotIssue: if the claims are not JSON.
    """
    header = {"alg": key.algorithm, "typ": typ} | ({} if key.kid is None else {"kid": key.kid})
    try:
        payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, TypeError, RecursionError) as error:
        raise CannotIssue(
            f"its claims are no JSON: {error}", "put texts, numbers, lists and dicts into claims="
        ) from None
    signed = f"{_encode(json.dumps(header, separators=(',', ':')).encode())}.{_encode(payload)}"
    return f"{signed}.{_encode(key.sign(signed.encode()))}"


def _check(subject: Any, roles: list[Any], claims: Mapping[str, Any]) -> None:
    for name, value in (("subject", subject), *(("role", role) for role in roles)):
        if not (isinstance(value, str) and value and value.isprintable()):
            raise CannotIssue(f"{name} {value!r} is no text, is empty, or cannot be shown", "write it as a text")
    taken = _OWN.intersection(claims)
    if taken:
        raise CannotIssue(f"claims= sets {min(taken)!r}, which is set by itself", "leave it out of claims=")


def _put(body: dict[str, Any], name: str, roles: list[str]) -> None:
    """Put roles where the verifier looks for them; what is given is not changed."""
    *way, last = name.split(".") if "." in name and "/" not in name else [name]
    for one in way:
        inner = body.get(one, {})
        if not isinstance(inner, Mapping):
            raise CannotIssue(f"claims= sets {one!r}, where roles are to be put into", "leave it out of claims=")
        body[one] = dict(inner)
        body = body[one]
    body[last] = roles


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
