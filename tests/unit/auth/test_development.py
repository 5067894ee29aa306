"""A4: the key for development: made once, for its owner alone, on this machine alone, and refused in production."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from evox.auth import Authority, Key
from evox.auth.development import KEY_FILE, development_key
from evox.config import AuthSettings, is_loopback
from evox.errors import CannotIssue, MissingKeys, UnusableKey


def test_A4_it_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        made = development_key(tmp_path)
    finally:
        os.umask(umask)
    file = tmp_path / KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (file.parent / ".gitignore").read_text() == "*\n"
    assert sorted(one.name for one in file.parent.iterdir()) == [".gitignore", "dev-key.json"]
    again = development_key(tmp_path)
    assert (again.kid, again.algorithm) == ("development", "HS256")
    assert again.verify(b"said", made.sign(b"said"))


def test_a_gitignore_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / ".evox").mkdir()
    (tmp_path / ".evox" / ".gitignore").write_text("mine\n")
    development_key(tmp_path)
    assert (tmp_path / ".evox" / ".gitignore").read_text() == "mine\n"


def test_all_who_make_it_at_once_have_the_same(tmp_path: Path) -> None:
    """Services and commands of one project start together; processes differ in their id, threads do not."""
    made: list[Key] = []
    start = threading.Barrier(4)

    def make() -> None:
        start.wait()
        made.append(development_key(tmp_path))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert all(key.verify(b"said", made[0].sign(b"said")) for key in made)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is no JSON"),
        ("{", "it is no JSON"),
        ("[]", "it is no JWK"),
        ("{}", "its kty is 'None'"),
        ('{"kty": "oct", "k": "c2hvcnQ"}', "it has 5 bytes"),
    ],
)
def test_one_that_was_spoilt_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / ".evox").mkdir()
    (tmp_path / KEY_FILE).write_text(text)
    with pytest.raises(UnusableKey, match=why) as caught:
        development_key(tmp_path)
    assert KEY_FILE in caught.value.what


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".evox").write_text("a file")
    with pytest.raises(UnusableKey, match="it can be neither read nor made"):
        development_key(tmp_path)


def test_A4_production_refuses_it_as_a_file_a_jwk_a_secret_and_encoded(tmp_path: Path) -> None:
    development_key(tmp_path)
    text = (tmp_path / KEY_FILE).read_text()
    encoded = json.loads(text)["k"]
    environ = {"JWK": text, "ENCODED": encoded, "PADDED": encoded + "="}
    for source in (KEY_FILE, *(f"env:{name}" for name in environ)):
        for settings in (AuthSettings(keys=(source,)), AuthSettings(internal_keys=(source,))):
            with pytest.raises(UnusableKey, match="it was made for development") as caught:
                Authority(settings, tmp_path, environ=environ).open(["endpoint 'me'"])
            assert encoded not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        *((host, True) for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost")),
        *(
            (host, False)
            for host in ("0.0.0.0", "::", "192.168.1.5", "10.0.0.1", "shop.example", "localhost.example", "")
        ),
    ],
)
def test_A4_it_is_made_where_only_this_machine_is_listened_to(tmp_path: Path, host: str, is_one: bool) -> None:
    assert is_loopback(host) is is_one
    authority = Authority(AuthSettings(), tmp_path, mode="development", host=host)
    if is_one:
        authority.open(["endpoint 'me'"])
    else:
        with pytest.raises(UnusableKey, match=r"it is for this machine alone, and .* is listened on"):
            authority.open(["endpoint 'me'"])
    assert (tmp_path / KEY_FILE).exists() is is_one


def test_A4_production_makes_none_and_says_what_is_missing(tmp_path: Path) -> None:
    authority = Authority(AuthSettings(), tmp_path)
    authority.open([])
    assert not authority.is_open
    with pytest.raises(MissingKeys, match="endpoint 'me' and 1 more ask who calls"):
        authority.open(["endpoint 'me'", "endpoint 'you'"])
    assert not (tmp_path / ".evox").exists()


def test_who_starts_it_is_told_of_a_key_that_was_made_and_of_no_other(tmp_path: Path) -> None:
    internal = json.dumps(Key.generate("EdDSA", kid="internal").secret_jwk())
    environ = {"KEY": internal}
    for settings, count in (
        (AuthSettings(), 1),
        (AuthSettings(internal_keys=("env:KEY",)), 1),
        (AuthSettings(keys=("env:KEY",)), 0),
    ):
        authority = Authority(settings, tmp_path, mode="development", environ=environ)
        assert authority.notes() == []
        authority.open(["endpoint 'me'"])
        assert len(authority.notes()) == count
        assert all("evox token --role admin --sub ada" in note for note in authority.notes())


def test_public_keys_issue_nothing(tmp_path: Path) -> None:
    environ = {"KEY": json.dumps(Key.generate("EdDSA").public_jwk())}
    authority = Authority(AuthSettings(keys=("env:KEY",)), tmp_path, mode="development", environ=environ)
    with pytest.raises(CannotIssue, match="public keys"):
        authority.issue("ada")


def test_an_authority_without_keys_names_none(tmp_path: Path) -> None:
    """It named one key, None."""
    assert Authority(AuthSettings(), tmp_path).statistics().keys == ()
