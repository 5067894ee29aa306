"""Redaction: secrets known by shape, name, type and value are taken out, and what only looks like one is left."""

import base64
import json
import secrets
import time
from collections import OrderedDict, UserDict, deque, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, SecretBytes, SecretStr

from evox.auth.development import KEY_FILE, development_key
from evox.auth.keyfiles import read_keys, read_secret
from evox.auth.keys import Key
from evox.config import load
from evox.errors import masking
from evox.errors.masking import remembering
from evox.errors.secrets import is_secret_name, masked, redacted, remember

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIAbc\nDEF0ghi=\n-----END EC PRIVATE KEY-----"
NAMES = [
    *(
        "password",
        "passwd",
        "pwd",
        "db_password",
        "dbPassword",
        "PGPASSWORD",
        "passphrase",
        "smtp_pass",
        "password_hash",
    ),
    *("secret", "client_secret", "clientSecret", "SECRET_KEY", "secretKeyBase", "token", "access_token", "csrfToken"),
    *("refresh-token", "authToken", "access_tokens", "api_key", "apikey", "apiKey", "X-Api-Key", "private_key"),
    *("private_key_pem", "signing_keys", "AWS_SECRET_ACCESS_KEY", "authorization", "Proxy-Authorization", "cookie"),
    *("Set-Cookie", "cookies", "credentials", "credential", "jwt", "id_token", "password2", "TOKEN_1"),
]
PLAIN = [
    *("token_type", "tokenType", "tokens_total", "max_tokens", "prompt_tokens", "token_count", "token_expires_at"),
    *("keyboard", "monkey", "key", "keys", "primary_key", "cache_key", "public_key", "key_id", "api_key_id", "keynote"),
    *("password_file", "secret_name", "cookie_name", "cookiePath", "token_url", "authorization_endpoint"),
    *("bypass", "compass", "passed", "passport", "author", "authority", "secretary", "tokenizer", "", "_", "42"),
    *("idempotency_key", "sort_key", "user", "name", "session", "credential_type", "access_token_ttl"),
]
TEXTS = [
    ("password=hunter22", "password=***"),
    ("password: hunter22, user: ada", "password: ***, user: ada"),
    ('{"password": "hunter 22", "user": "ada"}', '{"password": ***, "user": "ada"}'),
    ("{'api_key': 'a, b', 'n': 1}", "{'api_key': ***, 'n': 1}"),
    ("{'tokens': ['a', {'b': 'c'}], 'n': 1}", "{'tokens': ***, 'n': 1}"),
    (r"{\"token\": \"a b\", \"n\": 1}", r"{\"token\": ***, \"n\": 1}"),
    ("User(name='ada', password='it is \\'it\\'', n=1)", "User(name='ada', password=***, n=1)"),
    ("f('password=hunter22', 1)", "f('password=***', 1)"),
    ("Authorization: Digest a=b, c=d\nnext", "Authorization: ***\nnext"),
    ("Set-Cookie: sid=1; Path=/", "Set-Cookie: ***"),
    ("[(b'cookie', b'a=b; c'), (b'accept', b'x')]", "[(b'cookie', ***), (b'accept', b'x')]"),
    ("dict_items([('password', 'a b')])", "dict_items([('password', ***)])"),
    ("GET /x?access_token=abc&n=1", "GET /x?access_token=***&n=1"),
    ("sent Bearer abcdefgh to them", "sent Bearer *** to them"),
    ("sent Basic YWRhOmh1bnRlcjI= to them", "sent Basic *** to them"),
    (f"got {JWT}, which is old", "got ***, which is old"),
    (f"sub.{JWT}", "sub.***"),
    (f"key: {PEM!r} and", "key: '***' and"),
    (f"a\n{PEM}\nb", "a\n***\nb"),
    (PEM[:40], "***"),
    ("token=x token=y", "token=*** token=***"),
    ("password = 'a\nb", "password = ***\nb"),
]
LEFT = [
    "token_type=bearer, tokens_total: 5, keyboard: us, monkey=1, key=id",
    "def login(password: str, token: str | None = None) -> bool:",
    "send one header: Authorization: Bearer TOKEN",
    'Bearer realm="shop", error="invalid_token"',
    "basic authentication, bearer tokens and Bearer authentication",
    "secrets.token_urlsafe(32) is not password == other",
    "evox.errors.secrets 1.2.3 a.b.c",
    "the password is wrong",
    "token: it comes back changed, password: Field required",
    '["password", "email"] are wrong',
    "-----BEGIN PUBLIC KEY-----\nMHcC\n-----END PUBLIC KEY-----",
    "secret://host and token::type",
]
Pair = namedtuple("Pair", ["user", "password"])  # noqa: PYI024  what users have


class Colour(Enum):
    RED = "red"


@dataclass
class Login:
    user: str
    password: str
    hidden: str = field(default="x-hidden-x", repr=False)


class Model(BaseModel):
    user: str
    api_key: str
    wrapped: SecretStr
    apart: str = Field(default="x-hidden-x", repr=False)


class Broken:
    def __repr__(self) -> str:
        raise ValueError("no")


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a test lets remember be gone after it."""
    monkeypatch.setattr(masking, "_KNOWN", masking._Known())


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_a_secret_is_known_however_it_is_written(name: str) -> None:
    assert is_secret_name(name)
    assert redacted({name: "hunter22"}) == {name: "***"}
    assert "hunter22" not in masked(f"{name}=hunter22") + masked(f'"{name}": "hunter22"')


@pytest.mark.parametrize("name", PLAIN)
def test_a_name_that_only_resembles_one_is_left(name: str) -> None:
    assert not is_secret_name(name)
    assert redacted({name: "hunter22"}) == {name: "hunter22"}
    assert masked(f"{name}=hunter22") == f"{name}=hunter22"


@pytest.mark.parametrize(("text", "shown"), TEXTS)
def test_a_secret_is_taken_out_of_a_text_and_the_rest_is_left(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize("text", LEFT)
def test_a_text_about_secrets_is_left_as_it_is(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (2**70, "0x400000000000000000"),
        (float("nan"), "nan"),
        (1.5, 1.5),
        (b"hunter22", "<8 bytes>"),
        (bytearray(b"x"), "<1 bytes>"),
        (SecretStr("hunter22"), "***"),
        (SecretBytes(b"hunter22"), "***"),
        (Colour.RED, "red"),
        (Path("/srv/x"), "/srv/x"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01 00:00:00+00:00"),
        (ValueError("password=hunter22"), "ValueError: password=***"),
        (Login("ada", "hunter22"), {"user": "ada", "password": "***", "hidden": "***"}),
        (
            Model(user="ada", api_key="hunter22", wrapped=SecretStr("hunter22")),
            {"user": "ada", "api_key": "***", "wrapped": "***", "apart": "***"},
        ),
        (Pair("ada", "hunter22"), {"user": "ada", "password": "***"}),
        ([("Cookie", "hunter22"), ("accept", "x")], [["Cookie", "***"], ["accept", "x"]]),
        (deque([{"token": "hunter22"}]), [{"token": "***"}]),
        (UserDict(token="hunter22", n=1), {"token": "***", "n": 1}),
        (OrderedDict({b"token": "hunter22", 5: (1, 2)}), {"token": "***", "5": [1, 2]}),
        ({"password": None, "token": False, "secret": 5}, {"password": None, "token": False, "secret": "***"}),
        (Broken(), "<Broken that cannot be shown>"),
        ([Broken], [str(Broken)]),
    ],
)
def test_a_value_becomes_json_that_may_be_shown(value: Any, shown: Any) -> None:
    found = redacted(value)
    assert found == shown
    assert json.loads(json.dumps(found, allow_nan=False)) == shown


def test_a_key_of_ours_shows_what_it_is_for_and_nothing_of_what_it_is_made_of() -> None:
    secret = secrets.token_urlsafe(40)
    shown = json.dumps(redacted({"a": [Key.from_secret(secret, kid="k1")]})) + masked(f"{Key.from_secret(secret)}")
    assert "k1" in shown
    assert secret not in shown


def test_cycles_depth_and_size_are_bounded() -> None:
    circle: dict[str, Any] = {"a": 1}
    circle["self"] = [circle]
    assert redacted(circle) == {"a": 1, "self": ["..."]}
    deep: Any = "end"
    for _ in range(1000):
        deep = [deep]
    assert "..." in json.dumps(redacted(deep))
    assert len(json.dumps(redacted(range(10**9)))) < 20_000
    assert len(json.dumps(redacted(["x" * 60_000] * 1000))) < 300_000


def test_a_value_that_was_remembered_is_taken_out_wherever_it_appears() -> None:
    value = 'corrẹct "horse" battery'
    remember(value)
    for text in (value, repr(value), json.dumps(value), f"a{value}b", json.dumps({"x": [value]}, ensure_ascii=False)):
        assert "horse" not in masked(text), text
    assert redacted({"x": {value: [value]}}) == {"x": {"***": ["***"]}}
    assert "horse" not in repr(masking._KNOWN)


@pytest.mark.parametrize("value", ["short", "password", "       x", b"\xff" * 9])
def test_what_may_be_a_part_of_any_text_is_not_remembered(value: str | bytes) -> None:
    remember(value)
    assert masked("a short password x") == "a short password x"


def test_only_so_many_values_are_remembered_and_the_last_ones_are() -> None:
    values = [f"value-{number:08}" for number in range(masking.KEPT + 5)]
    for value in values:
        remember(value)
    assert masked(values[0]) == values[0]
    assert {masked(value) for value in values[5:]} == {"***"}


def test_whoever_loads_a_secret_lets_it_be_remembered(tmp_path: Path) -> None:
    text, mine, token = secrets.token_urlsafe(40), secrets.token_bytes(40).hex(), secrets.token_urlsafe(40)
    encoded = base64.urlsafe_b64encode(mine.encode()).rstrip(b"=").decode()
    (tmp_path / "key.json").write_text(json.dumps({"kty": "oct", "k": encoded, "kid": "a"}), "utf-8")
    read_keys(["env:KEY"], tmp_path, {"KEY": text})
    read_keys(["key.json"], tmp_path, {})
    read_secret("env:TOKEN", tmp_path, {"TOKEN": token})
    development_key(tmp_path)
    made = json.loads((tmp_path / KEY_FILE).read_text("utf-8"))["k"]
    places = ("DATA__BACKEND", "DATA__DATABASE", "DATA__SERVICES__SHOP", "PROXY__REGISTRY", "DATA__INTENTS__X__BACKEND")
    urls = {f"EVOX_{one}": f"valkey://me:pw-{number}-%40word@h/0" for number, one in enumerate(places)}
    load(tmp_path, environ=urls | {"EVOX_DATA__DATABASE": "postgresql://me:pw-1-%40word@h/x"})
    passwords = [f"pw-{number}-@word" for number in range(len(places))]
    for secret in (text, mine, encoded, token, made, *passwords):
        assert masked(f"it is {secret}.") == "it is ***."


def test_a_password_that_is_also_the_user_is_not_missed_everywhere(tmp_path: Path) -> None:
    load(tmp_path, environ={"EVOX_DATA__BACKEND": "postgresql://shopkeeper:shopkeeper@h/x"})
    assert masked("shopkeeper") == "shopkeeper"


@pytest.mark.parametrize(
    "part",
    [
        *("a:b@ ", "a://b:c@d ", "eyJ", "eyJ.", f"{JWT} ", "Bearer x ", "basic A1b2C3 ", "-----BEGIN PRIVATE KEY-----"),
        *("password: ", "password=[", "password='", "token=x ", "\\", "('password',", "secret=(a,b) ", "password=a\\"),
        *("cookie=a\n", "api_key=\"'\"'", "'\"", "({[", " "),
    ],
)
def test_a_megabyte_of_anything_takes_little_time(part: str) -> None:
    text = part * (1_000_000 // len(part))
    best = 9.0
    for begin in ("", "password=", "@:eyJ.bearer 'password',"):
        began = time.process_time()
        shown = masked(begin + text)
        best = min(best, time.process_time() - began)
        assert len(shown) < 70_000
    assert best < 0.5  # it takes 30 ms; this is for machines that are busy


def test_an_ordinary_line_costs_next_to_nothing() -> None:
    line = ("GET /users/123 -> 200 in 12.3 ms for 127.0.0.1:52342, 3 of 10 seats in use; " * 3)[:200]
    best = 9.0
    for _ in range(300):
        began = time.perf_counter()
        assert masked(line) == line
        best = min(best, time.perf_counter() - began)
    assert best < 50e-6  # it takes 2 us; this is for machines that are busy


def test_a_secret_is_not_cut_in_two_where_a_text_is_cut() -> None:
    for before in range(65_536 - 120, 65_540, 7):
        shown = masked("x" * before + f" {JWT} password='hunter22 hunter33' " + "y" * 10_000)
        assert "eyJ" not in shown
        assert "hunter" not in shown


def test_what_is_remembered_in_a_block_is_forgotten_after_it() -> None:
    with remembering():
        remember("of-one-test-alone")
        assert masked("it is of-one-test-alone") == "it is ***"
    assert masked("it is of-one-test-alone") == "it is of-one-test-alone"
