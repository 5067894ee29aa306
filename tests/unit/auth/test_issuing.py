"""Issuing: what is issued is accepted, and what would not be is refused with what to change."""

from typing import Any

import pytest

from evox.auth import Key, KeySet, TokenVerifier
from evox.auth.issuing import Issuer
from evox.errors import CannotIssue

KEY = Key.generate()
NOW = 1_800_000_000.5


def issuer(**options: Any) -> Issuer:
    return Issuer(lambda: KEY, issuer="login", audience="shop", clock=lambda: NOW, **options)


def verifier(**options: Any) -> TokenVerifier:
    return TokenVerifier(KEY, issuer="login", audience="shop", clock=lambda: NOW, **options)


def test_what_is_issued_says_who_and_what_and_for_how_long() -> None:
    who = verifier().verify(issuer().issue("ada", roles=["user"], ttl="5m", claims={"tenant": "t1"}))
    assert (who.kind, who.subject, who.roles, who.issuer) == ("user", "ada", frozenset({"user"}), "login")
    assert who.expires_at == int(NOW) + 300
    assert who.claims["tenant"] == "t1"


@pytest.mark.parametrize("claim", ["roles", "realm_access.roles", "https://example.com/roles", "a.b.c"])
def test_roles_stand_where_the_verifier_looks_for_them(claim: str) -> None:
    token = issuer(roles_claim=claim).issue("ada", roles=["user"])
    assert verifier(roles_claim=claim).verify(token).roles == {"user"}


def test_claims_that_are_given_are_not_changed() -> None:
    claims = {"realm_access": {"verified": True}}
    token = issuer(roles_claim="realm_access.roles").issue("ada", roles=["user"], claims=claims)
    assert claims == {"realm_access": {"verified": True}}
    found = verifier(roles_claim="realm_access.roles").verify(token).claims
    assert found["realm_access"] == {"verified": True, "roles": ["user"]}


def test_no_two_tokens_are_the_same() -> None:
    assert issuer().issue("ada") != issuer().issue("ada")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"subject": ""}, "is empty"),
        ({"subject": 7}, "is no text"),
        ({"subject": "a\nb"}, "cannot be shown"),
        ({"roles": [""]}, "is empty"),
        ({"roles": [None]}, "is no text"),
        ({"ttl": 0}, "ttl is 0 s"),
        ({"ttl": "2d"}, "ttl is 172800 s"),
        ({"ttl": "soon"}, "ttl='soon'"),
        ({"claims": {"exp": 1}}, "sets 'exp'"),
        ({"claims": {"sub": "root"}}, "sets 'sub'"),
        ({"claims": {"x": {1}}}, "no JSON"),
        ({"claims": {"x": float("nan")}}, "no JSON"),
        ({"claims": {"x": "y" * 9000}}, "longer than"),
    ],
    ids=str,
)
def test_what_would_be_refused_is_not_issued(options: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotIssue, match=why):
        issuer().issue(**{"subject": "ada", **options})


def test_roles_are_not_put_into_a_text() -> None:
    with pytest.raises(CannotIssue, match="where roles are to be put into"):
        issuer(roles_claim="realm.roles").issue("ada", claims={"realm": "text"})


def test_a_public_key_issues_nothing() -> None:
    public = KeySet([Key.from_jwk(Key.generate("ES256", kid="x").public_jwk())])
    with pytest.raises(CannotIssue, match="public keys"):
        Issuer(lambda: public.signing, issuer="login", audience="shop").issue("ada")


def test_one_role_may_be_given_as_a_text() -> None:
    assert verifier().verify(issuer().issue("ada", roles="admin")).roles == {"admin"}
