"""Internal: how a service knows that another service calls it.

Within one process a call carries an ``Internal``, an object that no request can bring along. Between processes it is
made from a token of 60 s, signed with keys of their own, and bound to its caller, to the service it is for and to the
one operation. No header, address or host name ever makes a call internal.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from evox.auth.claims import text, times
from evox.auth.issuing import compact
from evox.auth.jws import NESTING, check_signature, json_object, parse_jws
from evox.auth.keysets import KeySet
from evox.auth.principal import Principal
from evox.errors import CannotIssue, UnacceptableClaims

__all__ = ["LIFETIME", "Internal", "InternalTokens"]

LIFETIME: Final = 60.0  # seconds
LEEWAY: Final = 5.0  # seconds that clocks of two machines may be apart
TYPE: Final = "evox-internal+jwt"
_AUDIENCE: Final = "evox-service:"
DEEPEST: Final = 16  # services in a chain


class Internal(NamedTuple):
    """That a call comes from another service. Made by code of this process alone.

    Attributes:
        caller: The service that calls.
        user: Whom it works for; None if it calls on its own behalf.
        chain: The services that the call came through, the caller last.
    """

    caller: str
    user: Principal | None = None
    chain: tuple[str, ...] = ()

    @property
    def principal(self) -> Principal:
        """Who calls: the original user with the user's own roles, through the chain; else the service."""
        chain = self.chain or (self.caller,)
        if self.user is None or not self.user.is_authenticated or self.user.kind == "system":
            return Principal("service", self.caller, chain=chain)
        user = self.user
        return Principal(user.kind, user.subject, user.roles, user.issuer, chain, user.expires_at, user.claims)


class InternalTokens:
    """Makes and verifies tokens between services.

    Args:
        keys: Keys that all of them know, and that sign nothing else.
        clock: Gives seconds since 1970.
    """

    def __init__(self, keys: KeySet, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._clock = clock

    def __repr__(self) -> str:
        return f"<InternalTokens with {self._keys!r}>"

    def issue(self, call: Internal, *, audience: str, operation: str) -> str:
        """Return a token for one operation of one service.

        Args:
            call: Who calls, and for whom.
            audience: The service that is called.
            operation: Its endpoint: method and path, e.g. ``"GET /users/{user_id}"``.

        Raises:
            CannotIssue: if no key can sign.
        """
        key = self._keys.signing
        if key is None:
            raise CannotIssue(
                "none of the internal keys can sign", "give services a secret, or a private key, in common"
            )
        now, who = int(self._clock()), call.principal
        body: dict[str, Any] = {"iss": call.caller, "aud": _AUDIENCE + audience, "op": operation, "iat": now}
        body |= {"exp": now + int(LIFETIME), "jti": secrets.token_urlsafe(12), "sub": who.subject}
        body["chain"] = list(who.chain)
        if who.kind != "service":
            body["user"] = {"iss": who.issuer, "roles": sorted(who.roles), "exp": who.expires_at}
            body["user"]["claims"] = dict(who.claims)
        return compact(key, body, typ=TYPE)

    def verify(self, token: str, *, audience: str, operation: str | None) -> Internal:
        """Return what a token says of its call.

        Args:
            token: From ``issue``.
            audience: The service that is called here.
            operation: The endpoint that is called here; None where there is none, which no token is for.

        Raises:
            TokenRefused: if it is not for this call, or proves nothing.
        """
        jws = parse_jws(token, types=(TYPE,), typed=True)
        check_signature(jws, self._keys.find(jws.kid))
        claims = json_object(jws.payload, "payload", deepest=NESTING + 2)  # those of its user lie within
        times(claims, self._clock(), leeway=LEEWAY, max_lifetime=LIFETIME)
        if text(claims, "aud") != _AUDIENCE + audience:
            raise UnacceptableClaims("it is for another service")
        if operation is None or text(claims, "op") != operation:
            raise UnacceptableClaims("it is for another operation")
        caller, chain = text(claims, "iss"), _chain(claims)
        if chain[-1] != caller:
            raise UnacceptableClaims("its chain does not end with its caller")
        return Internal(caller, _user(claims), chain)


def _chain(claims: Mapping[str, Any]) -> tuple[str, ...]:
    chain = claims.get("chain")
    is_good = isinstance(chain, list) and 0 < len(chain) <= DEEPEST
    if not is_good or not all(isinstance(one, str) and one and one.isprintable() for one in chain):  # type: ignore[union-attr]
        raise UnacceptableClaims(f"its chain is no list of 1 to {DEEPEST} services")
    return tuple(chain)  # type: ignore[arg-type]


def _user(claims: Mapping[str, Any]) -> Principal | None:
    said = claims.get("user")
    if said is None:
        return None
    if (
        not isinstance(said, dict)
        or not isinstance(said.get("roles"), list)
        or not isinstance(said.get("claims"), dict)
    ):
        raise UnacceptableClaims("its user is not written as one")
    roles, expires = said["roles"], said.get("exp")
    if not all(isinstance(role, str) and role for role in roles) or not isinstance(expires, int | float | None):
        raise UnacceptableClaims("its user is not written as one")
    issuer = said.get("iss")
    if issuer is not None and not isinstance(issuer, str):
        raise UnacceptableClaims("its user is not written as one")
    return Principal(
        "user", text(claims, "sub"), frozenset(roles), issuer, (), expires, MappingProxyType(said["claims"])
    )
