"""When copies are taken away: after the commit, wherever it is made, and what if it or that fails."""

import asyncio
import logging
import sqlite3
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool
from tests.integration.alchemy import ORDER, USER, Order, User, UserCopy, alchemy, count, refill, rename

from evox import data_intent, data_io
from evox.data.sqlalchemy import signal_from

also = data_intent.define("alchemy_also", ttl="1h")


def renamed(session: Session) -> None:
    rename(session)
    session.commit()


async def test_everyone_who_listens_to_a_session_class_is_told(tmp_path: Path, kind: str) -> None:
    """The first took the changes with it, and the others never invalidated anything."""

    def work(session: Session) -> None:
        rename(session)
        count(session)
        session.commit()

    async with alchemy(tmp_path, kind) as env:
        stop = signal_from(env.factory, {Order: also})
        await data_io.write(also, "1", {})
        try:
            await env.run(work)
            assert await env.gone() == USER | ORDER
            assert await data_io.read(also, "1") is None
        finally:
            stop()
        await data_io.write(UserCopy, "1", UserCopy())
        await data_io.write(also, "1", {})
        await env.run(work)
        assert await data_io.read(UserCopy, "1") is None  # who has stopped leaves the others as they are
        assert await data_io.read(also, "1") is not None


@pytest.fixture
def two_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLite take part in two-phase commits, as far as the session can tell."""

    def commit(self: Any, connection: Any, xid: Any, is_prepared: bool = True, recover: bool = False) -> None:
        del xid, is_prepared, recover
        self.do_commit(connection.connection)

    def rollback(self: Any, connection: Any, xid: Any, is_prepared: bool = True, recover: bool = False) -> None:
        del xid, is_prepared, recover
        self.do_rollback(connection.connection)

    monkeypatch.setattr(DefaultDialect, "do_begin_twophase", lambda self, connection, xid: None)
    monkeypatch.setattr(DefaultDialect, "do_prepare_twophase", lambda self, connection, xid: None)
    monkeypatch.setattr(DefaultDialect, "do_commit_twophase", commit)
    monkeypatch.setattr(DefaultDialect, "do_rollback_twophase", rollback)


@pytest.mark.usefixtures("two_phases")
async def test_a_commit_in_two_phases_is_one_commit(tmp_path: Path, kind: str) -> None:
    async with alchemy(tmp_path, kind) as env:

        def work(session: Session) -> None:
            rename(session)
            session.prepare()
            env.meanwhile(refill)
            session.commit()

        env.factory.configure(twophase=True)
        await env.run(work)
        assert await env.gone() == USER


async def test_a_commit_of_which_no_answer_came_invalidates(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with alchemy(tmp_path, kind) as env:
        commit: Any = DefaultDialect.do_commit

        def lost(self: Any, connection: Any) -> None:
            commit(self, connection)
            raise OperationalError("COMMIT", {}, Exception("connection lost"))

        with monkeypatch.context() as patch:
            patch.setattr(DefaultDialect, "do_commit", lost)
            with pytest.raises(OperationalError, match="connection lost"):
                await env.run(renamed)
        assert await env.gone() == USER


async def test_a_flush_that_fails_within_the_commit_invalidates_nothing(tmp_path: Path, kind: str) -> None:
    def work(session: Session) -> None:
        rename(session)
        session.add(User(id=2, name="there is one"))
        session.commit()

    async with alchemy(tmp_path, kind) as env:
        with pytest.raises(IntegrityError):
            await env.run(work)
        assert await env.gone() == set()


@pytest.mark.parametrize("where", ["kind", "loop"])
async def test_a_backend_that_is_down_does_not_undo_the_commit(
    tmp_path: Path, kind: str, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """``commit()`` raised though the database had committed; whoever tries again then writes twice."""
    file = tmp_path / "copies.db"
    async with alchemy(tmp_path, kind, data={"backend": f"sqlite:///{file}", "timeout": 0.2}) as env:
        with sqlite3.connect(file, check_same_thread=False) as other:
            other.execute("BEGIN EXCLUSIVE")
            if where == "loop" and kind == "thread":
                with env.factory() as session:
                    renamed(session)
                await anyio.wait_all_tasks_blocked()
                while caplog.text.count("may be old") < 3:
                    await anyio.lowlevel.checkpoint()
            else:
                await env.run(renamed)
            other.execute("ROLLBACK")
        other.close()
        assert [one.levelno for one in caplog.records if one.name == "evox.data"] == [logging.WARNING] * 3
        assert "copies may be old for up to their ttl: a commit has changed ['1'] of UserCopy" in caplog.text
        assert "tagged with any of ['users']" in caplog.text
        names: list[str] = []
        await env.run(lambda session: names.append(session.get_one(User, 1).name))
        assert names == ["new"]


async def test_a_commit_in_a_thread_whose_request_is_over_still_invalidates(tmp_path: Path) -> None:
    async with alchemy(tmp_path, "thread") as env:

        def work() -> None:
            anyio.from_thread.run_sync(scope.cancel)
            with env.factory() as session:
                renamed(session)

        with anyio.CancelScope() as scope:
            await anyio.to_thread.run_sync(work)
        assert await env.gone() == USER


async def test_a_commit_in_a_thread_of_asyncio_invalidates(tmp_path: Path, anyio_backend_name: str) -> None:
    """``commit()`` raised: such a thread has no way back that anyio knows of."""
    if anyio_backend_name != "asyncio":
        pytest.skip("asyncio's threads")
    async with alchemy(tmp_path, "thread") as env:

        def work() -> None:
            with env.factory() as session:
                renamed(session)

        await asyncio.to_thread(work)
        assert await env.gone() == USER


async def test_a_connection_given_to_sessions_is_listened_to_no_longer_than_they_use_it(tmp_path: Path) -> None:
    async with alchemy(tmp_path, "thread") as env:
        engine = create_engine(f"sqlite:///{tmp_path}/users.db", poolclass=NullPool)
        with engine.connect() as connection:
            for work in (rename, count):
                with env.factory(bind=connection, join_transaction_mode="control_fully") as session:
                    work(session)
                    session.commit() if work is count else session.rollback()
            assert not list(connection.dispatch.before_execute)
        assert await env.gone() == ORDER
