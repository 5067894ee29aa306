"""A2: JSON in tokens is read in one way or not at all, and what our own issuer writes is read again."""

from typing import Any

import pytest

from evox.auth import Internal, InternalTokens, Key, KeySet, Principal, TokenVerifier
from evox.auth.issuing import Issuer
from evox.auth.jws import NESTING, json_object
from evox.errors import CannotIssue, MalformedToken

KEY = Key.generate(kid="k")
ISSUER = Issuer(lambda: KEY, issuer="https://login.example", audience="shop")
VERIFIER = TokenVerifier(KEY, issuer="https://login.example", audience="shop")


def nested(depth: int, kind: type = list) -> Any:
    """Return so many lists, tuples or dicts, each within the one before."""
    found: Any = kind()
    for _ in range(depth - 1):
        found = {"in": found} if kind is dict else kind([found])
    return found


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_A2_claims_are_issued_and_read_to_one_depth(kind: type) -> None:
    claims = {"deep": nested(NESTING - 1, kind)}
    assert VERIFIER.verify(ISSUER.issue("ada", claims=claims)).claims["deep"]
    for depth in (NESTING, 300, 600, 5_000):
        with pytest.raises(CannotIssue):
            ISSUER.issue("ada", claims={"deep": nested(depth, kind)})


def test_A2_what_refers_to_itself_is_not_issued() -> None:
    around: list[Any] = []
    around.append(around)
    with pytest.raises(CannotIssue):
        ISSUER.issue("ada", claims={"around": around})


@pytest.mark.parametrize("depth", [NESTING, 300, 900, 5_000])
def test_A2_json_that_is_nested_deeply_is_refused(depth: int) -> None:
    for begin, end in ((b"[", b"]"), (b'{"in":', b"}")):
        with pytest.raises(MalformedToken):
            json_object(b'{"deep":' + begin * depth + b"1" + end * depth + b"}", "payload")


def test_A2_much_side_by_side_is_not_deep() -> None:
    assert len(json_object(b'{"many":[' + b"[]," * 2_000 + b"[{}]]}", "payload")["many"]) == 2_001


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1E+400", b"NaN", b"Infinity", b"-Infinity", b"9" * 5_000])
def test_A2_a_number_that_readers_disagree_on_is_refused(number: bytes) -> None:
    with pytest.raises(MalformedToken):
        json_object(b'{"n":' + number + b"}", "payload")


def test_A2_other_numbers_are_read_as_they_are() -> None:
    assert json_object(b'{"n":[1e300,-0.5,1e-999,12345678901234567890]}', "payload")["n"] == [
        1e300,
        -0.5,
        0.0,
        12345678901234567890,
    ]


def test_A6_claims_of_a_user_that_were_accepted_go_on_to_another_service() -> None:
    user = VERIFIER.verify(ISSUER.issue("ada", claims={"deep": nested(NESTING - 1), "n": 1e300}))
    tokens = InternalTokens(KeySet([Key.generate(kid="between")]))
    made = tokens.issue(Internal("shop", user, ("shop",)), audience="stock", operation="count")
    received = tokens.verify(made, audience="stock", operation="count").user
    assert isinstance(received, Principal)
    assert dict(received.claims) == dict(user.claims)


def test_A2_what_is_given_as_claims_is_not_changed() -> None:
    claims = {"realm_access": {"name": "shop"}}
    issuer = Issuer(lambda: KEY, issuer="i", audience="a", roles_claim="realm_access.roles")
    verifier = TokenVerifier(KEY, issuer="i", audience="a", roles_claim="realm_access.roles")
    assert verifier.verify(issuer.issue("ada", roles=["admin"], claims=claims)).roles == {"admin"}
    assert claims == {"realm_access": {"name": "shop"}}
