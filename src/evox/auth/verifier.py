"""Verifier: from a token to a principal: form, key, signature, claims, in this order, and nothing that waits."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from evox.auth.claims import MAX_LIFETIME, Expected, principal_of
from evox.auth.jws import check_signature, json_object, parse_jws
from evox.auth.keys import ALGORITHMS
from evox.auth.keysets import Keys, KeySet, keys_of
from evox.auth.principal import Principal
from evox.durations import Duration, seconds
from evox.errors import InvalidDeclaration, UnacceptableHeader, UnusableKey

__all__ = ["TokenVerifier"]


class TokenVerifier:
    """Verifies the tokens of one issuer for one audience.

    Args:
        keys: A ``Key``, a JWK or JWKS as a dict, a list of those, or a ``KeySet``, which can change.
        issuer: What ``iss`` has to be.
        audience: What ``aud`` has to be or contain.
        clock: Gives seconds since 1970.
        algorithms: Which algorithms may be used; those of the keys when left out.
        roles_claim: Where roles stand: a member's name, or the way to it: ``"realm_access.roles"``.
        leeway: How far the issuer's clock may be ahead of ours. It never prolongs a token.
        max_lifetime: How long a token may be good for at most.

    Raises:
        UnusableKey: if a key cannot be used, or is for none of the algorithms.
        InvalidDeclaration: if another value does not fit.
    """

    def __init__(
        self,
        keys: Any,
        *,
        issuer: str,
        audience: str,
        clock: Callable[[], float] = time.time,
        algorithms: Iterable[str] | None = None,
        roles_claim: str = "roles",
        leeway: Duration = 0,
        max_lifetime: Duration = MAX_LIFETIME,
    ) -> None:
        for option, value in (("issuer", issuer), ("audience", audience), ("roles_claim", roles_claim)):
            if not (isinstance(value, str) and value):
                raise InvalidDeclaration(option, value, on="TokenVerifier", why="it is a text, and not empty")
        self._keys: Keys = keys_of(keys)
        self._algorithms = None if algorithms is None else _known(algorithms)
        self._clock = clock
        self._expected = Expected(
            issuer, audience, roles_claim, _length("leeway", leeway), _length("max_lifetime", max_lifetime)
        )
        if isinstance(self._keys, KeySet) and self._algorithms is not None:
            for key in self._keys:
                if key.algorithm not in self._algorithms:
                    why = f"{key!r} is for none of the algorithms {', '.join(sorted(self._algorithms))}"
                    raise UnusableKey("keys=", why)

    def __repr__(self) -> str:
        return f"<TokenVerifier of {self._expected.issuer!r} for {self._expected.audience!r}>"

    def verify(self, token: str | bytes) -> Principal:
        """Return who a token says that it is.

        Args:
            token: ``header.payload.signature``, as it stands after ``Bearer``.

        Raises:
            TokenRefused: one of its subclasses, by the check that failed.
            KeysUnavailable: if keys that are fetched could not be.
        """
        jws = parse_jws(token)
        key = self._keys.find(jws.kid)
        if self._algorithms is not None and key.algorithm not in self._algorithms:
            raise UnacceptableHeader(f"{key.algorithm} is not among the algorithms that are accepted")
        check_signature(jws, key)
        return principal_of(json_object(jws.payload, "payload"), self._expected, self._clock())


def _known(algorithms: Iterable[str]) -> frozenset[str]:
    named = (algorithms,) if isinstance(algorithms, str) else tuple(algorithms)
    for one in named:
        if one not in ALGORITHMS:
            why = f"{one!r} is none of {', '.join(ALGORITHMS)}"
            raise InvalidDeclaration("algorithms", list(named), on="TokenVerifier", why=why)
    if not named:
        why = "with none in it nothing could be verified; leave it out for those of the keys"
        raise InvalidDeclaration("algorithms", [], on="TokenVerifier", why=why)
    return frozenset(named)


def _length(option: str, value: Duration) -> float:
    try:
        return seconds(value)
    except ValueError as error:
        raise InvalidDeclaration(option, value, on="TokenVerifier", why=str(error)) from None
