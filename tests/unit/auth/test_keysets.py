"""A2: sets of keys: names are unique, secrets stand alone, and others take their place at once or not at all."""

import threading
from typing import Any

import pytest

from evox.auth import Key, KeySet
from evox.auth.keysets import keys_of
from evox.errors import UnknownKey, UnusableKey

SOURCE = "keys/shop.json"
OLD, NEW = (Key.generate("EdDSA", kid=name) for name in ("old", "new"))
SECRET, NAMELESS = Key.generate("HS256", kid="secret"), Key.generate("EdDSA")


def refused(*keys: Key) -> str:
    with pytest.raises(UnusableKey) as caught:
        KeySet(keys, source=SOURCE)
    assert SOURCE in caught.value.what
    return caught.value.why or ""


def test_A2_two_keys_of_one_name_are_refused() -> None:
    assert refused(OLD, NEW, Key.generate("ES256", kid="old")) == "two keys have the kid 'old', and tokens choose by it"


def test_A2_one_of_several_without_a_name_is_refused() -> None:
    assert refused(OLD, NAMELESS) == "one of several keys has no kid, and tokens choose by it"
    assert refused(NAMELESS, Key.generate("EdDSA")) == "two keys have no kid, and tokens choose by it"


def test_A3_secrets_beside_public_keys_are_refused() -> None:
    assert "secrets and public keys stand side by side" in refused(SECRET, OLD)
    assert "secrets and public keys stand side by side" in refused(OLD, SECRET)


def test_A2_a_token_without_a_kid_will_do_where_there_is_one_key() -> None:
    assert KeySet([OLD]).find(None) is OLD
    assert KeySet([NAMELESS]).find(None) is NAMELESS
    for keys, kid in (((OLD, NEW), None), ((), None), ((OLD,), "new"), ((NAMELESS,), "old"), ((OLD,), "OLD")):
        with pytest.raises(UnknownKey):
            KeySet(keys).find(kid)


def test_the_first_that_can_sign_signs() -> None:
    public = Key.from_jwk(OLD.public_jwk())
    assert KeySet([public, NEW]).signing is NEW
    assert KeySet([NEW, OLD]).signing is NEW
    assert KeySet([public]).signing is None
    assert KeySet([]).signing is None


def test_A4_published_is_what_is_public_and_nothing_else() -> None:
    published = KeySet([OLD, NEW]).public_jwks()
    assert [jwk["kid"] for jwk in published["keys"]] == ["old", "new"]
    assert all(jwk.keys() == {"kty", "crv", "x", "kid", "alg", "use"} for jwk in published["keys"])
    with pytest.raises(ValueError, match="is a secret"):
        KeySet([SECRET]).public_jwks()


def test_A2_what_does_not_fit_together_replaces_nothing() -> None:
    keys = KeySet([OLD])
    for wrong in ([NEW, NEW], [NEW, SECRET], [NEW, NAMELESS]):
        with pytest.raises(UnusableKey):
            keys.replace(wrong)
        assert list(keys) == [OLD]

    def breaks_off() -> Any:
        yield NEW
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011  it is the one from above
        keys.replace(breaks_off())
    assert (list(keys), keys.find("old")) == ([OLD], OLD)


def test_A2_whoever_looks_while_keys_are_replaced_sees_the_old_or_the_new_ones() -> None:
    both, keys = [OLD, NEW], KeySet([OLD, NEW])
    seen: set[tuple[str | None, ...]] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            assert keys.find("new") is NEW
            seen.add(tuple(key.kid for key in keys))

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(5000):
        keys.replace([NEW] if number % 2 else both)
    done.set()
    thread.join()
    assert seen <= {("new",), ("old", "new")}


def test_keys_are_given_in_many_forms() -> None:
    jwk = OLD.public_jwk()
    several = [OLD, jwk, {"keys": [jwk]}, [OLD], [jwk], (one for one in [jwk]), KeySet([OLD])]
    assert [keys_of(given).find("old").algorithm for given in several] == ["EdDSA"] * len(several)
    kept = KeySet([OLD])
    assert keys_of(kept) is kept


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([], "there is no key in it"),
        ({"keys": []}, "there is no key in it"),
        ({}, "its kty is 'None'"),
        ({"keys": None}, "it is neither a Key, a JWK, a JWKS nor a list of those"),
        ("x" * 40, "it is neither a Key, a JWK, a JWKS nor a list of those"),
        (b"x" * 40, "it is neither a Key, a JWK, a JWKS nor a list of those"),
        (None, "it is neither a Key, a JWK, a JWKS nor a list of those"),
        (["x" * 40], "it is no JWK: a JSON object with a member kty"),
        ([OLD, OLD], "two keys have the kid 'old'"),
    ],
)
def test_what_is_no_key_is_refused_and_not_shown(given: Any, why: str) -> None:
    with pytest.raises(UnusableKey) as caught:
        keys_of(given)
    assert why in (caught.value.why or "")
    assert "xxxx" not in str(caught.value)


def test_A4_a_set_shows_names_and_nothing_else() -> None:
    assert repr(KeySet([SECRET])) == "<KeySet of <Key 'secret' HS256 signs>>"
    assert repr(KeySet([])) == "<KeySet of nothing>"
