"""Which copies a commit takes away: those that a change may concern, whatever way it took through the session."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select, update
from sqlalchemy.orm import Session
from tests.integration.alchemy import Admin, Group, Order, Own, User, alchemy, user_groups

ALL_USERS = {"user 1", "user 2", "user 7", "users"}
ALL_ADMINS = {"admin 3", "admins"}
KIN = ALL_USERS | {"admin 3"}
ALL_ORDERS = {"order 1", "order 2", "orders"}
USERS: Any = User.__table__


def rename(session: Session) -> None:
    session.get_one(User, 1).name = "new"


def change_key(session: Session) -> None:
    session.get_one(User, 1).id = 7


def let_the_database_compute(session: Session) -> None:
    session.get_one(Order, 1).count = Order.count + 1


def rename_admin(session: Session) -> None:
    session.get_one(Admin, 3).name = "new"


def promote(session: Session) -> None:
    session.get_one(Admin, 3).level = 2


def drop_an_order(session: Session) -> None:
    user = session.get_one(User, 1)
    user.orders.clear()


def drop_an_order_and_change_another(session: Session) -> None:
    session.get_one(Order, 2).count = 5
    drop_an_order(session)


def join_group(session: Session) -> None:
    user = session.get_one(User, 1)
    user.groups.append(session.get_one(Group, 1))


def leave_group(session: Session) -> None:
    user = session.get_one(User, 2)
    user.groups.clear()


def delete_member(session: Session) -> None:
    session.delete(session.get_one(User, 2))


def core_secondary(session: Session) -> None:
    session.execute(user_groups.delete())


def bulk_update_mappings(session: Session) -> None:
    session.bulk_update_mappings(User, [{"id": 1, "name": "new"}])


def bulk_insert_mappings(session: Session) -> None:
    session.bulk_insert_mappings(User, [{"id": 7, "name": "new"}])


def bulk_save_objects(session: Session) -> None:
    session.bulk_save_objects([User(id=7, name="new")])


def bulk_before_a_flush_of_the_same_table(session: Session) -> None:
    session.bulk_update_mappings(User, [{"id": 2, "name": "new"}])
    rename(session)


def update_by_keys(session: Session) -> None:
    session.execute(update(User), [{"id": 1, "name": "new"}])


def core_update(session: Session) -> None:
    session.execute(USERS.update().values(name="new"))


def core_insert(session: Session) -> None:
    session.execute(insert(USERS), [{"id": 7, "name": "new", "kind": "user"}])


def core_delete(session: Session) -> None:
    session.execute(Order.__table__.delete())  # type: ignore[attr-defined]


def core_by_its_connection(session: Session) -> None:
    session.connection().execute(USERS.update().values(name="new"))


def returning(session: Session) -> None:
    statement = update(User).values(name="new").returning(User)
    session.scalars(select(User).from_statement(statement)).all()


def legacy_update(session: Session) -> None:
    session.query(User).filter_by(id=1).update({"name": "new"})


def update_base(session: Session) -> None:
    session.execute(update(User).values(name="new"))


def update_sub(session: Session) -> None:
    session.execute(update(Admin).values(level=2))


CHANGES: list[tuple[Callable[[Session], None], set[str]]] = [
    (rename, {"user 1", "users"}),
    (change_key, {"user 1", "user 7", "users"}),
    (let_the_database_compute, {"order 1", "orders"}),
    (rename_admin, {"admin 3", "users"}),
    (promote, {"admin 3", "admins"}),
    (drop_an_order, {"user 1", "order 1", "orders"}),
    (drop_an_order_and_change_another, {"user 1", "order 1", "order 2", "orders"}),
    (join_group, {"user 1", "user_groups"}),
    (leave_group, {"user 2", "user_groups"}),
    (delete_member, {"user 2", "users", "order 2", "orders", "user_groups"}),
    (core_secondary, {"user_groups"}),
    (bulk_update_mappings, KIN),
    (bulk_insert_mappings, KIN),
    (bulk_save_objects, KIN),
    (bulk_before_a_flush_of_the_same_table, KIN),
    (update_by_keys, KIN),
    (core_update, KIN),
    (core_insert, KIN),
    (core_delete, ALL_ORDERS),
    (core_by_its_connection, KIN),
    (returning, KIN),
    (legacy_update, KIN),
    (update_base, KIN),
    (update_sub, (ALL_USERS - {"users"}) | ALL_ADMINS),
]


@pytest.mark.parametrize(("work", "gone"), CHANGES, ids=lambda one: getattr(one, "__name__", ""))
async def test_a_commit_takes_away_what_its_changes_may_concern_and_nothing_else(
    tmp_path: Path, kind: str, work: Callable[[Session], None], gone: set[str]
) -> None:
    """Of these only plain changes of objects and ``update()`` of the very model of a copy once were seen."""

    def committed(session: Session) -> None:
        work(session)
        session.commit()

    async with alchemy(tmp_path, kind) as env:
        await env.run(committed)
        assert await env.gone() == gone


@contextmanager
def listening(target: Any, name: str, listener: Callable[..., None]) -> Iterator[None]:
    event.listen(target, name, listener)
    try:
        yield
    finally:
        event.remove(target, name, listener)


def renamed(session: Session) -> None:
    rename(session)
    session.commit()


async def test_a_statement_that_a_hook_adds_to_a_flush_may_have_changed_any_row_of_its_table(
    tmp_path: Path, kind: str
) -> None:
    """As the hooks of a nested set do: they shift rows of the table that is being written."""

    def shift(mapper: Any, connection: Connection, one: User) -> None:
        del mapper, one
        connection.execute(USERS.update().values(name="shifted"))

    async with alchemy(tmp_path, kind) as env:
        with listening(User, "before_update", shift):
            await env.run(renamed)
        assert await env.gone() == KIN


async def test_a_bulk_change_by_a_hook_before_a_flush_is_not_taken_for_the_flush(tmp_path: Path, kind: str) -> None:
    def also(session: Session, *_: Any) -> None:
        bulk_update_mappings(session)

    async with alchemy(tmp_path, kind) as env:
        with listening(Own, "before_flush", also):
            await env.run(renamed)
        assert await env.gone() == KIN


async def test_what_is_only_read_leaves_all_copies(tmp_path: Path, kind: str) -> None:
    def read(session: Session) -> None:
        session.scalars(select(User)).all()
        session.get_one(User, 1)
        session.commit()

    async with alchemy(tmp_path, kind) as env:
        await env.run(read)
        assert await env.gone() == set()
