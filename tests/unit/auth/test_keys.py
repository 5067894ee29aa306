"""A2, A4: keys from JWK, PEM and secrets: one algorithm each, and refused with a reason when not fit for it."""

import base64
import copy
import json
import pickle
import secrets
import traceback
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x448, x25519

from evox.auth import ALGORITHMS, Key, KeySet
from evox.errors import UnusableKey

SOURCE = "keys/shop.json"
MADE = {name: Key.generate(name, kid=f"the-{name}") for name in ALGORITHMS}
ASYMMETRIC = [name for name, (kind, _) in ALGORITHMS.items() if kind != "oct"]
SECRETS = [name for name, (kind, _) in ALGORITHMS.items() if kind == "oct"]


def pem(key: Any, password: bytes | None = None) -> str:
    """Return a private or public key as PEM."""
    if not hasattr(key, "private_bytes"):
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return str(key.public_bytes(serialization.Encoding.PEM, kind).decode())
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return str(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock).decode())


def text_of(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).rstrip(b"=").decode()


def coordinate(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=").decode()


def refused(jwk: Any) -> UnusableKey:
    with pytest.raises(UnusableKey) as caught:
        Key.from_jwk(jwk, source=SOURCE)
    assert caught.value.what == f"the key of {SOURCE} cannot be used"
    return caught.value


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_A2_a_key_is_the_same_after_a_way_through_a_jwk(algorithm: str) -> None:
    key = MADE[algorithm]
    again = Key.from_jwk(json.loads(json.dumps(key.secret_jwk())), source=SOURCE)
    assert (again.kid, again.algorithm, again.kind, again.can_sign) == (key.kid, algorithm, key.kind, True)
    assert again.verify(b"said", key.sign(b"said"))
    assert not again.verify(b"other", key.sign(b"said"))


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_A2_what_is_published_verifies_signs_nothing_and_has_nothing_private(algorithm: str) -> None:
    key = MADE[algorithm]
    jwk = key.public_jwk()
    assert not {"d", "p", "q", "dp", "dq", "qi", "k", "oth"} & jwk.keys()
    assert (jwk["kid"], jwk["alg"], jwk["use"]) == (key.kid, algorithm, "sig")
    public = Key.from_jwk(jwk, source=SOURCE)
    assert not public.can_sign
    assert public.verify(b"said", key.sign(b"said"))
    for forbidden in (lambda: public.sign(b"said"), public.secret_jwk):
        with pytest.raises(ValueError, match="is a public key"):
            forbidden()


@pytest.mark.parametrize("algorithm", SECRETS)
def test_A4_of_a_secret_nothing_is_published(algorithm: str) -> None:
    with pytest.raises(ValueError, match="is a secret: nothing of it may be published"):
        MADE[algorithm].public_jwk()


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_A2_a_key_is_made_from_pem_private_or_public(algorithm: str) -> None:
    key = MADE[algorithm]
    for material, signs in ((key._signing, True), (key._public, False)):
        for given_as in (pem(material), pem(material).encode()):
            found = Key.from_pem(given_as, kid="named", algorithm=algorithm, source=SOURCE)
            assert (found.kid, found.algorithm, found.can_sign) == ("named", algorithm, signs)
            assert found.verify(b"said", key.sign(b"said"))


@pytest.mark.parametrize(("like", "usual"), [("PS512", "RS256"), ("ES384", "ES384"), ("EdDSA", "EdDSA")])
def test_A2_pem_without_an_algorithm_is_for_the_usual_one(like: str, usual: str) -> None:
    assert Key.from_pem(pem(MADE[like]._public)).algorithm == usual


@pytest.mark.parametrize(("algorithm", "least"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_A4_a_secret_is_as_long_as_the_hash(algorithm: str, least: int) -> None:
    enough = secrets.token_bytes(least)
    assert Key.from_secret(enough, algorithm=algorithm).algorithm == algorithm
    with pytest.raises(UnusableKey, match=f"it has {least - 1} bytes, and {algorithm} wants {least} at least"):
        Key.from_secret(enough[1:], algorithm=algorithm, source=SOURCE)
    short = base64.urlsafe_b64encode(enough[1:]).rstrip(b"=").decode()
    assert f"wants {least}" in (refused({"kty": "oct", "alg": algorithm, "k": short}).why or "")


@pytest.mark.parametrize(
    "name",
    ["none", "None", "NONE", "hs256", "HS1", "ES256K", "RSA-OAEP", "A128KW", "dir", "EdDSA ", "", None, 5, [], {}],
)
def test_A2_an_algorithm_that_is_none_of_ours_is_refused(name: Any) -> None:
    assert "its alg is" in (refused({**MADE["HS256"].secret_jwk(), "alg": name}).why or "")
    if isinstance(name, str):
        for make in (
            partial(Key.generate, name),
            partial(Key.from_secret, secrets.token_bytes(64), algorithm=name),
        ):
            with pytest.raises(UnusableKey, match="is no algorithm for signatures that is accepted"):
                make()


@pytest.mark.parametrize("own", ["HS256", "RS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_A2_a_key_is_not_for_an_algorithm_of_another_kind_or_curve(own: str) -> None:
    for other in ALGORITHMS:
        if ALGORITHMS[other] != ALGORITHMS[own]:
            refused({**MADE[own].secret_jwk(), "alg": other})
            if own != "HS256":
                with pytest.raises(UnusableKey):
                    Key.from_pem(pem(MADE[own]._signing), algorithm=other, source=SOURCE)


RSA_1024 = rsa.generate_private_key(65_537, 1024)
OTHER_KINDS: dict[str, Any] = {
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "X25519PublicKey": x25519.X25519PrivateKey.generate(),
    "X448PublicKey": x448.X448PrivateKey.generate(),
    "DSAPublicKey": dsa.generate_private_key(1024),
    "secp224r1": ec.generate_private_key(ec.SECP224R1()),
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_A2_pem_of_another_kind_or_curve_is_refused(kind: str) -> None:
    for material in (OTHER_KINDS[kind], OTHER_KINDS[kind].public_key()):
        with pytest.raises(UnusableKey, match=kind):
            Key.from_pem(pem(material), source=SOURCE)


def test_A2_rsa_under_2048_bits_is_refused_in_every_form() -> None:
    numbers = RSA_1024.public_key().public_numbers()
    why = "it is RSA of 1024 bits, and 2048 to 16384 are accepted"
    assert refused({"kty": "RSA", "n": text_of(numbers.n), "e": text_of(numbers.e)}).why == why
    for material in (RSA_1024, RSA_1024.public_key()):
        with pytest.raises(UnusableKey, match=why):
            Key.from_pem(pem(material), source=SOURCE)


EC_JWK = MADE["ES256"].public_jwk()
OKP_JWK = MADE["EdDSA"].public_jwk()
OCT_JWK = MADE["HS256"].secret_jwk()
RSA_JWK = MADE["RS256"].public_jwk()
X25519_JWK = {"kty": "OKP", "crv": "X25519", "x": OKP_JWK["x"]}


@pytest.mark.parametrize(
    ("jwk", "why"),
    [
        (None, "it is no JWK"),
        ([], "it is no JWK"),
        ("text", "it is no JWK"),
        ({}, "its kty is 'None'"),
        ({**EC_JWK, "kty": "ec"}, "its kty is 'ec'"),
        ({**EC_JWK, "kty": ["EC"]}, "its kty is"),
        ({**EC_JWK, "kty": {"a": 1}}, "its kty is"),
        ({**EC_JWK, "y": coordinate(1)}, "it does not parse"),
        ({**EC_JWK, "x": coordinate(0), "y": coordinate(0)}, "it does not parse"),
        ({**EC_JWK, "x": EC_JWK["x"][:-4]}, "it does not parse"),
        ({**EC_JWK, "x": EC_JWK["x"] + "="}, "its member x is missing, or no base64url"),
        ({**EC_JWK, "x": 5}, "its member x is missing, or no base64url"),
        ({**EC_JWK, "x": "+/+/"}, "its member x is missing, or no base64url"),
        ({name: EC_JWK[name] for name in ("kty", "crv", "x")}, "its member y is missing"),
        ({**EC_JWK, "crv": "P-384"}, "its alg is 'ES256', which is none for signatures with EC P-384"),
        ({**EC_JWK, "crv": ["P-256"]}, "its alg is 'ES256'"),
        ({**EC_JWK, "crv": "secp256k1"}, "its alg is 'ES256', which is none for signatures with EC secp256k1"),
        ({"kty": "EC", "crv": "secp256k1", "x": EC_JWK["x"], "y": EC_JWK["y"]}, "its crv is 'secp256k1'"),
        ({"kty": "EC", "x": EC_JWK["x"], "y": EC_JWK["y"]}, "its crv is ''"),
        (X25519_JWK, "its crv is 'X25519'"),
        ({**X25519_JWK, "alg": "EdDSA"}, "its alg is 'EdDSA', which is none for signatures with OKP X25519"),
        ({**OKP_JWK, "x": OKP_JWK["x"][:-4]}, "it does not parse"),
        ({**OKP_JWK, "d": "AAAA"}, "it does not parse"),
        ({**OKP_JWK, "d": None}, "its member d is missing, or no base64url"),
        ({**RSA_JWK, "e": "AA"}, ""),
        ({**RSA_JWK, "n": ""}, "its member n is missing, or no base64url"),
        ({**RSA_JWK, "use": "enc"}, "its use is 'enc', and not sig"),
        ({**RSA_JWK, "use": None}, "its use is 'None', and not sig"),
        ({**RSA_JWK, "use": ["sig"]}, "and not sig"),
        ({**RSA_JWK, "key_ops": ["encrypt"]}, "its key_ops do not allow it to verify"),
        ({**RSA_JWK, "key_ops": []}, "its key_ops do not allow it to verify"),
        ({**RSA_JWK, "key_ops": "verify"}, "its key_ops do not allow it to verify"),
        ({**OCT_JWK, "k": None}, "its member k is missing, or no base64url"),
        ({**OCT_JWK, "k": "ä" * 50}, "its member k is missing, or no base64url"),
        ({**OCT_JWK, "kid": ""}, "its kid is no text of 1 to 256 visible characters"),
        ({**OCT_JWK, "kid": "two words"}, "its kid is no text of 1 to 256 visible characters"),
        ({**OCT_JWK, "kid": "a" * 257}, "its kid is no text of 1 to 256 visible characters"),
        ({**OCT_JWK, "kid": 7}, "its kid is no text of 1 to 256 visible characters"),
    ],
)
def test_A2_a_jwk_with_one_defect_is_refused_and_its_reason_told(jwk: Any, why: str) -> None:
    assert why in (refused(jwk).why or "")


def test_A2_the_same_jwks_without_a_defect_are_accepted() -> None:
    for jwk in (EC_JWK, OKP_JWK, OCT_JWK, RSA_JWK, {**RSA_JWK, "key_ops": ["verify"]}, {**RSA_JWK, "x5t": "abc"}):
        assert Key.from_jwk(jwk, source=SOURCE).kid == jwk["kid"]


def test_A3_a_public_key_is_no_secret_however_it_is_written() -> None:
    public = MADE["RS256"]._public
    bare = "".join(pem(public).splitlines()[1:-1])
    encoding, kind = serialization.Encoding, serialization.PublicFormat
    written = {
        "PEM": pem(public),
        "a JWK": json.dumps(RSA_JWK),
        "a public key of SSH": public.public_bytes(encoding.OpenSSH, kind.OpenSSH),
        "a key or a certificate": bare,  # as Keycloak shows it
    }
    for name, text in written.items():
        with pytest.raises(UnusableKey, match=f"it is {name}.*, and no secret"):
            Key.from_secret(text, source=SOURCE)
    for algorithm in ("RS256", "ES256", "ES384", "ES512", "EdDSA"):
        der = MADE[algorithm]._public.public_bytes(encoding.DER, kind.SubjectPublicKeyInfo)
        for one in (der, base64.b64encode(der), base64.urlsafe_b64encode(der).rstrip(b"="), base64.encodebytes(der)):
            with pytest.raises(UnusableKey, match="and no secret"):
                Key.from_secret(one, source=SOURCE)
    pkcs1 = public.public_bytes(encoding.DER, kind.PKCS1)
    with pytest.raises(UnusableKey, match="and no secret"):
        Key.from_secret(base64.b64encode(pkcs1), source=SOURCE)
    hidden = base64.urlsafe_b64encode(pem(public).encode()).rstrip(b"=").decode()
    assert refused({"kty": "oct", "k": hidden}).why == "it is PEM, and no secret"


@pytest.mark.parametrize(
    "text",
    [
        pem(ed25519.Ed25519PrivateKey.generate(), password=b"locked"),
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYH\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nMFkwEwYH\n-----END CERTIFICATE-----\n",
        "-----BEGIN PUBLIC KEY-----\n\udcff\n-----END PUBLIC KEY-----\n",
        "",
    ],
)
def test_A2_pem_that_is_locked_or_broken_is_refused(text: str) -> None:
    with pytest.raises(UnusableKey, match="it does not parse, or is locked with a password"):
        Key.from_pem(text, source=SOURCE)


def test_A4_no_key_and_no_error_shows_what_a_key_is_made_of() -> None:
    for key in MADE.values():
        material = [value for name, value in key.secret_jwk().items() if name not in ("kty", "crv", "alg", "kid", "e")]
        shown = f"{key!r} {key} {[key]}"
        for spoilt in ({"use": "enc"}, {"alg": "none"}, {"kid": "a b"}, {"crv": "P-1"}):
            error = refused({**key.secret_jwk(), **spoilt})
            shown += f"{error} {error!r} {error.__cause__!r} {error.args}"
        assert not any(value in shown for value in material)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_A4_a_key_is_not_pickled_and_has_nothing_to_list(algorithm: str) -> None:
    key = MADE[algorithm]
    for one in (key, KeySet([key]), [key]):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match=f"<Key 'the-{algorithm}' {algorithm} signs> is not pickled"):
                pickle.dumps(one, protocol)
    for show in (vars, json.dumps):
        with pytest.raises(TypeError):
            show(key)
    assert copy.copy(key) is key
    assert copy.deepcopy({"key": key})["key"] is key


def test_A4_no_traceback_and_no_pickle_of_an_error_holds_what_a_key_is_made_of() -> None:
    hidden = secrets.token_hex(15)
    encoded = base64.urlsafe_b64encode(hidden.encode()).rstrip(b"=").decode()
    block = f"-----BEGIN PRIVATE KEY-----\n{encoded}\n-----END PRIVATE KEY-----\n"
    for make in (
        partial(Key.from_secret, hidden),
        partial(Key.from_jwk, {"kty": "oct", "k": encoded}),
        partial(Key.from_jwk, {**OKP_JWK, "d": encoded}),
        partial(Key.from_jwk, {**EC_JWK, "d": f"{encoded}="}),
        partial(Key.from_pem, block),
    ):
        with pytest.raises(UnusableKey) as caught:
            make(source=SOURCE)
        error = caught.value
        shown = "".join(traceback.format_exception(error)) + repr(error.__context__) + repr(pickle.dumps(error))
        assert hidden not in shown
        assert encoded not in shown


ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**400,
    "",
    "\x00",
    "\ud800",
    "A",
    "AA",
    "A" * 5000,
    [],
    ["a"],
    [[]],
    {},
    {"a": []},
]


@pytest.mark.parametrize("member", ["kty", "alg", "crv", "x", "y", "d", "k", "n", "e", "p", "use", "key_ops", "kid"])
def test_A2_a_jwk_with_anything_in_it_is_a_key_or_refused_and_nothing_else(member: str) -> None:
    for jwk in (EC_JWK, OKP_JWK, OCT_JWK, RSA_JWK, MADE["ES256"].secret_jwk(), MADE["RS256"].secret_jwk()):
        for value in ODD:
            try:
                found = Key.from_jwk({**jwk, member: value}, source=SOURCE)
            except UnusableKey:
                continue
            assert found.algorithm in ALGORITHMS
