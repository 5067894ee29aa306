"""Stores that cannot be used, or hold what cannot be read: a clear error, no secret in it, and nothing lost."""

import gc
import importlib
import sqlite3
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from tests import postgres_server, valkey_server

from evox import Intent, ServiceBuilder, data_intent, data_io
from evox.config import scheme_of, without_secrets
from evox.data.backends.postgres_connection import connect
from evox.errors import (
    BackendRefused,
    BackendUnavailable,
    CapacityExceeded,
    ConfigurationError,
    CorruptValue,
    InvalidDeclaration,
    MissingExtra,
    UnsupportedSchema,
)
from evox.testing import running

kept = data_intent.define("bad_stores_copy", ttl="1h")
# coredis leaves a connection's queues as they are when it cannot connect; no descriptor is lost by that.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Let what a test leaves to the garbage collector be found in that test."""
    yield
    gc.collect()


def shop(url: str, **more: Any) -> Any:
    return running(ServiceBuilder("shop"), settings={"data": {"backend": url, "timeout": 2, **more}})


async def refused(url: str, kind: type[Exception], **more: Any) -> str:
    """Return all that a refusal shows, its causes included."""
    with pytest.raises(kind) as caught:
        async with shop(url, **more):
            pass
    return "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["mongo://me:hunter2@host", "sqlite:shop.db", "sqlite://", "postgres", ""])
async def test_an_unknown_backend_is_refused_with_those_there_are(url: str) -> None:
    shown = await refused(url, ConfigurationError)
    assert "sqlite:///" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("postgresql://host/db", "evox.data.backends.postgres", "postgres"),
        ("valkey://host", "evox.data.backends.valkey", "valkey"),
    ],
)
async def test_a_backend_without_its_packages_says_how_to_install_them(
    url: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = importlib.import_module

    def missing(name: str, package: str | None = None) -> Any:
        if name == module:
            raise ModuleNotFoundError("No module named 'thing'", name="thing")
        return shipped(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert f'pip install "evox-framework[{extra}]"' in await refused(url, MissingExtra)


def test_sqlalchemy_that_is_not_installed_is_told_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.partition(".")[0] == "sqlalchemy" or "data.sqlalchemy" in one]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(MissingExtra, match=r'pip install "evox-framework\[sqlalchemy\]"'):
        importlib.import_module("evox.data.sqlalchemy")


async def test_a_wrong_password_is_refused_and_not_shown() -> None:
    postgres = postgres_server.url().replace("://", "://nobody:hunter2@", 1)
    if "@" in postgres_server.url():
        head, _, host = postgres_server.url().rpartition("@")
        postgres = f"{head.partition('://')[0]}://nobody:hunter2@{host}"
    assert "hunter2" not in await refused(postgres, BackendRefused)
    valkey = valkey_server.url().replace("://", "://nobody:hunter2@", 1)
    assert "hunter2" not in await refused(valkey, BackendRefused)


@pytest.mark.parametrize("scheme", ["postgresql", "valkey"])
async def test_a_server_that_is_not_there_is_not_available_at_the_start(scheme: str) -> None:
    shown = await refused(f"{scheme}://me:hunter2@127.0.0.1:1/0", BackendUnavailable)
    assert "hunter2" not in shown
    assert "127.0.0.1:1" in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:pw@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:p@ss/w@host/db", "postgresql://me:***@host/db"),
        ("valkey://:pw@host:6379/0", "valkey://:***@host:6379/0"),
        ("postgresql://host/db?password=pw&user=me", "postgresql://host/db?password=***&user=me"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("mysql:me:pw@host", "mysql:me:***@host"),
        ("valkey://pw@host", "valkey://***@host"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://me:p@hunter2@host/db", "quote"),
        ("valkey://:p/hunter2@host/0", "quote"),
        ("postgresql://me:p?hunter2@host/db", "quote"),
        ("postgresql://me:hunter2@[::1/db", "cannot be read"),
        ("redis://:hunter2@host:port/0", "cannot be read"),
        ("mysql:me:hunter2@host", "names no backend"),
        ("sqlite:///a.db?mode=ro", "sqlite:///file.db"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_at_once_and_never_shown(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        scheme_of(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p%40w@host1:5432,host2:5433/db",
        "postgresql:///db?host=/run/postgresql&user=me@host",
        "postgres://me@[::1]:5432/db",
        "valkeys://me:pw@host:6379/0",
        "sqlite:////var/a@b.db",
    ],
)
def test_urls_that_servers_take_are_taken(url: str) -> None:
    assert scheme_of(url) in ("postgresql", "valkey", "sqlite")


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    file.write_bytes(b"not a database, but something dear to its owner" * 100)
    before = file.read_bytes()
    await refused(f"sqlite:///{file}", ConfigurationError)
    assert file.read_bytes() == before


async def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    await refused(f"sqlite:///{tmp_path}/file/shop.db", BackendRefused)


async def test_D9_a_store_from_the_future_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as raw:
        raw.execute("CREATE TABLE evox_store (id INTEGER PRIMARY KEY, schema INTEGER, version INTEGER)")
        raw.execute("INSERT INTO evox_store VALUES (1, 99, 5)")
    raw.close()
    assert "99" in await refused(f"sqlite:///{file}", UnsupportedSchema)

    postgres_server.flush()
    connection = await connect(postgres_server.url(), timeout=5)
    await connection.execute("CREATE TABLE evox_store (id int PRIMARY KEY, schema int NOT NULL)")
    await connection.execute("INSERT INTO evox_store VALUES (1, 99)")
    assert "99" in await refused(postgres_server.url(), UnsupportedSchema)
    await connection.execute("DROP TABLE evox_store")
    await connection.close()

    valkey_server.flush()
    async with shop(valkey_server.url()) as env:
        await data_io.write("a", 1)
        (store,) = env.services["shop"].data.stores.all() if hasattr(env, "services") else _stores()
        await store.backend._asked(b"SET", "evox:schema", "99")
    assert "99" in await refused(valkey_server.url(), UnsupportedSchema)
    valkey_server.flush()


def _stores() -> Any:
    from evox.context import current_service

    return current_service("a test").data.stores.all()


async def test_D9_a_damaged_record_is_an_error_and_a_damaged_copy_a_miss(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    async with shop(f"sqlite:///{file}"):
        await data_io.write("record", {"a": 1})
        await data_io.write(kept, "copy", {"a": 1})
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE evox_entries SET value = substr(value, 1, length(value) - 1) || 'x'")
    raw.close()
    async with shop(f"sqlite:///{file}"):
        with pytest.raises(CorruptValue, match="'record'"):
            await data_io.read("record")
        assert await data_io.read(kept, "copy") is None
        await data_io.write("record", {"a": 2})
        assert await data_io.read("record") == {"a": 2}


async def test_D8_a_full_disk_is_an_error_and_what_was_stored_stays(tmp_path: Path) -> None:
    async with shop(f"sqlite:///{tmp_path}/shop.db"):
        await data_io.write("small", 1)
        (store,) = _stores()
        await store.backend._write._connection.execute("PRAGMA max_page_count = 20")
        with pytest.raises(CapacityExceeded, match="no room"):
            await _write_many()
        assert await data_io.read("small") == 1
        await store.backend._write._connection.execute("PRAGMA max_page_count = 1000000")
        await data_io.write("large", "x" * 10_000)
        assert await data_io.read("large") == "x" * 10_000


async def _write_many() -> None:
    for number in range(100):
        await data_io.write(f"large:{number}", "x" * 10_000)


async def test_D1_strong_data_in_memory_of_several_workers_is_refused_where_it_is_used() -> None:
    made: dict[str, Any] = {}
    source = "from evox import data_intent\nstrong = data_intent.define('bad_stores_strong', consistency='strong')"
    exec(compile(source, "elsewhere.py", "exec"), made)  # what is declared beside the service is refused earlier
    strong: Any = made["strong"]
    async with running(ServiceBuilder("shop"), settings={"workers": 2}):
        with pytest.raises(InvalidDeclaration, match="each worker's own, and there are 2"):
            await data_io.write(strong, "a", 1)


async def test_memory_of_several_workers_is_told_once_and_only_to_who_uses_it(caplog: pytest.LogCaptureFixture) -> None:
    said = "each of its 2 workers for itself"
    async with running(ServiceBuilder("shop"), settings={"workers": 2}):
        assert said not in caplog.text
        await data_io.write("a", 1)
        await data_io.write("b", 1)
        assert await data_io.read("b") == 1
    assert caplog.text.count(said) == 1


def test_D1_strong_with_a_fallback_is_refused_when_it_is_declared() -> None:
    svc = ServiceBuilder("shop")

    @Intent(consistency="strong", fallback="aggressive", ttl="1m")
    @svc.get("/a")
    async def a() -> int:
        return 1

    with pytest.raises(InvalidDeclaration, match="strong is never stale"):
        svc.build().app  # noqa: B018


async def test_a_file_locked_by_another_process_is_unavailable_and_then_works(tmp_path: Path) -> None:
    async with shop(f"sqlite:///{tmp_path}/shop.db", timeout=0.2):
        await data_io.write("a", 1)
        other = await anyio.to_thread.run_sync(lambda: sqlite3.connect(tmp_path / "shop.db", check_same_thread=False))
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BackendUnavailable, match=r"locked|did not answer"):
            await data_io.write("a", 2)
        other.execute("ROLLBACK")
        other.close()
        assert await data_io.read("a") == 1
        await data_io.write("a", 3)
        assert await data_io.read("a") == 3
