"""``inject.db()``: the same handle over SQLite and PostgreSQL, on both loops."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from tests import postgres_server

from evox import ServiceBuilder, inject
from evox.data import Database
from evox.errors import BackendRefused, BackendUnavailable, InvalidDeclaration
from evox.testing import running

KINDS = ("sqlite", "postgresql")
pytestmark = pytest.mark.parametrize("kind", KINDS)


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[Database]:
    """Run a service on a database with a table of two people."""
    if kind == "postgresql":
        postgres_server.flush()
    url = f"sqlite:///{folder}/own.db" if kind == "sqlite" else postgres_server.url()
    svc = ServiceBuilder("people")
    async with running(svc, settings={"data": {"database": url}}, root=folder):
        db = inject.db()
        await db.execute("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        await db.execute("INSERT INTO person VALUES (?, ?)", 1, "Ada")
        await db.execute("INSERT INTO person VALUES (:id, :name)", id=2, name="Bob")
        yield db


async def names(db: Database) -> list[str]:
    return [row["name"] for row in await db.fetch_all("SELECT name FROM person ORDER BY id")]


async def emptied_in_vain(db: Database) -> None:
    async with db.transaction():
        await db.execute("DELETE FROM person")
        raise KeyError


async def test_rows_come_back_as_dictionaries(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        assert db.kind == kind
        assert await db.fetch_one("SELECT * FROM person WHERE id = ?", 1) == {"id": 1, "name": "Ada"}
        assert await db.fetch_one("SELECT * FROM person WHERE id = ?", 9) is None
        assert await db.fetch_all("SELECT id FROM person WHERE id > ? ORDER BY id", 0) == [{"id": 1}, {"id": 2}]


async def test_values_may_be_given_by_place_by_name_or_in_one_container(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        ada = {"name": "Ada"}
        assert await db.fetch_one("SELECT name FROM person WHERE id = :id", id=1) == ada
        assert await db.fetch_one("SELECT name FROM person WHERE id = :id", {"id": 1}) == ada
        assert await db.fetch_one("SELECT name FROM person WHERE id = ?", [1]) == ada
        with pytest.raises(InvalidDeclaration, match="not both"):
            await db.fetch_one("SELECT 1 WHERE 1 = ? AND 1 = :id", 1, id=1)


async def test_a_value_is_never_part_of_the_statement(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        evil = "x'); DROP TABLE person; --%s :id ?"
        await db.execute("INSERT INTO person VALUES (?, ?)", 3, evil)
        assert (await names(db))[-1] == evil
        assert await db.fetch_one("SELECT '50% :no ?' AS a, name FROM person WHERE id = ?", 1) == {
            "a": "50% :no ?",
            "name": "Ada",
        }


async def test_execute_says_how_many_rows_it_changed(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        assert await db.execute("UPDATE person SET name = ?", "Same") == 2
        assert await db.execute("DELETE FROM person WHERE id = ?", 9) == 0


async def test_a_statement_that_writes_and_returns_is_committed(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        assert await db.fetch_one("INSERT INTO person VALUES (3, 'Cy') RETURNING id") == {"id": 3}
        assert await names(db) == ["Ada", "Bob", "Cy"]


async def test_a_transaction_is_done_wholly_or_not_at_all(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        async with db.transaction():
            await db.execute("DELETE FROM person WHERE id = 1")
            await db.execute("INSERT INTO person VALUES (3, 'Cy')")

        async def half() -> None:
            async with db.transaction():
                await db.execute("DELETE FROM person")
                assert await names(db) == []
                raise RuntimeError("half way")

        with pytest.raises(RuntimeError, match="half way"):
            await half()
        assert await names(db) == ["Bob", "Cy"]


async def test_a_transaction_within_one_is_undone_alone(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        async with db.transaction() as outer:
            await outer.execute("INSERT INTO person VALUES (3, 'Cy')")
            with pytest.raises(KeyError):
                await emptied_in_vain(db)
            async with db.transaction():
                await db.execute("INSERT INTO person VALUES (4, 'Di')")
        assert await names(db) == ["Ada", "Bob", "Cy", "Di"]


async def test_nobody_sees_a_transaction_before_it_is_committed(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        written, seen = anyio.Event(), anyio.Event()

        async def write() -> None:
            async with db.transaction():
                await db.execute("DELETE FROM person")
                written.set()
                await seen.wait()

        async with anyio.create_task_group() as group:
            group.start_soon(write)
            await written.wait()
            assert await names(db) == ["Ada", "Bob"]
            seen.set()
        assert await names(db) == []


async def test_a_cancelled_transaction_is_rolled_back_and_the_handle_goes_on(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        for _ in range(5):
            with anyio.CancelScope() as scope:
                async with db.transaction():
                    await db.execute("DELETE FROM person")
                    scope.cancel()
                    await db.execute("INSERT INTO person VALUES (7, 'Never')")
        assert await names(db) == ["Ada", "Bob"]


async def test_a_hundred_transactions_at_once_lose_nothing(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        await db.execute("CREATE TABLE counter (n INTEGER NOT NULL)")
        await db.execute("INSERT INTO counter VALUES (0)")

        async def add() -> None:
            async with db.transaction():
                await db.execute("UPDATE counter SET n = n + 1")

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(add)
        assert await db.fetch_one("SELECT n FROM counter") == {"n": 100}


async def test_an_error_of_the_database_is_the_drivers_own(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        with pytest.raises(Exception, match="person") as caught:
            await db.execute("INSERT INTO person VALUES (1, 'Twice')")
        assert type(caught.value).__name__ in ("IntegrityError", "UniqueViolation")
        assert await names(db) == ["Ada", "Bob"]


async def test_a_database_that_cannot_be_used_is_said_without_its_password(kind: str, tmp_path: Path) -> None:
    url = (
        f"sqlite:///{tmp_path}/file/own.db"
        if kind == "sqlite"
        else postgres_server.url().replace("evox:evox@", "evox:s3cret@")
    )
    (tmp_path / "file").write_text("no folder")
    async with running(ServiceBuilder("people"), settings={"data": {"database": url}}):
        with pytest.raises((BackendRefused, BackendUnavailable)) as caught:
            await inject.db().execute("SELECT 1")
    assert "s3cret" not in str(caught.value)
