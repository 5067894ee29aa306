"""A6: the key between services that is made by itself: for development on this machine, or for the time of a test."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from evox.auth import Authority, Internal, InternalTokens, Key, KeySet
from evox.auth.development import INTERNAL_FILE, KEY_FILE, development_key
from evox.config import AuthSettings
from evox.errors import EvoxError, TokenRefused, UnusableKey

CALL = {"audience": "users", "operation": "GET /users"}
ELSEWHERE = ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", "127.0.0.1.example.org", ""]


def authority(root: Path, mode: str, host: str = "127.0.0.1", **settings: tuple[str, ...]) -> Authority:
    return Authority(AuthSettings(**settings), root, mode=mode, host=host)  # type: ignore[arg-type]


def issued(tokens: InternalTokens | None) -> str:
    assert tokens is not None
    return tokens.issue(Internal("orders"), **CALL)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_A6_processes_of_one_project_on_this_machine_have_one_key(host: str, tmp_path: Path) -> None:
    one, other = (authority(tmp_path, "development", host).internal_tokens() for _ in range(2))
    assert other is not None
    assert other.verify(issued(one), **CALL).caller == "orders"
    file = tmp_path / INTERNAL_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not (tmp_path / KEY_FILE).exists()


def test_A6_it_is_not_the_key_of_users(tmp_path: Path) -> None:
    users, internal = development_key(tmp_path), development_key(tmp_path, INTERNAL_FILE)
    assert not users.verify(b"said", internal.sign(b"said"))
    forged = InternalTokens(KeySet([users]))
    tokens = authority(tmp_path, "development").internal_tokens()
    assert tokens is not None
    with pytest.raises(TokenRefused):
        tokens.verify(issued(forged), **CALL)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_A6_who_listens_to_others_neither_makes_nor_uses_it(host: str, tmp_path: Path) -> None:
    assert authority(tmp_path, "development", host).internal_tokens() is None
    assert not (tmp_path / INTERNAL_FILE).exists()
    development_key(tmp_path, INTERNAL_FILE)
    assert authority(tmp_path, "development", host).internal_tokens() is None


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_A6_production_never_looks_at_it(host: str, tmp_path: Path) -> None:
    development_key(tmp_path, INTERNAL_FILE)
    assert authority(tmp_path, "production", host).internal_tokens() is None
    empty = tmp_path / "empty"
    empty.mkdir()
    assert authority(empty, "production", host).internal_tokens() is None
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize("name", [INTERNAL_FILE, KEY_FILE, "copy.json", "copy.key"])
def test_A6_production_refuses_it_under_any_name(name: str, tmp_path: Path) -> None:
    development_key(tmp_path, INTERNAL_FILE)
    development_key(tmp_path)
    made = json.loads((tmp_path / INTERNAL_FILE).read_text("utf-8"))
    if name == "copy.json":
        (tmp_path / name).write_text(json.dumps(made | {"kid": "mine"}), "utf-8")
    if name == "copy.key":
        (tmp_path / name).write_text(made["k"], "utf-8")
    opened = authority(tmp_path, "production", internal_keys=(name,))
    with pytest.raises(UnusableKey) as caught:
        opened.open()
    assert made["k"] not in str(caught.value) + repr(opened)


def test_A6_a_key_that_was_put_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".evox").mkdir()
    (tmp_path / INTERNAL_FILE).write_text('{"kty": "oct", "kid": "development", "alg": "HS256", "k": "c2hvcnQ"}')
    with pytest.raises(EvoxError):
        authority(tmp_path, "development").internal_tokens()


def test_A6_keys_that_are_configured_are_never_replaced_by_one_that_is_made(tmp_path: Path) -> None:
    for mode in ("development", "test", "production"):
        assert authority(tmp_path, mode, internal_keys=("there-is-none.key",)).internal_tokens() is None


def test_A6_each_runtime_of_a_test_has_keys_of_its_own_for_users(tmp_path: Path) -> None:
    one, other = authority(tmp_path, "test"), authority(tmp_path, "test")
    made = {each.issue("ada").split(".")[2] for each in (one, other)}
    assert len(made) == 2
    assert list(tmp_path.iterdir()) == []


def test_A6_the_runtimes_of_one_test_know_each_other_and_those_of_another_process_do_not(tmp_path: Path) -> None:
    one, other = authority(tmp_path, "test").internal_tokens(), authority(tmp_path, "test").internal_tokens()
    assert other is not None
    assert other.verify(issued(one), **CALL).caller == "orders"
    code = "from evox.auth import *; from evox.config import AuthSettings; from pathlib import Path;"
    code += "a = Authority(AuthSettings(), Path('.'), mode='test').internal_tokens();"
    code += "print(a.issue(Internal('orders'), audience='users', operation='GET /users'))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    with pytest.raises(TokenRefused):
        other.verify(ran.stdout.strip(), **CALL)
    assert list(tmp_path.iterdir()) == []


def test_A6_no_key_is_shown(tmp_path: Path) -> None:
    made = authority(tmp_path, "development")
    tokens = made.internal_tokens()
    secret = json.loads((tmp_path / INTERNAL_FILE).read_text("utf-8"))["k"]
    assert secret not in repr(made) + repr(tokens) + repr(made.statistics()) + str(made.notes())
    assert repr(Key.generate(kid="x")) == repr(Key.generate(kid="x"))
