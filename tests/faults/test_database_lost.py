"""``inject.db()`` on PostgreSQL when the server ends its connection in the middle: what is known, and what is not."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from tests import postgres_server
from tests.contracts.test_database import opened

from evox.data import Database
from evox.data.backends.postgres_connection import connect
from evox.errors import BackendUnavailable, WriteOutcomeUnknown

SLOW = "SELECT pg_sleep(30)"
SLOW_WRITE = "INSERT INTO person SELECT 7, 'Eve' FROM pg_sleep(30)"


async def end_all_others() -> None:
    """Let the server end every statement that runs, once one does."""
    connection = await connect(postgres_server.url(), timeout=5)
    try:
        with anyio.fail_after(10):
            while True:
                cursor: Any = await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE state = 'active' AND query ~ 'pg_sleep' AND pid <> pg_backend_pid()"
                )
                if await cursor.fetchall():
                    return
                await anyio.sleep(0.01)  # there is no event of a statement that begins to run
    finally:
        await connection.close()


async def ended(db: Database, sql: str, error: type[Exception]) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(end_all_others)
        with pytest.raises(error, match="connection is lost"):
            await db.execute(sql) if sql == SLOW_WRITE else await db.fetch_all(sql)


async def names(db: Database) -> list[str]:
    return [row["name"] for row in await db.fetch_all("SELECT name FROM person ORDER BY id")]


async def test_D1_a_read_is_unavailable_and_a_write_of_its_own_is_unknown(tmp_path: Path) -> None:
    async with opened("postgresql", tmp_path) as db:
        await ended(db, SLOW, BackendUnavailable)
        await ended(db, SLOW_WRITE, WriteOutcomeUnknown)
        assert await names(db) == ["Ada", "Bob"]


async def test_D1_a_transaction_whose_connection_is_lost_has_changed_nothing(tmp_path: Path) -> None:
    async with opened("postgresql", tmp_path) as db:
        async with anyio.create_task_group() as group:
            group.start_soon(end_all_others)
            with pytest.raises(BackendUnavailable, match="connection is lost"):  # noqa: PT012  the block is what is tested
                async with db.transaction():
                    await db.execute("DELETE FROM person")
                    await db.execute(SLOW_WRITE)
        assert await names(db) == ["Ada", "Bob"]
