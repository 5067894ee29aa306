"""A SQLite file that cannot be used: what it is, why, and what to do, at the start where it is configured."""

import errno
import os
import pwd
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import Run

from evox import EvoxError, ServiceBuilder, data_io, inject
from evox.data.backends.sqlite_errors import cannot_open
from evox.errors import BackendRefused, BackendUnavailable, CapacityExceeded
from evox.testing import running

WHERE = pytest.mark.parametrize("where", ["backend", "database"])


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that everybody may enter, also on the way to it."""
    made = Path(tempfile.mkdtemp(prefix="evox-unusable-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def readable(folder: Path) -> Path:
    """Return a file that others may read."""
    file = folder / "shop.db"
    with sqlite3.connect(file) as raw:
        raw.execute("CREATE TABLE person (id INTEGER)")
    raw.close()
    file.chmod(0o444)
    folder.chmod(0o555)
    return file


@pytest.fixture
def _unprivileged(readable: Path) -> Iterator[None]:
    """Let the system refuse us what it refuses others: it refuses root nothing."""
    del readable  # it is made before
    if os.geteuid():
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


async def refused(where: str, file: Path) -> BackendRefused:
    """Return the error to which the use of a file leads."""

    async def use() -> None:
        settings = {"data": {where: f"sqlite:///{file}", "timeout": 1}}
        async with running(ServiceBuilder("shop"), settings=settings, root=file.parent):
            await inject.db().execute("CREATE TABLE stock (n INTEGER)")

    with pytest.raises(BackendRefused) as caught:
        await use()
    assert str(file) in str(caught.value)
    assert caught.value.exit_code == 78
    return caught.value


@WHERE
@pytest.mark.usefixtures("_unprivileged")
async def test_a_file_that_may_only_be_read(where: str, readable: Path) -> None:
    error = await refused(where, readable)
    assert f"{readable} cannot be written" in error.why
    assert "let this user write the file and its folder" in error.fix


@WHERE
@pytest.mark.usefixtures("_unprivileged")
@pytest.mark.parametrize("name", ["new.db", "sub/new.db"])
async def test_a_folder_that_may_only_be_read(where: str, name: str, readable: Path) -> None:
    error = await refused(where, readable.parent / name)
    assert f"{readable.parent} cannot be written" in error.why
    assert "let this user write the file and its folder" in error.fix


@WHERE
async def test_a_file_that_is_a_folder(where: str, tmp_path: Path) -> None:
    (tmp_path / "shop.db").mkdir()
    error = await refused(where, tmp_path / "shop.db")
    assert error.why == "it is a folder"
    assert "sqlite:///folder/file.db" in error.fix


@WHERE
async def test_a_folder_that_is_a_file(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "file is a file, and no folder" in (await refused(where, tmp_path / "file" / "shop.db")).why


@WHERE
async def test_a_file_that_is_no_database(where: str, tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_bytes(b"something dear to its owner" * 100)
    error = await refused(where, tmp_path / "shop.db")
    assert "no database of SQLite" in error.why
    assert "it was left as it is" in error.fix


async def test_a_file_that_is_locked_at_the_start_is_not_available(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    other = sqlite3.connect(file, isolation_level=None)

    async def start() -> None:
        async with running(ServiceBuilder("shop"), settings={"data": {"backend": f"sqlite:///{file}", "timeout": 0.2}}):
            await data_io.write("a", 1)

    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(BackendUnavailable, match="another process"):
        await start()
    other.close()
    await start()


@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "ENOSPC", "EDQUOT"])
def test_a_disk_that_is_full_as_the_file_is_opened(name: str, tmp_path: Path) -> None:
    error: sqlite3.Error | OSError
    if name.startswith("SQLITE"):
        error = sqlite3.OperationalError("the disk says no")
        error.sqlite_errorname = name
    else:
        error = OSError(getattr(errno, name), "the disk says no")
    shown: EvoxError = cannot_open(error, "sqlite:///shop.db", tmp_path / "shop.db")
    assert isinstance(shown, CapacityExceeded)
    assert "make room on its disk" in shown.fix


def test_a_backend_that_cannot_be_used_ends_the_start_with_78_and_is_named(evox_run: Run) -> None:
    source = "from evox import service\n\nsvc = service('shop').port(0).build()\n"
    process = evox_run({"shop.py": source, "data/.keep": ""}, env={"EVOX_DATA__BACKEND": "sqlite:///data"})
    assert process.wait() == 78, process.err
    assert "EVX-105" in process.err
    assert "it is a folder" in process.err
