"""Clients leave in the middle of their body, or once they have their answer; and what is reported of it."""

import select
import socket
from collections.abc import Iterator
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest
from fastapi import BackgroundTasks
from starlette.background import BackgroundTask
from starlette.types import Receive, Scope, Send
from tests.integration.leaving import PROMPTLY, SOON, WAYS, Caller, Seen, idle, passed, statistics, until, waiting
from tests.lanes import running

from evox import (
    Body,
    Request,
    Response,
    ServiceBuilder,
    events,
)
from evox.serving.client import LOOK

pytestmark = pytest.mark.usefixtures("http1")


@pytest.fixture
def calls() -> Iterator[list[events.CallFinished]]:
    """Return the calls that finished so far."""
    seen: list[events.CallFinished] = []
    token = events.observe(lambda event: seen.append(event) if isinstance(event, events.CallFinished) else None)
    yield seen
    events._observers.reset(token)


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("how", WAYS)
async def test_V6_a_handler_that_waits_for_a_body_ends_when_the_client_leaves_in_the_middle_of_it(
    framing: str, how: str, calls: list[events.CallFinished]
) -> None:
    svc, entered, ended = ServiceBuilder("a"), anyio.Event(), anyio.Event()

    @svc.post("/upload")
    async def upload(request: Request) -> int:
        entered.set()
        try:
            return len(await request.body())
        finally:
            ended.set()

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/upload", "POST", framing)
        client.socket.sendall(b"5\r\nhe")
        await entered.wait()
        client.leave(how)
        with anyio.fail_after(PROMPTLY):
            await ended.wait()
        after = await idle(env)
    # The client's fault, not the service's: no failure, no traceback in the log.
    assert (after.left, after.failed, [one.status for one in calls]) == (1, 0, [499])


# More than is kept for a handler that does not read; the rest fits the kernel, where the end is seen behind it.
UNREAD: Final = 150_000
needs_hangups = pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="only Linux tells of an end not yet read")


@needs_hangups
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(("method", "options"), [("GET", {}), ("POST", {"on_disconnect": "cancel"})])
async def test_V6_a_body_that_nobody_reads_does_not_hide_that_its_client_has_left(
    method: str, options: dict[str, Any], how: str
) -> None:
    seen = Seen()
    async with running(waiting(seen, method, **options), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait", method, body=bytes(UNREAD))
        await seen.entered.wait()
        await passed(env)
        client.leave(how)
        assert await seen.cancelled()
        assert (await idle(env)).left == 1


@needs_hangups
@pytest.mark.parametrize("how", WAYS)
async def test_V6_requests_that_nobody_reads_do_not_hide_that_their_client_has_left(how: str) -> None:
    seen = Seen()
    async with running(waiting(seen), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait")
        await seen.entered.wait()
        for _ in range(40):  # more than is read ahead, and less than would not fit into the kernel behind that
            client.ask("/wait", "GET", "X-Fill: " + "f" * 4_000)
        await passed(env)
        client.leave(how)
        assert await seen.cancelled()
        assert (await idle(env)).total == 3  # and those of ``passed``: none of the others was begun


async def test_V6_a_body_is_read_to_its_end_although_its_client_has_closed_its_direction() -> None:
    svc, go = ServiceBuilder("a"), anyio.Event()

    @svc.post("/upload")
    async def upload(request: Request) -> int:
        await go.wait()
        return len(await request.body())

    async with running(svc, sockets=True) as env:
        with Caller(env.url("a")) as client, anyio.fail_after(SOON):
            client.ask("/upload", "POST", body=bytes(UNREAD))
            client.socket.shutdown(socket.SHUT_WR)
            await until(lambda: statistics(env).left == 0 and statistics(env).requests == 1)
            await anyio.sleep(3 * LOOK)
            go.set()
            assert (await client.answer()).endswith(b"\r\n\r\n%d" % UNREAD)


async def test_V6_a_handler_is_not_called_with_half_a_body() -> None:
    svc, called = ServiceBuilder("a"), list[object]()

    @svc.post("/upload")
    async def upload(what: dict[str, Any] = Body()) -> None:
        called.append(what)

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/upload", "POST", "Content-Type: application/json", "Content-Length: 10")
        client.socket.sendall(b"{}")
        await until(lambda: statistics(env).requests == 1)
        client.leave("fin")
        after = await idle(env)
    assert (called, after.left, after.failed) == ([], 1, 0)


BACKGROUND: Final = [("GET", b""), ("POST", b""), ("POST", bytes(200_000))]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(("method", "body"), BACKGROUND, ids=["get", "post", "unread body"])
async def test_V6_a_client_that_closes_after_its_answer_does_not_cut_background_tasks(
    method: str, body: bytes, how: str
) -> None:
    svc, task = ServiceBuilder("a"), Seen()

    @svc.endpoint("/order", methods=[method], on_disconnect="cancel")
    async def order(tasks: BackgroundTasks) -> str:
        tasks.add_task(task.wait)
        return "taken"

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/order", method, body=body)
        assert b" 200 " in await client.answer()
        await task.entered.wait()
        client.leave(how)
        await passed(env)
        assert not task.ended.is_set()
        task.go.set()
        after = await idle(env)
    assert (task.finished, after.left) == (True, 0)


class Late(Response):
    """Says that it is complete some time after its last byte, as middleware that passes a body on does."""

    def __init__(self, go: anyio.Event, **options: Any) -> None:
        super().__init__(b"whole", **options)
        self.go = go

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await self.go.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        assert self.background is not None
        await self.background()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_V6_the_last_byte_of_an_answer_with_a_length_is_its_end(
    method: str, calls: list[events.CallFinished]
) -> None:
    svc, task, go = ServiceBuilder("a"), Seen(), anyio.Event()

    @svc.endpoint("/order", methods=[method])
    async def order() -> Response:
        return Late(go, background=BackgroundTask(task.wait))

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/order", method)
        got = b""
        while not got.endswith(b"whole" if method == "GET" else b"\r\n\r\n"):
            got += await client.read()
        client.leave("fin")
        await passed(env)
        go.set()
        task.go.set()
        after = await idle(env)
    assert (task.finished, after.left, [one.status for one in calls]) == (True, 0, [200])


@pytest.mark.parametrize(("method", "status"), [("GET", 499), ("HEAD", 499)])
async def test_V6_a_call_that_its_client_left_is_reported_with_499(
    method: str, status: int, calls: list[events.CallFinished]
) -> None:
    seen = Seen()
    async with running(waiting(seen, method), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait", method)
        await seen.entered.wait()
        client.leave("fin")
        await seen.cancelled()
        await idle(env)
    assert [(one.endpoint, one.status) for one in calls] == [("wait", status)]
