"""The SQLAlchemy producer: what is committed invalidates copies, what is rolled back does not; models know nothing."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from pydantic import BaseModel
from sqlalchemy import create_engine, delete, insert, select, text, update
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from sqlalchemy.pool import NullPool

from evox import ServiceBuilder, data_intent, data_io
from evox.data.sqlalchemy import signal_from
from evox.testing import running


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@data_intent.cacheable(ttl="1h", name="UserCopyOfAlchemy")
class UserCopy(BaseModel):
    name: str


class Own(Session):
    """A class of its own, so that no listener outlasts its test elsewhere."""


@contextmanager
def sessions(folder: Path) -> Iterator[sessionmaker[Own]]:
    engine = create_engine(f"sqlite:///{folder}/users.db", poolclass=NullPool)
    Base.metadata.create_all(engine)
    factory = sessionmaker(engine, class_=Own)
    with factory.begin() as session:
        session.add_all([User(id=1, name="Ada"), User(id=2, name="Bob")])
    stop = signal_from(Own, {User: UserCopy})
    try:
        yield factory
    finally:
        stop()
        engine.dispose()


@asynccontextmanager
async def copies() -> AsyncIterator[Any]:
    """Run a service that has copies of both users, and one under the table's tag; gives what is left of them."""
    async with running(ServiceBuilder("people")):
        for key, name in (("1", "Ada"), ("2", "Bob")):
            await data_io.write(UserCopy, key, UserCopy(name=name))
        await data_io.write("list", ["Ada", "Bob"], ttl=60, tags=["users"])

        async def left() -> list[bool]:
            await anyio.wait_all_tasks_blocked()
            found = [await data_io.read(UserCopy, "1"), await data_io.read(UserCopy, "2"), await data_io.read("list")]
            return [one is not None for one in found]

        assert await left() == [True, True, True]
        yield left


def change(session: Session) -> None:
    session.get_one(User, 1).name = "Ada Lovelace"


def add(session: Session) -> None:
    session.add(User(name="Cy"))


def remove(session: Session) -> None:
    session.delete(session.get_one(User, 2))


def bulk_update(session: Session) -> None:
    session.execute(update(User).where(User.id > 1).values(name="x"))


def bulk_delete(session: Session) -> None:
    session.execute(delete(User))


def bulk_insert(session: Session) -> None:
    session.execute(insert(User), [{"name": "Di"}])


def core_update(session: Session) -> None:
    session.execute(update(User.__table__).values(name="y"))  # type: ignore[arg-type]


def only_read(session: Session) -> None:
    session.scalars(select(User)).all()
    session.execute(text("SELECT 1"))


CHANGES = [
    (change, [False, True, False]),
    (add, [True, True, False]),
    (remove, [True, False, False]),
    (bulk_update, [False, False, False]),
    (bulk_delete, [False, False, False]),
    (bulk_insert, [False, False, False]),
    (core_update, [False, False, False]),
    (only_read, [True, True, True]),
]


@pytest.mark.parametrize("where", ["thread", "loop"])
@pytest.mark.parametrize(("work", "left"), CHANGES, ids=lambda one: getattr(one, "__name__", ""))
async def test_what_is_committed_invalidates_its_copies(
    tmp_path: Path, where: str, work: Any, left: list[bool]
) -> None:
    with sessions(tmp_path) as factory:
        async with copies() as found:

            def run() -> None:
                with factory.begin() as session:
                    work(session)

            if where == "thread":
                await anyio.to_thread.run_sync(run)
            else:
                run()
            assert await found() == left


@pytest.mark.parametrize("work", [change, bulk_update])
async def test_what_is_rolled_back_invalidates_nothing(tmp_path: Path, work: Any) -> None:
    with sessions(tmp_path) as factory:
        async with copies() as found:
            with factory() as session:
                work(session)
                session.flush()
                session.rollback()
                session.commit()
            assert await found() == [True, True, True]


async def test_copies_are_kept_until_the_commit(tmp_path: Path) -> None:
    with sessions(tmp_path) as factory:
        async with copies() as found:
            with factory() as session:
                change(session)
                session.flush()
                assert await found() == [True, True, True]
                session.commit()
            assert await found() == [False, True, False]


async def test_when_a_commit_in_a_thread_returns_the_copies_are_gone(tmp_path: Path) -> None:
    svc = ServiceBuilder("people")
    with sessions(tmp_path) as factory:

        @svc.put("/users/1")
        def rename() -> None:
            with factory.begin() as session:
                change(session)

        @svc.get("/users/1")
        async def read() -> Any:
            async def load() -> UserCopy:
                with factory() as session:
                    return UserCopy(name=session.get_one(User, 1).name)

            return await data_io.read(UserCopy, "1", loader=load)

        async with running(svc) as env:
            client = env.client(svc)
            assert (await client.get("/users/1")).json() == {"name": "Ada"}
            await client.put("/users/1")
            assert (await client.get("/users/1")).json() == {"name": "Ada Lovelace"}


async def test_an_async_session_does_the_same(tmp_path: Path, anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("SQLAlchemy's async sessions are asyncio's")
    with sessions(tmp_path):
        pass
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/users.db", poolclass=NullPool)
    factory = async_sessionmaker(engine, sync_session_class=Own)
    stop = signal_from(factory, {User: UserCopy})
    try:
        async with copies() as found:
            async with factory.begin() as session:
                (await session.get_one(User, 1)).name = "Ada Lovelace"
            assert await data_io.read(UserCopy, "1") is None
            assert await found() == [False, True, False]
    finally:
        stop()
        await engine.dispose()


async def test_a_commit_outside_any_service_says_that_nothing_is_invalidated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with sessions(tmp_path) as factory, factory.begin() as session:
        change(session)
    assert "outside any running service" in caplog.text
