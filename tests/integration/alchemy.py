"""A database with users, admins among them, their groups and orders; copies of all, and sessions of both kinds.

What a test does with a session is written once, for a synchronous one: ``Alchemy.run`` runs it in a worker thread with
a ``Session``, or within an ``AsyncSession``. Nothing here asserts anything.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.from_thread
import anyio.to_thread
from pydantic import BaseModel
from sqlalchemy import Column, ForeignKey, Table, create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only

from evox import ServiceBuilder, data_intent, data_io
from evox.data.sqlalchemy import signal_from
from evox.testing import running

__all__ = [
    "KINDS",
    "ORDER",
    "USER",
    "Admin",
    "Alchemy",
    "Group",
    "Order",
    "Own",
    "User",
    "UserCopy",
    "alchemy",
    "count",
    "refill",
    "rename",
    "user_groups",
]

KINDS: Final = ["thread", "async"]


class Base(DeclarativeBase):
    pass


user_groups = Table(
    "user_groups", Base.metadata, Column("u", ForeignKey("users.id")), Column("g", ForeignKey("groups.id"))
)


class Group(Base):
    __tablename__ = "groups"
    id: Mapped[int] = mapped_column(primary_key=True)


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    of: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    count: Mapped[int] = mapped_column(default=1)


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(default="user")
    groups: Mapped[list[Group]] = relationship(secondary=user_groups)
    orders: Mapped[list[Order]] = relationship(cascade="all, delete-orphan")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "user"}  # noqa: RUF012  SQLAlchemy's form


class Admin(User):
    __tablename__ = "admins"
    id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    level: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"polymorphic_identity": "admin"}  # noqa: RUF012


@data_intent.cacheable(ttl="1h", name="AlchemyUser")
class UserCopy(BaseModel):
    name: str = "old"


@data_intent.cacheable(ttl="1h", name="AlchemyAdmin")
class AdminCopy(BaseModel):
    level: int = 1


@data_intent.cacheable(ttl="1h", name="AlchemyOrder")
class OrderCopy(BaseModel):
    count: int = 1


class Own(Session):
    """A class of its own, so that no listener outlasts its test elsewhere."""


COPIES: Final = {
    "user 1": (UserCopy, "1"),
    "user 2": (UserCopy, "2"),
    "user 7": (UserCopy, "7"),  # there is no such user yet
    "admin 3": (AdminCopy, "3"),
    "order 1": (OrderCopy, "1"),
    "order 2": (OrderCopy, "2"),
}
USER: Final = {"user 1", "users"}  # what a change of the first user takes away
ORDER: Final = {"order 1", "orders"}
TAGS: Final = ("users", "admins", "orders", "user_groups")


class Alchemy:
    """Sessions of one kind on one database, and what is left of the copies made from it."""

    def __init__(self, kind: str, factory: Any) -> None:
        self.kind = kind
        self.factory = factory

    async def run(self, work: Callable[[Session], Any]) -> None:
        """Do something with a session, that ends with it; what is to be committed it commits itself."""
        if self.kind == "async":
            async with self.factory() as session:
                await session.run_sync(work)
            return

        def in_thread() -> None:
            with self.factory() as session:
                work(session)

        await anyio.to_thread.run_sync(in_thread)

    def meanwhile(self, function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Do something in the service from within ``run``, as another request would."""
        return await_only(function()) if self.kind == "async" else anyio.from_thread.run(function)

    async def left(self) -> set[str]:
        """Return the names of copies, and the tags, that are still there."""
        await anyio.wait_all_tasks_blocked()
        found = {name for name, (kind, key) in COPIES.items() if await data_io.read(kind, key) is not None}
        return found | {tag for tag in TAGS if await data_io.read(f"tagged {tag}") is not None}

    async def gone(self) -> set[str]:
        """Return the names of copies, and the tags, that were taken away."""
        return {*COPIES, *TAGS} - await self.left()


@asynccontextmanager
async def alchemy(folder: Path, kind: str, **settings: Any) -> AsyncIterator[Alchemy]:
    """Run a service that holds a copy of each row, and one for each table under its tag.

    Args:
        folder: Where the database is.
        kind: ``"thread"`` or ``"async"``.
        **settings: The service's own.
    """
    engine = create_engine(f"sqlite:///{folder}/users.db", poolclass=NullPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        member = User(id=2, name="old", groups=[Group(id=1)], orders=[Order(id=2)])
        session.add_all([User(id=1, name="old", orders=[Order(id=1)]), member, Admin(id=3, name="old")])
        session.commit()
    with _sessions(folder, kind, engine) as factory:
        stop = signal_from(factory, {User: UserCopy, Admin: AdminCopy, Order: [OrderCopy]})
        try:
            async with running(ServiceBuilder("people"), root=folder, settings=settings):
                for of, key in COPIES.values():
                    await data_io.write(of, key, of())
                for tag in TAGS:
                    await data_io.write(f"tagged {tag}", [], ttl=60, tags=[tag])
                yield Alchemy(kind, factory)
        finally:
            stop()
            engine.dispose()


@contextmanager
def _sessions(folder: Path, kind: str, engine: Any) -> Iterator[Any]:
    if kind == "async":
        asynchronous = create_async_engine(f"sqlite+aiosqlite:///{folder}/users.db", poolclass=NullPool)
        yield async_sessionmaker(asynchronous, sync_session_class=Own)  # without a pool there is nothing to close
    else:
        yield sessionmaker(engine, class_=Own)


def rename(session: Session) -> None:
    session.get_one(User, 1).name = "new"
    session.flush()


def count(session: Session) -> None:
    session.get_one(Order, 1).count = 5
    session.flush()


async def refill() -> None:
    """Do what another request's read does before the commit: it finds the old row, and keeps a copy of it."""
    await data_io.write(UserCopy, "1", UserCopy(name="old"))
