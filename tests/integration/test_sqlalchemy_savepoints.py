"""Savepoints: only the outermost COMMIT takes copies away, whatever was released or rolled back before it."""

from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from tests.integration.alchemy import ORDER, USER, Order, User, alchemy, count, refill, rename


async def test_a_savepoint_rolled_back_takes_nothing_of_what_was_changed_before_it(tmp_path: Path, kind: str) -> None:
    """All changes of the transaction were forgotten with it, and the copies stayed old."""

    def work(session: Session) -> None:
        rename(session)
        savepoint = session.begin_nested()
        count(session)
        savepoint.rollback()
        session.commit()

    async with alchemy(tmp_path, kind) as env:
        await env.run(work)
        assert await env.gone() >= USER


async def test_a_savepoint_that_fails_takes_nothing_of_what_was_changed_before_it(tmp_path: Path, kind: str) -> None:
    def work(session: Session) -> None:
        rename(session)
        session.add(Order(id=7))
        savepoint = session.begin_nested()
        session.add(User(id=2, name="there is one"))
        with pytest.raises(IntegrityError):
            session.flush()
        savepoint.rollback()
        session.commit()

    async with alchemy(tmp_path, kind) as env:
        await env.run(work)
        assert await env.gone() >= USER


async def test_the_release_of_a_savepoint_is_not_the_commit(tmp_path: Path, kind: str) -> None:
    """Copies were taken away at the release: a read before the commit brought the old value back, for good."""
    async with alchemy(tmp_path, kind) as env:

        def work(session: Session) -> None:
            count(session)
            with session.begin_nested():
                rename(session)
                with session.begin_nested():
                    count(session)
            assert env.meanwhile(env.gone) == set()
            env.meanwhile(refill)
            session.commit()

        await env.run(work)
        assert await env.gone() == USER | ORDER


async def test_a_savepoint_released_and_then_rolled_back_with_its_transaction_invalidates_nothing(
    tmp_path: Path, kind: str
) -> None:
    def work(session: Session) -> None:
        rename(session)
        with session.begin_nested():
            count(session)
        session.rollback()
        session.commit()

    async with alchemy(tmp_path, kind) as env:
        await env.run(work)
        assert await env.gone() == set()


async def test_what_a_session_was_closed_with_is_not_part_of_its_next_commit(tmp_path: Path, kind: str) -> None:
    def work(session: Session) -> None:
        rename(session)
        session.close()
        count(session)
        session.commit()

    async with alchemy(tmp_path, kind) as env:
        await env.run(work)
        assert await env.gone() == ORDER
