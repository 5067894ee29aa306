"""``db.transaction()`` and the tasks around it: the same over SQLite and PostgreSQL, on both loops."""

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.contracts.test_database import KINDS, names, opened

from evox import data_io
from evox.context import maybe_service
from evox.data import Database, database
from evox.errors import BackendUnavailable, InvalidDeclaration, TransactionLost
from evox.services.running import Running

pytestmark = pytest.mark.parametrize("kind", KINDS)


async def undone(db: Database, within: Callable[[], Awaitable[Any]] = anyio.lowlevel.checkpoint) -> Any:
    """Delete everybody, do something, and undo all of it."""
    result = None
    with contextlib.suppress(KeyError):
        async with db.transaction():
            await db.execute("DELETE FROM person")
            result = await within()
            raise KeyError
    return result


async def test_savepoints_of_sibling_tasks_take_turns(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:

        async def rename(number: int) -> None:
            async with db.transaction():
                await db.execute("UPDATE person SET name = 'Cy' WHERE id = ?", number)

        async with db.transaction(), anyio.create_task_group() as group:
            group.start_soon(rename, 1)
            group.start_soon(undone, db)
        assert await names(db) == ["Cy", "Bob"]


async def test_tasks_that_wait_for_each_others_savepoints_are_told_so(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    async with opened(kind, tmp_path) as db:
        begun, other = anyio.Event(), anyio.Event()

        async def holds() -> None:
            async with db.transaction():
                begun.set()
                await other.wait()

        async with db.transaction(), anyio.create_task_group() as group:
            group.start_soon(holds)
            await begun.wait()
            with pytest.raises(BackendUnavailable, match="which may wait for this one"):
                await db.execute("DELETE FROM person")
            other.set()
        assert await names(db) == ["Ada", "Bob"]


async def test_a_task_that_outlives_a_transaction_goes_on_outside_of_it(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        ended = anyio.Event()

        async def later() -> None:
            await ended.wait()
            await db.execute("DELETE FROM person WHERE name = 'Ada'")

        async with anyio.create_task_group() as group:

            async def start() -> None:
                group.start_soon(later)

            await undone(db, start)
            ended.set()
        assert await names(db) == ["Bob"]


async def test_what_is_loaded_for_everybody_does_not_see_what_one_may_undo(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:

        async def read() -> list[str]:
            found: list[str] = await data_io.read("names", loader=lambda: names(db), ttl=60)
            return found

        async def look() -> list[str]:
            assert await names(db) == []
            return await read()

        assert await undone(db, look) == ["Ada", "Bob"]
        assert await read() == await names(db) == ["Ada", "Bob"]


@pytest.mark.parametrize(
    "sql", ["BEGIN", " commit;", "-- now\nROLLBACK", "/* a */ savepoint x", "END", "START TRANSACTION"]
)
async def test_a_transaction_by_hand_is_refused(kind: str, tmp_path: Path, sql: str) -> None:
    async with opened(kind, tmp_path) as db:
        for run in (db.execute, db.fetch_one, db.fetch_all):
            with pytest.raises(InvalidDeclaration, match=r"db\.transaction\(\)"):
                await run(sql)


@pytest.mark.parametrize("sql", ["", "  ", "-- nothing", None, 5])
async def test_what_is_no_statement_is_refused(kind: str, tmp_path: Path, sql: str) -> None:
    async with opened(kind, tmp_path) as db:
        with pytest.raises(InvalidDeclaration, match="says nothing"):
            await db.execute(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT\n name FROM person",
        "-- all of them\nSELECT name FROM person",
        "/* all */ select name FROM person",
        "WITH found AS (SELECT name FROM person) SELECT name FROM found",
    ],
)
async def test_reads_do_not_wait_for_a_transaction_that_writes(kind: str, tmp_path: Path, sql: str) -> None:
    async with opened(kind, tmp_path) as db:
        begun, read = anyio.Event(), anyio.Event()

        async def writes() -> None:
            async with db.transaction():
                await db.execute("DELETE FROM person")
                begun.set()
                await read.wait()

        async with anyio.create_task_group() as group:
            group.start_soon(writes)
            await begun.wait()
            assert len(await db.fetch_all(sql)) == 2
            read.set()


async def test_a_statement_that_changes_and_begins_with_what_it_reads_changes(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        sql = "WITH gone AS (SELECT 1 AS id) DELETE FROM person WHERE id IN (SELECT id FROM gone) RETURNING name"
        assert await db.fetch_all(sql) == [{"name": "Ada"}]
        assert await names(db) == ["Bob"]


async def test_columns_of_one_name_are_refused_and_none_is_lost(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        with pytest.raises(InvalidDeclaration, match="two columns have that name"):
            await db.fetch_one("SELECT a.id, b.id FROM person AS a, person AS b")


async def test_a_value_may_have_any_name(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        assert await db.fetch_one("SELECT name FROM person WHERE name = :sql", sql="Ada") == {"name": "Ada"}


async def test_a_savepoint_that_is_open_when_its_transaction_ends_takes_all_back_and_both_are_told(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it was committed, and the rest of it went into the transaction of whoever got the connection next."""
    monkeypatch.setattr(database, "ROLLBACK", 0.1)
    async with opened(kind, tmp_path) as db:
        begun, go_on = anyio.Event(), anyio.Event()
        told: list[Exception] = []

        async def nested() -> None:
            try:
                async with db.transaction():
                    await db.execute("UPDATE person SET name = 'half' WHERE id = 1")
                    begun.set()
                    await go_on.wait()
                    await db.execute("UPDATE person SET name = 'half' WHERE id = 2")
            except TransactionLost as error:
                told.append(error)

        async with anyio.create_task_group() as group:
            with pytest.raises(TransactionLost):  # noqa: PT012  the block is what is tested
                async with db.transaction():
                    group.start_soon(nested)
                    await begun.wait()
            async with db.transaction():
                go_on.set()
                await anyio.wait_all_tasks_blocked()
                assert await names(db) == ["Ada", "Bob"]
        assert await names(db) == ["Ada", "Bob"]
        assert len(told) == 1


async def test_a_job_that_is_started_in_a_transaction_is_outside_of_it(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:
        running = maybe_service()
        assert isinstance(running, Running)
        ended = anyio.Event()

        async def audit() -> None:
            await db.execute("INSERT INTO person VALUES (3, 'audit')")
            ended.set()

        with contextlib.suppress(KeyError):
            async with db.transaction():
                await db.execute("DELETE FROM person")
                running.start_soon(audit)
                await anyio.wait_all_tasks_blocked()
                raise KeyError
        with anyio.fail_after(5):
            await ended.wait()
        assert await names(db) == ["Ada", "Bob", "audit"]
