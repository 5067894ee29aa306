"""Requests that claim to come from another service: by a header, by an address, or by a token that is none for this."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.hostile.forge import GONE, INTERNAL, ISSUER, SECRET, Signer, token
from tests.hostile.refusals import Ask, Header, Pair, bearer

__all__ = ["INTERNALS", "calling"]

ALONE = "NotAllowed: it is for other services alone"
NOBODY = "NotAuthenticated: nobody has said who calls"
NOT_PARTS = "MalformedToken: it is not three parts of base64url"
TYP = "UnacceptableHeader: its typ is not evox-internal+jwt"
NO_USER = "UnacceptableClaims: its user is not written as one"
NO_CHAIN = "UnacceptableClaims: its chain is no list of 1 to 16 services"
USER: Mapping[str, Any] = {"iss": ISSUER, "roles": ["admin"], "exp": None, "claims": {}}


def calling(
    claims: Mapping[str, Any] | None = None,
    header: Mapping[str, Any] | None = None,
    *,
    key: Signer = INTERNAL,
    operation: str = "GET /inner",
) -> str:
    """Return what one service sends to another, made by hand."""
    own: dict[str, Any] = {"iss": "shop", "aud": "evox-service:vault", "op": operation, "sub": "shop"}
    own |= {"exp": lambda now: now + 60, "chain": ["shop"], "jti": "1", "roles": GONE}
    return token(key, {"typ": "evox-internal+jwt"} | dict(header or {}), own | dict(claims or {}))


def inner(made: str, scheme: str = "Evox-Internal", *more: Header) -> Ask:
    """Return a call of the endpoint that is for services."""
    return Ask((("Authorization", f"{scheme} {made}"), *more), target="/inner")


def refused(
    name: str,
    reason: str,
    bad: Callable[[], Ask],
    twin: Callable[[], Ask] = lambda: inner(calling()),
    *,
    status: int = 401,
) -> Pair:
    """Return a pair of calls."""
    return Pair(name, reason, bad, twin, status)


def claimed(name: str, reason: str, claims: Mapping[str, Any], twin: Mapping[str, Any] | None = None) -> Pair:
    """Return a pair of tokens between services of which only claims differ."""
    return refused(f"internal-{name}", reason, lambda: inner(calling(claims)), lambda: inner(calling(twin)))


def looking(name: str, *headers: Header) -> tuple[Pair, ...]:
    """Return requests that look as if they came from within; twins bring what proves it, or who a user is."""
    return (
        refused(
            f"{name}-for-a-service",
            ALONE,
            lambda: Ask(headers, target="/inner"),
            lambda: inner(calling(), "Evox-Internal", *headers),
            status=403,
        ),
        refused(
            f"{name}-of-a-user-for-a-service",
            ALONE,
            lambda: inner(token(), "Bearer", *headers),
            lambda: inner(calling(), "Evox-Internal", *headers),
            status=403,
        ),
        refused(
            f"{name}-for-an-admin",
            NOBODY,
            lambda: Ask(headers),
            lambda: Ask((*bearer(token()).headers, *headers)),
        ),
    )


LOOKS = (
    *looking("nothing-at-all"),
    *looking("x-internal", ("X-Internal", "true")),
    *looking("x-internal-request", ("X-Internal-Request", "1")),
    *looking("x-evox-internal", ("X-Evox-Internal", "true")),
    *looking("evox-internal", ("Evox-Internal", "true")),
    *looking("x-evox-caller", ("X-Evox-Caller", "shop"), ("X-Evox-Service", "shop")),
    *looking("x-evox-principal", ("X-Evox-Principal", '{"kind": "system", "subject": "vault"}')),
    *looking("x-evox-priority", ("X-Evox-Priority", "high"), ("X-Evox-Deadline", "5")),
    *looking("x-forwarded-for", ("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")),
    *looking("forwarded", ("Forwarded", "for=127.0.0.1;host=localhost;proto=https")),
    *looking("x-forwarded-host", ("X-Forwarded-Host", "localhost"), ("X-Forwarded-Proto", "https")),
    *looking("x-forwarded-user", ("X-Forwarded-User", "admin"), ("X-Remote-User", "admin")),
    *looking("x-roles", ("X-Roles", "admin"), ("X-User", "ada"), ("Remote-User", "ada")),
    *looking("client-certificate", ("X-Forwarded-Client-Cert", "Subject=CN=shop"), ("X-SSL-Client-Verify", "SUCCESS")),
    *looking("host-localhost", ("Host", "localhost")),
    *looking("host-of-the-service", ("Host", "vault.internal")),
    *looking("via", ("Via", "1.1 vault (evox)")),
    *looking("user-agent", ("User-Agent", "evox/1.0 (service shop)")),
    *looking("origin", ("Origin", "http://127.0.0.1"), ("Referer", "http://localhost/inner")),
    *looking("original-url", ("X-Original-URL", "/open"), ("X-Rewrite-URL", "/open")),
    *looking("method-override", ("X-HTTP-Method-Override", "OPTIONS"), ("X-Method-Override", "OPTIONS")),
)

SCHEMES = (
    refused("internal-garbage", NOT_PARTS, lambda: inner("shop")),
    refused(
        "internal-garbage-for-an-admin", NOT_PARTS, lambda: bearer("shop", "Evox-Internal"), lambda: bearer(token())
    ),
    refused("internal-without-a-token", "MalformedToken: what follows the scheme", lambda: inner("")),
    refused("internal-with-two-tokens", "MalformedToken: what follows", lambda: inner(f"{calling()} {calling()}")),
    refused("internal-with-a-users-token", TYP, lambda: inner(token())),
    refused(
        "internal-with-a-users-token-for-an-admin",
        TYP,
        lambda: bearer(token(), "Evox-Internal"),
        lambda: bearer(calling({"user": USER, "sub": "ada"}, operation="GET /gold"), "Evox-Internal"),
    ),
    refused("internal-token-as-a-users", "UnacceptableHeader: its typ is not JWT", lambda: inner(calling(), "Bearer")),
    refused(
        "internal-token-and-a-users",
        "MalformedToken: there are several Authorization headers",
        lambda: inner(calling(), "Evox-Internal", *bearer(token()).headers),
    ),
    refused(
        "internal-token-without-a-user-for-an-admin",
        "NotAllowed: it wants admin",
        lambda: bearer(calling(operation="GET /gold"), "Evox-Internal"),
        lambda: bearer(calling({"user": USER, "sub": "ada"}, operation="GET /gold"), "Evox-Internal"),
        status=403,
    ),
    refused(
        "internal-token-with-roles-of-its-own-for-an-admin",
        "NotAllowed: it wants admin",
        lambda: bearer(calling({"roles": ["admin"]}, operation="GET /gold"), "Evox-Internal"),
        lambda: bearer(calling({"user": USER, "sub": "ada"}, operation="GET /gold"), "Evox-Internal"),
        status=403,
    ),
)

TOKENS = (
    refused("internal-typ-jwt", TYP, lambda: inner(calling(header={"typ": "JWT"}))),
    refused("internal-typ-missing", TYP, lambda: inner(calling(header={"typ": GONE}))),
    refused("internal-alg-none", "UnacceptableHeader: its alg", lambda: inner(calling(header={"alg": "none"}))),
    refused("internal-with-crit", "UnacceptableHeader: it has", lambda: inner(calling(header={"crit": ["exp"]}))),
    refused("internal-with-the-key-of-users", "UnknownKey: there is no key 'hs'", lambda: inner(calling(key=SECRET))),
    refused(
        "internal-with-the-key-of-users-under-the-right-kid",
        "WrongSignature: ",
        lambda: inner(calling(header={"kid": INTERNAL.kid}, key=SECRET)),
    ),
    claimed("for-another-service", "UnacceptableClaims: it is for another service", {"aud": "evox-service:shop"}),
    claimed("for-an-audience-of-users", "UnacceptableClaims: it is for another service", {"aud": "vault"}),
    claimed("for-several-services", "UnacceptableClaims: its aud is", {"aud": ["evox-service:vault"]}),
    claimed("for-another-operation", "UnacceptableClaims: it is for another operation", {"op": "GET /gold"}),
    claimed("for-an-operation-in-other-case", "UnacceptableClaims: it is for another operation", {"op": "GET /Inner"}),
    claimed("for-every-operation", "UnacceptableClaims: it is for another operation", {"op": "*"}),
    claimed("for-the-name-of-the-operation", "UnacceptableClaims: it is for another operation", {"op": "inner"}),
    claimed("for-another-method", "UnacceptableClaims: it is for another operation", {"op": "POST /inner"}),
    claimed("for-no-operation", "UnacceptableClaims: its op is missing", {"op": GONE}),
    claimed("of-61-seconds", "UnacceptableClaims: it is good for longer than 60 s", {"exp": lambda now: now + 61}),
    claimed("past", "TokenExpired: ", {"iat": lambda now: now - 60, "exp": lambda now: now}),
    claimed("of-the-future", "UnacceptableClaims: its iat lies", {"iat": lambda now: now + 30}),
    claimed("without-iat", "UnacceptableClaims: its iat is missing", {"iat": GONE}),
    claimed("of-nobody", "UnacceptableClaims: its iss is missing", {"iss": GONE}),
    claimed("without-a-chain", NO_CHAIN, {"chain": GONE}),
    claimed("with-an-empty-chain", NO_CHAIN, {"chain": []}),
    claimed("with-a-chain-as-a-text", NO_CHAIN, {"chain": "shop"}),
    claimed("with-a-number-in-its-chain", NO_CHAIN, {"chain": [1, "shop"]}, {"chain": ["1", "shop"]}),
    claimed("with-17-in-its-chain", NO_CHAIN, {"chain": ["shop"] * 17}, {"chain": ["shop"] * 16}),
    claimed(
        "with-another-end-of-its-chain", "UnacceptableClaims: its chain does not end", {"chain": ["shop", "other"]}
    ),
    claimed("with-a-user-as-a-text", NO_USER, {"user": "ada"}, {"user": USER}),
    claimed("with-a-user-of-a-role-as-a-text", NO_USER, {"user": {**USER, "roles": "admin"}}, {"user": USER}),
    claimed("with-a-user-of-a-role-as-a-number", NO_USER, {"user": {**USER, "roles": [1]}}, {"user": USER}),
    claimed("with-a-user-without-claims", NO_USER, {"user": {**USER, "claims": None}}, {"user": USER}),
    claimed("with-a-user-who-ends-as-a-text", NO_USER, {"user": {**USER, "exp": "never"}}, {"user": USER}),
    claimed(
        "with-a-user-without-a-name",
        "UnacceptableClaims: its sub is missing",
        {"user": USER, "sub": ""},
        {"user": USER},
    ),
)

INTERNALS = (*LOOKS, *SCHEMES, *TOKENS)
