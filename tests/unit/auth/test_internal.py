"""Internal: a token between services is for one caller, one service, one operation and one minute, or it is refused."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest

from evox.auth import Internal, InternalTokens, Key, KeySet, Principal, TokenVerifier, system
from evox.auth.issuing import Issuer, compact
from evox.errors import CannotIssue, TokenExpired, TokenRefused, UnacceptableHeader

NOW = 1_800_000_000.0
KEY = Key.generate("HS256", kid="internal")
ADA = Principal("user", "ada", frozenset({"user"}), "login", claims={"tenant": "t1"})


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def tokens(clock: Clock | None = None) -> InternalTokens:
    return InternalTokens(KeySet([KEY]), clock or Clock())


def issued(call: Internal | None = None, audience: str = "users", operation: str = "get_user") -> str:
    return tokens().issue(call or Internal("orders", ADA), audience=audience, operation=operation)


def verified(token: str, clock: Clock | None = None) -> Internal:
    return tokens(clock).verify(token, audience="users", operation="get_user")


def forged(**changes: Any) -> str:
    claims = json.loads(urlsafe_b64decode(issued().split(".")[1] + "=="))
    made = {name: value for name, value in (claims | changes).items() if value is not None}
    return compact(KEY, made, typ="evox-internal+jwt")


def test_A6_it_carries_the_original_user_and_no_more_roles_than_the_user_has() -> None:
    call = verified(issued())
    assert call == Internal("orders", Principal("user", "ada", frozenset({"user"}), "login"), ("orders",))
    who = call.principal
    assert (who.kind, who.subject, who.roles, who.chain) == ("user", "ada", frozenset({"user"}), ("orders",))
    assert who.claims["tenant"] == "t1"


def test_A6_a_service_on_its_own_behalf_has_no_roles() -> None:
    for user in (None, system("orders"), Principal("anonymous")):
        who = verified(issued(Internal("orders", user))).principal
        assert (who.kind, who.subject, who.roles, who.chain) == ("service", "orders", frozenset(), ("orders",))


def test_A6_the_chain_goes_with_the_call() -> None:
    call = verified(issued(Internal("orders", ADA, ("shop", "orders"))))
    assert call.principal.chain == ("shop", "orders")
    assert str(call.principal) == "user 'ada' through shop -> orders"


@pytest.mark.parametrize(
    ("audience", "operation"),
    [("items", "get_user"), ("users", "delete_user"), ("users", None), ("", ""), ("users", "")],
)
def test_A6_one_for_another_service_or_operation_is_refused(audience: str, operation: str | None) -> None:
    with pytest.raises(TokenRefused, match="claims"):
        tokens().verify(issued(), audience=audience, operation=operation)


def test_A6_it_is_good_for_a_minute() -> None:
    clock = Clock()
    clock.now = NOW + 59
    assert verified(issued(), clock).caller == "orders"
    clock.now = NOW + 60
    with pytest.raises(TokenExpired):
        verified(issued(), clock)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(NOW) + 61},
        {"exp": int(NOW) + 3600},
        {"exp": None},
        {"iat": None},
        {"iat": int(NOW) + 30, "exp": int(NOW) + 60},
        {"iss": None},
        {"iss": "shop"},
        {"aud": "users"},
        {"aud": ["evox-service:users"]},
        {"op": None},
        {"op": ["get_user"]},
        {"chain": None},
        {"chain": []},
        {"chain": "orders"},
        {"chain": ["orders", "shop"]},
        {"chain": ["x"] * 16 + ["orders"]},
        {"chain": [1, "orders"]},
        {"user": "ada"},
        {"user": {"roles": "admin", "claims": {}}},
        {"user": {"roles": [1], "claims": {}}},
        {"user": {"roles": []}},
        {"user": {"roles": [], "claims": [], "iss": 1}},
        {"user": {"roles": [], "claims": {}, "iss": 1}},
        {"user": {"roles": [], "claims": {}, "exp": "soon"}},
        {"sub": None},
    ],
    ids=str,
)
def test_A6_claims_of_another_form_are_refused(changes: dict[str, Any]) -> None:
    assert verified(forged()).caller == "orders"
    with pytest.raises(TokenRefused):
        verified(forged(**changes))


def test_A6_no_token_of_a_user_is_one_between_services_nor_the_other_way_round() -> None:
    user = Issuer(lambda: KEY, issuer="orders", audience="evox-service:users", clock=Clock()).issue("ada")
    verify = tokens()
    with pytest.raises(UnacceptableHeader, match="typ"):
        verify.verify(user, audience="users", operation="get_user")
    with pytest.raises(UnacceptableHeader, match="typ"):
        TokenVerifier(KEY, issuer="orders", audience="evox-service:users", clock=Clock()).verify(issued())


def test_A6_one_of_other_keys_is_refused() -> None:
    other = InternalTokens(KeySet([Key.generate("HS256", kid="internal")]), Clock())
    with pytest.raises(TokenRefused, match="signature"):
        verified(other.issue(Internal("orders"), audience="users", operation="get_user"))


def test_public_keys_verify_and_do_not_issue() -> None:
    private = Key.generate("EdDSA", kid="x")
    public = InternalTokens(KeySet([Key.from_jwk(private.public_jwk())]), Clock())
    with pytest.raises(CannotIssue):
        public.issue(Internal("orders"), audience="users", operation="get_user")
    token = InternalTokens(KeySet([private]), Clock()).issue(Internal("a"), audience="users", operation="get_user")
    assert public.verify(token, audience="users", operation="get_user").caller == "a"
