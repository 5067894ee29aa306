"""How a process is found by commands of the same user, and by nobody else."""

import contextlib
import json
import logging
import os
import socket
import stat
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from evox.observe.directory import Note, Place, notes, runtime_directory

HUGE = '{"schema": 1, "pid": 1e400, "socket": "x", "root": "", "started": 1, "services": {}, "version": ""}'


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="evox-", dir="/tmp") as folder:
        yield Path(folder) / "evox"


def test_a_process_is_found_once_it_says_where_it_is(directory: Path) -> None:
    place = Place(directory)
    assert notes(directory) == []
    place.publish(root=Path("/shop"), services={"users": "http://127.0.0.1:8001"}, version="1.0")
    (note,) = notes(directory)
    assert (note.pid, note.root, note.services) == (os.getpid(), "/shop", {"users": "http://127.0.0.1:8001"})
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(note.socket)
    place.close()
    assert (notes(directory), list(directory.iterdir())) == ([], [])


def test_it_and_all_in_it_are_for_their_owner_alone(directory: Path) -> None:
    before = os.umask(0)
    try:
        place = Place(directory)
        place.publish(root=Path(), services={}, version="1.0")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(one.stat().st_mode) for one in directory.iterdir()}
    assert (stat.S_IMODE(directory.stat().st_mode), modes) == (0o700, {0o600})
    place.close()


def test_a_directory_that_others_may_enter_is_not_used(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory.mkdir()
    directory.chmod(0o755)
    with pytest.raises(PermissionError, match="not a folder of this user alone"):
        Place(directory)
    assert notes(directory) == []
    assert "cannot be looked up" in caplog.text


def test_a_directory_that_others_may_replace_is_not_used(directory: Path) -> None:
    directory.parent.chmod(0o777)
    with pytest.raises(PermissionError, match="others can replace"):
        Place(directory)


def test_a_link_in_its_place_is_not_followed(directory: Path) -> None:
    target = directory.parent / "elsewhere"
    target.mkdir(mode=0o700)
    directory.symlink_to(target)
    with pytest.raises(PermissionError):
        Place(directory)


def test_a_path_too_long_for_a_socket_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="set XDG_RUNTIME_DIR to a shorter one"):
        Place(tmp_path / ("x" * 100))


def test_the_note_of_a_process_that_is_gone_is_taken_away(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    gone = {"schema": 1, "pid": 2**22 + 7, "socket": "x", "root": "", "started": 1.0, "services": {}, "version": ""}
    (directory / "gone.json").write_text(json.dumps(gone))
    (directory / "gone.sock").touch()
    assert (notes(directory), list(directory.iterdir())) == ([], [])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "null", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "pid": "x"}', "[" * 5_000, "\x00", HUGE],
    ids=["empty", "list", "cut", "null", "newer", "bare", "odd", "deep", "binary", "huge"],
)
def test_a_note_that_cannot_be_read_is_left_out_and_said(
    directory: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    directory.mkdir(mode=0o700)
    (directory / "odd.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        assert notes(directory) == []
    assert "odd.json is left out" in caplog.text


def test_a_huge_note_is_not_read(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory.mkdir(mode=0o700)
    with (directory / "huge.json").open("wb") as file:
        file.truncate(10**9)
    assert notes(directory) == []
    assert "larger than" in caplog.text


def test_nothing_is_found_where_there_is_no_directory(directory: Path) -> None:
    assert notes(directory) == []


def test_it_is_below_the_users_runtime_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert runtime_directory() == Path("/run/user/1000/evox")


def test_processes_are_listed_by_age(directory: Path) -> None:
    place = Place(directory)
    for name, started in (("b", 2.0), ("a", 3.0), ("c", 1.0)):
        note = Note(os.getpid(), str(place.path), "", started)
        said = {"schema": 1} | {one: getattr(note, one) for one in note.__slots__} | {"services": {}}
        (directory / f"{name}.json").write_text(json.dumps(said))
    assert [one.started for one in notes(directory)] == [1.0, 2.0, 3.0]
    place.close()


def test_nobody_is_warned_of_a_runtime_directory_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)  # others can read it, so one below /tmp is used
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert runtime_directory().name == "evox"
    assert found == []


def test_a_note_of_a_process_that_is_gone_is_taken_away_where_another_has_its_number(directory: Path) -> None:
    place = Place(directory)
    place.publish(root=Path(), services={}, version="1.0")
    place.socket.close()  # as the kernel does when a process is killed; this one has its number
    assert (notes(directory), list(directory.iterdir())) == ([], [])


def test_a_process_that_lets_nobody_in_is_still_there(directory: Path) -> None:
    place = Place(directory)
    place.publish(root=Path(), services={}, version="1.0")
    with contextlib.ExitStack() as clients:
        for _ in range(200):  # more than may wait
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(str(place.path))
        assert len(notes(directory)) == 1
    place.close()


def test_a_child_that_is_forked_off_takes_nothing_away(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(directory)
    place.publish(root=Path(), services={}, version="1.0")
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: 1)
        place.close()
    assert len(list(directory.iterdir())) == 2
    place.close()
    assert list(directory.iterdir()) == []
