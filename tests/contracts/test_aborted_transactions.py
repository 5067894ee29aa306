"""Transactions in which a statement has failed: over SQLite and PostgreSQL what ends well is kept."""

import contextlib
from pathlib import Path

import pytest
from tests.contracts.test_database import KINDS, names, opened

from evox.data import Database
from evox.errors import TransactionAborted

pytestmark = pytest.mark.parametrize("kind", KINDS)


async def twice(db: Database) -> None:
    """Do what fails, and tell nobody."""
    with contextlib.suppress(Exception):
        await db.execute("INSERT INTO person VALUES (1, 'Twice')")


async def test_a_block_that_ends_well_was_committed_or_is_an_error(kind: str, tmp_path: Path) -> None:
    # PostgreSQL had given the transaction up, answered ROLLBACK to COMMIT, and that was taken for a success.
    async with opened(kind, tmp_path) as db:

        async def block() -> None:
            async with db.transaction():
                await db.execute("INSERT INTO person VALUES (3, 'Cy')")
                await twice(db)

        if kind == "sqlite":  # the statement alone is undone
            await block()
            assert await names(db) == ["Ada", "Bob", "Cy"]
            return
        with pytest.raises(TransactionAborted, match=r"(?s)EVX-710.*unique.*db\.transaction\(\)"):
            await block()
        assert await names(db) == ["Ada", "Bob"]
        await db.execute("INSERT INTO person VALUES (4, 'Di')")
        assert await names(db) == ["Ada", "Bob", "Di"]


async def test_a_statement_that_may_fail_is_undone_alone_within_a_savepoint(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as db:

        async def block() -> None:
            async with db.transaction():
                await db.execute("INSERT INTO person VALUES (4, 'Di')")
                await twice(db)

        async with db.transaction():
            await db.execute("INSERT INTO person VALUES (3, 'Cy')")
            with contextlib.suppress(Exception):
                async with db.transaction():
                    await db.execute("INSERT INTO person VALUES (1, 'Twice')")
            if kind == "postgresql":
                with pytest.raises(TransactionAborted, match=r"(?s)unique.*db\.transaction\(\)"):
                    await block()
            await db.execute("INSERT INTO person VALUES (5, 'Ed')")
        assert await names(db) == ["Ada", "Bob", "Cy", "Ed"]


async def test_nothing_of_a_block_is_done_after_its_transaction_is_no_more(kind: str, tmp_path: Path) -> None:
    # SQLite rolls back by itself when there is no room, or as here when told to; what followed committed itself.
    async with opened(kind, tmp_path) as db:
        fails = "INSERT OR ROLLBACK INTO person VALUES (1, 'Twice')" if kind == "sqlite" else "SELECT 1 / 0"

        async def block() -> None:
            async with db.transaction():
                await db.execute("INSERT INTO person VALUES (3, 'Cy')")
                with contextlib.suppress(Exception):
                    await db.execute(fails)
                for _ in range(2):
                    with contextlib.suppress(Exception):
                        await db.execute("INSERT INTO person VALUES (4, 'Di')")
                    with contextlib.suppress(Exception):
                        async with db.transaction():
                            await db.execute("INSERT INTO person VALUES (5, 'Ed')")

        with pytest.raises(TransactionAborted):
            await block()
        assert await names(db) == ["Ada", "Bob"]
