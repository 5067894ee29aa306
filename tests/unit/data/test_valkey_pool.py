"""Which connection is asked, when one more is opened, when a silent one is given up; on a server that is made up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from coredis.exceptions import AuthenticationFailureError
from coredis.exceptions import ConnectionError as ConnectionLost

from evox.data.backends.valkey_pool import NotOpened, ValkeyConnection, ValkeyPool


class Raw:
    """A connection of the driver that does as it is told."""

    fails: Exception | None = None
    made = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        type(self).made += 1
        self.usable = False
        self.over = anyio.Event()

    async def run(self, *, task_status: Any) -> None:
        await anyio.lowlevel.checkpoint()
        if self.fails is not None:
            raise self.fails
        self.usable = True
        task_status.started()
        await self.over.wait()

    def invalidate(self) -> None:
        self.usable = False
        self.over.set()

    def create_request(self, *_: Any, **__: Any) -> Any:
        if not self.usable:
            raise ConnectionLost("not usable")
        return SimpleNamespace(complete=False)


@asynccontextmanager
async def pool(size: int = 2) -> AsyncIterator[tuple[ValkeyPool, type[Raw]]]:
    kind = type("Raw", (Raw,), {})
    made, closing = ValkeyPool("valkey://nowhere", size=size, timeout=5), anyio.Event()
    made._read = SimpleNamespace(connection_class=kind, location=None, connection_kwargs={})
    async with anyio.create_task_group() as group:
        await group.start(made.run, closing)
        yield made, kind
        closing.set()


async def test_one_that_has_nothing_to_do_is_asked_and_no_other_is_opened() -> None:
    async with pool() as (made, kind):
        first = await made.connection()
        first.ask(b"GET", ("a",)).complete = True
        assert await made.connection() is first
        assert kind.made == 1


async def test_one_more_is_opened_while_all_are_busy_and_nobody_waits_for_it() -> None:
    async with pool() as (made, kind):
        first = await made.connection()
        first.ask(b"GET", ("a",))
        assert await made.connection() is first
        assert await made.connection() is first  # one at a time is opened
        assert kind.made == 2
        await anyio.wait_all_tasks_blocked()
        second = await made.connection()
        assert second is not first
        for one in (first, second):
            one.ask(b"GET", ("a",))
        await made.connection()
        assert kind.made == 2  # as many as there may be


async def test_one_that_cannot_be_opened_is_not_tried_for_at_once_again_while_there_is_another() -> None:
    async with pool() as (made, kind):
        first = await made.connection()
        first.ask(b"GET", ("a",))
        kind.fails = ConnectionLost("too many")
        for _ in range(3):
            assert await made.connection() is first
            await anyio.wait_all_tasks_blocked()
        assert kind.made == 2


async def test_whoever_came_while_one_was_opened_that_failed_tries_once_himself() -> None:
    async with pool() as (made, kind):
        kind.fails = ConnectionLost("gone")
        failed = 0

        async def want() -> None:
            nonlocal failed
            with pytest.raises(NotOpened, match="gone"):
                await made.connection()
            failed += 1

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(want)
        assert (failed, kind.made) == (20, 2)


async def test_what_the_server_says_when_it_does_not_let_us_is_told_to_all_who_wait() -> None:
    async with pool() as (made, kind):
        kind.fails = AuthenticationFailureError("no")
        with pytest.raises(NotOpened) as caught:
            await made.connection()
        assert isinstance(caught.value.refused, AuthenticationFailureError)


async def test_one_that_is_silent_is_asked_nothing_more_and_lives_as_long_as_somebody_may_wait() -> None:
    async with pool(size=1) as (made, _):
        first = await made.connection()
        old, new = first.ask(b"GET", ("a",)), first.ask(b"GET", ("b",))
        now = anyio.current_time()
        first._asked[0] = (now - 5.1, old)
        second = await made.connection()
        assert second is not first  # beyond the number that there may be, in its place
        assert first.raw.usable
        old.complete = True
        assert not first.is_silent(now)  # it has answered
        first._asked[0] = (now - 5.1, new)
        await made.connection()
        assert not first.raw.usable
        await anyio.wait_all_tasks_blocked()
        assert made.statistics().open == 1
        assert made.statistics().opened == 2


async def test_nothing_is_opened_when_the_pool_is_closed() -> None:
    async with pool() as (made, _):
        await made.connection()
    with pytest.raises(NotOpened, match="closed"):
        await made.connection()
    assert made.statistics().open == 0


async def test_what_is_asked_of_a_connection_that_was_cut_was_not_sent() -> None:
    connection = ValkeyConnection(Raw(), 1)
    with pytest.raises(ConnectionLost):
        connection.ask(b"GET", ("a",))
    assert connection.waiting() == 0
