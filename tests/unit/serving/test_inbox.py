"""Inbox: order, holding back, and the news that a client has left, which never waits."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from starlette.types import Message

from evox.serving.hypercorn_adapter.inbox import HIGH, Inbox

LEFT: Message = {"type": "http.disconnect"}


def part(size: int = 1, *, last: bool = False, fill: bytes = b"x") -> Message:
    return {"type": "http.request", "body": fill * size, "more_body": not last}


class Returned:
    """Takes what an inbox gives back of a window."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def __call__(self, size: int) -> None:
        self.sizes.append(size)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox("http")


@pytest.fixture
def returned() -> Returned:
    return Returned()


async def is_waiting(group: Any, call: Callable[[], Awaitable[Any]]) -> anyio.Event:
    """Start a call that is to wait; return an event that is set when it is over."""
    over = anyio.Event()

    async def run() -> None:
        await call()
        over.set()

    group.start_soon(run)
    await anyio.wait_all_tasks_blocked()
    assert not over.is_set()
    return over


async def done(over: anyio.Event) -> None:
    with anyio.fail_after(5):
        await over.wait()


async def test_messages_come_out_in_the_order_they_went_in(inbox: Inbox) -> None:
    sent = [part(fill=b"a"), part(fill=b"b"), part(0, last=True)]
    for message in sent:
        await inbox.put(message)
    assert [await inbox.receive() for _ in sent] == sent


async def test_receive_waits_for_a_message(inbox: Inbox) -> None:
    async with anyio.create_task_group() as group:
        over = await is_waiting(group, inbox.receive)
        await inbox.put(part())
        await done(over)


async def test_a_receive_that_is_cancelled_loses_no_message(inbox: Inbox) -> None:
    with anyio.move_on_after(0):
        await inbox.receive()
    await inbox.put(part(3))
    assert await inbox.receive() == part(3)


async def test_the_end_of_the_body_is_known_before_the_app_has_read_it(inbox: Inbox) -> None:
    await inbox.put(part())
    assert not inbox.body_arrived
    await inbox.put(part(0, last=True))
    assert inbox.body_arrived


async def test_put_does_not_wait_up_to_64_KiB(inbox: Inbox) -> None:
    with anyio.fail_after(5):
        await inbox.put(part(HIGH))
    assert not inbox.full


async def test_put_waits_above_64_KiB_until_the_app_has_read(inbox: Inbox) -> None:
    await inbox.put(part(HIGH))
    async with anyio.create_task_group() as group:
        over = await is_waiting(group, lambda: inbox.put(part(1)))
        assert inbox.full
        await inbox.receive()
        await done(over)


async def test_put_goes_on_waiting_while_the_app_has_read_too_little(inbox: Inbox) -> None:
    await inbox.put(part(1))
    async with anyio.create_task_group() as group:
        over = await is_waiting(group, lambda: inbox.put(part(HIGH + 1)))
        await inbox.receive()
        await anyio.wait_all_tasks_blocked()
        assert not over.is_set()
        await inbox.receive()
        await done(over)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.receive", "bytes": b"x" * (HIGH + 1), "text": None},
        {"type": "websocket.receive", "bytes": None, "text": "x" * (HIGH + 1)},
    ],
    ids=["bytes", "text"],
)
async def test_messages_of_a_websocket_are_held_back_too(message: Message) -> None:
    inbox = Inbox("websocket")
    async with anyio.create_task_group() as group:
        over = await is_waiting(group, lambda: inbox.put(message))
        await inbox.receive()
        await done(over)


async def test_a_disconnect_never_waits(inbox: Inbox) -> None:
    async with anyio.create_task_group() as group:
        over = await is_waiting(group, lambda: inbox.put(part(HIGH + 1)))
        with anyio.fail_after(5):
            await inbox.put(LEFT)
        assert inbox.gone
        await done(over)


async def test_a_disconnect_is_told_at_once_though_the_app_has_not_read_what_lies_before_it(inbox: Inbox) -> None:
    told: list[str] = []
    inbox.on_gone = lambda: told.append("gone")
    await inbox.put(part())
    await inbox.put(LEFT)
    assert told == ["gone"]


async def test_what_came_before_a_disconnect_is_still_read_and_then_the_disconnect_as_often_as_asked(
    inbox: Inbox,
) -> None:
    await inbox.put(part(3, last=True))
    await inbox.put(LEFT)
    assert [await inbox.receive() for _ in range(4)] == [part(3, last=True), LEFT, LEFT, LEFT]


async def test_nothing_is_taken_behind_a_disconnect(inbox: Inbox) -> None:
    await inbox.put(LEFT)
    await inbox.put(part())
    await inbox.put(LEFT)
    assert [await inbox.receive() for _ in range(2)] == [LEFT, LEFT]


async def test_leaving_lets_go_of_the_connection_that_waits_for_room(inbox: Inbox) -> None:
    async with anyio.create_task_group() as group:
        over = await is_waiting(group, lambda: inbox.put(part(HIGH + 1)))
        inbox.leave()
        await done(over)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("http", {"type": "http.disconnect"}), ("websocket", {"type": "websocket.disconnect", "code": 1006})],
)
async def test_hanging_up_tells_an_app_that_waits(kind: str, said: Message) -> None:
    inbox = Inbox(kind)
    async with anyio.create_task_group() as group:
        over = await is_waiting(group, inbox.receive)
        await inbox.hang_up()
        await done(over)
    assert await inbox.receive() == said


async def test_close_lets_go_of_the_connection_that_waits_for_room(inbox: Inbox) -> None:
    async with anyio.create_task_group() as group:
        over = await is_waiting(group, lambda: inbox.put(part(HIGH + 1)))
        await inbox.close()
        await done(over)


async def test_after_close_nothing_is_kept_or_held_back(inbox: Inbox) -> None:
    await inbox.close()
    with anyio.fail_after(5):
        for _ in range(3):
            await inbox.put(part(HIGH + 1))
    assert not inbox.full


async def test_after_close_a_client_that_leaves_is_no_news(inbox: Inbox) -> None:
    told: list[str] = []
    inbox.on_gone = lambda: told.append("gone")
    await inbox.close()
    await inbox.put(LEFT)
    assert told == []


async def test_over_http_2_put_never_waits(returned: Returned) -> None:
    inbox = Inbox("http", returned)
    with anyio.fail_after(5):
        for _ in range(3):
            await inbox.put(part(HIGH))
    assert inbox.full


async def test_a_window_is_given_back_at_once_while_there_is_room(returned: Returned) -> None:
    inbox = Inbox("http", returned)
    await inbox.put(part(100))
    await inbox.owe(110)  # padding counts too
    assert returned.sizes == [110]


async def test_a_window_is_kept_while_there_is_no_room_and_given_back_once_there_is(returned: Returned) -> None:
    inbox = Inbox("http", returned)
    for size in (HIGH, 10, 20):
        await inbox.put(part(size))
        await inbox.owe(size)
    assert returned.sizes == [HIGH]
    await inbox.receive()
    assert returned.sizes == [HIGH, 30]
    await inbox.receive()
    assert returned.sizes == [HIGH, 30]


@pytest.mark.parametrize("end", ["close", "leave"])
async def test_every_byte_of_a_window_is_given_back_once_however_it_ends(returned: Returned, end: str) -> None:
    inbox = Inbox("http", returned)
    for _ in range(4):
        await inbox.put(part(HIGH))
        await inbox.owe(HIGH)
    if end == "close":
        await inbox.close()
        await inbox.close()
    else:
        inbox.leave()
    await inbox.owe(7)
    assert sum(returned.sizes) == 4 * HIGH + 7
