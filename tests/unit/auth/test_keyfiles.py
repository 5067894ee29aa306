"""A4: keys from files and from the environment: what cannot be used is named, told why, and never shown."""

import base64
import json
import os
import secrets
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from evox.auth import Key
from evox.auth.keyfiles import LARGEST, files_of, read_keys, read_secret
from evox.errors import UnusableKey
from evox.failures import describe

SECRET = secrets.token_urlsafe(32)
EC, ED = Key.generate("ES256", kid="ec"), Key.generate("EdDSA", kid="ed")
RSA = Key.generate("RS256", kid="rsa")
NAME = "shop.key"


def pem(key: Key) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key._public.public_bytes(serialization.Encoding.PEM, form).decode())


def read(folder: Path, data: str | bytes, *, named: str = NAME, algorithms: tuple[str, ...] = ()) -> list[Key]:
    (folder / NAME).write_bytes(data.encode() if isinstance(data, str) else data)
    return read_keys([named], folder, {}, algorithms=algorithms)


@pytest.mark.parametrize("around", ["{}", "{}\n", "\n  {}\r\n\r\n", "\ufeff{}\n"])
@pytest.mark.parametrize("form", ["JWK", "JWKS", "PEM", "secret"])
def test_a_file_is_read_in_every_form_with_whatever_editors_put_around_it(
    tmp_path: Path, form: str, around: str
) -> None:
    """The mark that some editors put at the beginning made a published key a secret that everybody knows."""
    jwk = EC.public_jwk()
    text = {"JWK": json.dumps(jwk), "JWKS": json.dumps({"keys": [jwk]}), "PEM": pem(EC), "secret": SECRET}[form]
    (key,) = read(tmp_path, around.replace("{}", text), named=f"{NAME}#mine")
    assert key.algorithm == ("HS256" if form == "secret" else "ES256")
    assert key.kid == ("ec" if "JWK" in form else "mine")
    if form == "secret":
        assert key.verify(b"said", Key.from_secret(SECRET).sign(b"said"))


def test_the_environment_is_read_in_every_form(tmp_path: Path) -> None:
    environ = {"JWK": json.dumps(EC.public_jwk()), "PEM": pem(ED), "SECRET": f" {SECRET}\n"}
    found = [read_keys([f"env:{name}#mine"], tmp_path, environ)[0] for name in environ]
    assert [(key.kid, key.algorithm) for key in found] == [("ec", "ES256"), ("mine", "EdDSA"), ("mine", "HS256")]


def test_several_sources_give_their_keys_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"keys": [EC.secret_jwk(), RSA.public_jwk()]}))
    environ = {"ED": json.dumps(ED.public_jwk())}
    sources = ["env:ED", "a.json"]
    assert [key.kid for key in read_keys(sources, tmp_path, environ)] == ["ed", "ec", "rsa"]
    assert files_of([*sources, "b.pem#b"], tmp_path) == [tmp_path / "a.json", tmp_path / "b.pem"]


@pytest.mark.parametrize(
    ("form", "algorithms", "expected"),
    [
        ("secret", (), "HS256"),
        ("secret", ("RS256", "HS512", "HS256"), "HS512"),
        ("rsa", (), "RS256"),
        ("rsa", ("ES256", "PS384", "RS256"), "PS384"),
        ("rsa jwk", ("PS256",), "PS256"),
        ("ec", ("ES256", "PS384"), "ES256"),
    ],
)
def test_what_says_no_algorithm_is_for_the_first_that_fits(
    tmp_path: Path, form: str, algorithms: tuple[str, ...], expected: str
) -> None:
    jwk = {name: value for name, value in RSA.public_jwk().items() if name != "alg"}
    text = {"secret": SECRET + secrets.token_hex(16), "rsa": pem(RSA), "rsa jwk": json.dumps(jwk), "ec": pem(EC)}[form]
    assert [key.algorithm for key in read(tmp_path, text, algorithms=algorithms)] == [expected]


def encoded(secret: str) -> str:
    return base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()


DEEP = '{"keys":' * 5000
CASES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "the file is empty"),
    "blank": (" \n\t\r\n", "the file is empty"),
    "mark alone": ("\ufeff\n", "the file is empty"),
    "binary": (
        b"\xff\xfe\x00" + secrets.token_bytes(64),
        "the file is no text; keys are JWK, PEM, or a secret as text",
    ),
    "oversize": ("a" * (LARGEST + 1), f"the file is larger than {LARGEST} bytes"),
    "short": (SECRET[:31], "it has 31 bytes, and HS256 wants 32 at least"),
    "weak": ("change-me-change-me-change-me-change-me", "it is made of words"),
    "weak jwk": (json.dumps({"kty": "oct", "k": encoded("change-me-" * 4)}), "it is made of words"),
    "cut json": ('{"kty": "oct", "k": "' + SECRET, "it begins as JSON and is none"),
    "deep json": (DEEP, "it begins as JSON and is none"),
    "settings": ('{"secret": "' + SECRET + '"}', "its kty is 'None'"),
    "empty object": ("{}", "its kty is 'None'"),
    "list": (json.dumps([EC.public_jwk()]), "it is JSON, and neither a JWK nor a JWKS"),
    "list of texts": (json.dumps([SECRET]), "it is JSON, and neither a JWK nor a JWKS"),
    "no keys": ('{"keys": []}', "its keys are no list of JWKs, or an empty one"),
    "keys no list": (json.dumps({"keys": EC.public_jwk()}), "its keys are no list of JWKs, or an empty one"),
    "keys of texts": (json.dumps({"keys": [SECRET]}), "it is no JWK: a JSON object with a member kty"),
    "kty no text": ('{"kty": ["EC"]}', "its kty is"),
    "locked": ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----", "it does not parse"),
    "flat pem": (pem(EC).replace("\n", "\\n"), "it does not parse"),
    "ssh": ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq0l5sN3k9 ada@example", "it is a public key of SSH, and no secret"),
    "bare": ("".join(pem(RSA).splitlines()[1:-1]), "without the lines around it, and no secret"),
}


@pytest.mark.parametrize("case", CASES)
def test_A4_a_file_that_cannot_be_used_is_named_and_its_content_is_not_shown(tmp_path: Path, case: str) -> None:
    data, why = CASES[case]
    with pytest.raises(UnusableKey) as caught:
        read(tmp_path, data)
    error = caught.value
    assert NAME in error.what
    assert why in (error.why or "")
    assert error.__cause__ is None
    shown = f"{error} {error!r} {error.args}"
    assert SECRET[:31] not in shown
    assert "change-me" not in shown


def test_a_jwks_says_which_of_its_keys_cannot_be_used(tmp_path: Path) -> None:
    keys: list[Any] = [EC.public_jwk(), {**ED.public_jwk(), "use": "enc"}]
    with pytest.raises(UnusableKey, match=f"{NAME}, key 2 cannot be used") as caught:
        read(tmp_path, json.dumps({"keys": keys}))
    assert caught.value.why == "its use is 'enc', and not sig"


@pytest.mark.parametrize("name", ["gone.key", "folder", "gone/shop.key", "\0", "x" * 300])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnusableKey, match=r"the file cannot be read"):
        read_keys([name], tmp_path, {})


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no file without an end here")
def test_a_file_without_an_end_is_refused_and_does_not_fill_the_memory(tmp_path: Path) -> None:
    with pytest.raises(UnusableKey, match="larger than"):
        read_keys(["/dev/zero"], tmp_path, {})


@pytest.mark.parametrize("environ", [{}, {"AUTH_SECRET": ""}, {"AUTH_SECRET": " \n"}])
def test_a_variable_that_is_not_set_is_refused(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(UnusableKey) as caught:
        read_keys(["env:AUTH_SECRET#mine"], tmp_path, environ)
    assert caught.value.what == "the key of AUTH_SECRET in the environment cannot be used"
    assert caught.value.why == "the variable is not set, or empty"
    assert "set AUTH_SECRET" in caught.value.fix


def test_a_variable_that_is_no_text_is_refused(tmp_path: Path) -> None:
    value = os.fsdecode(b"\xff\xfe" + SECRET.encode())
    with pytest.raises(UnusableKey, match="it has bytes that are no UTF-8") as caught:
        read_keys(["env:AUTH_SECRET"], tmp_path, {"AUTH_SECRET": value})
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    "source",
    [
        "Zx8k2LqPw5vN9rT3yB7mJ4hG6fD1sA0c",
        "Zx8k2LqPw5vN9rT3yB7mJ4hG6fD1sA0c#2026",
        "Zx8k2LqPw5vN9.T3yB7mJ4hG6fD1sA0c",
        "/Zx8k2LqPw5v/N9rT3yB7mJ4hG6fD1sA0c=",
        "/Zx8k2LqPw5vN9rT3yB7mJ4hG6fD1sA0c=",
        "j8op9)1q8$1&0^s&p*_0%d%pr@w9qj@1o=3)@d=a(^",
        "tell nobody that the cat sleeps on Tuesdays",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----",
        "a secret of several words with a\nnewline in it",
    ],
)
def test_A4_a_key_that_is_given_in_the_place_of_its_file_is_not_shown(source: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableKey) as caught:
        read_keys([source], tmp_path, {})
    text = str(caught.value)
    assert source.partition("#")[0] not in text
    assert "MC4CAQAwBQYDK2Vw" not in text
    assert "newline" not in text
    assert "never keys themselves" in text


@pytest.mark.parametrize(
    "name", ["Zx8k2LqPw5vN9rT3yB7mJ4hG6fD1sA0c", "a1b2c3d4e5f60718293a4b5c6d7e8f90", "JBSWY3DPEHPK3PXPJBSWY3DP"]
)
def test_A4_a_secret_in_the_place_of_the_name_of_its_variable_is_not_shown(name: str, tmp_path: Path) -> None:
    """``env:${AUTH_SECRET}`` in a file of docker compose."""
    with pytest.raises(UnusableKey, match="a variable in the environment cannot be used") as caught:
        read_keys([f"env:{name}"], tmp_path, {})
    assert name not in str(caught.value)


def test_the_names_of_files_and_variables_are_shown_however_long_they_are(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "signing-key-of-the-shop-in-production").write_text("short")
    for place in (
        "env:SHOP_AUTH_SIGNING_SECRET_OF_PRODUCTION",
        "env:authSecret",
        "secrets/signing-key-of-the-shop-in-production",
        f"{tmp_path}/secrets/signing-key-of-the-shop",
        "signing-key-of-the-shop-in-production",
        "gone/signing-key-of-the-shop-in-production.json",
        "keys of the shop (3).jwks",
    ):
        with pytest.raises(UnusableKey) as caught:
            read_keys([place], tmp_path, {})
        assert place.removeprefix("env:") in caught.value.what


def test_a_secret_that_is_too_short_is_told_in_whole_words(tmp_path: Path) -> None:
    # What broke: redaction took the word after `token:` for a token, so that it said "*** word of at least 32".
    with pytest.raises(UnusableKey) as refused:
        read_secret("env:A", tmp_path, {"A": "short"})
    said = describe(refused.value)
    assert "one word of at least 32 ASCII characters" in said
    assert "***" not in said
