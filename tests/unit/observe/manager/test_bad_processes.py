"""Processes that answer what they should not: the page says so in one sentence, and the others are asked on time."""

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream
from tests.unit.observe.manager.snapshots import said

from evox.observe.asking import LARGEST, TIMEOUT, CannotSee, Source
from evox.observe.manager.instances import Instances
from evox.observe.manager.poller import Poller

LIVENESS = 10.0
Serve = Callable[[SocketStream], Awaitable[None]]


def http(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


def answering(data: bytes) -> Serve:
    """Answer every request with the same bytes."""

    async def serve(stream: SocketStream) -> None:
        while True:
            await stream.receive()
            await stream.send(data)

    return serve


async def slowly(stream: SocketStream) -> None:
    await stream.receive()
    for byte in http(json.dumps(said()).encode()):
        await stream.send(bytes([byte]))
        await anyio.sleep(0.05)


async def never(stream: SocketStream) -> None:
    await stream.receive()
    await anyio.sleep_forever()


async def without_end(stream: SocketStream) -> None:
    await stream.receive()
    await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")
    while True:
        await stream.send(b"[" * 65_536)


async def hanging_up(stream: SocketStream) -> None:
    await stream.receive()
    await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")


def snapshot(**given: Any) -> Serve:
    return answering(http(json.dumps(said(**given)).encode()))


BAD: dict[str, tuple[Serve, str]] = {
    "garbage": (answering(b"\x00\xff\x17 garbage \r\n\r\n" * 20), "it cannot be reached"),
    "another protocol": (answering(b"220 mail.example ESMTP\r\n"), "it gave no answer within 2 s"),
    "html": (answering(http(b"<!doctype html><h1>Welcome</h1>")), "its answer is not JSON"),
    "nothing": (answering(http(b"")), "its answer is not JSON"),
    "binary": (answering(http(b"\xff\xfe\x00")), "its answer is not JSON"),
    "cut": (hanging_up, "it cannot be reached"),
    "byte by byte": (slowly, f"it gave no answer within {TIMEOUT:g} s"),
    "never": (never, f"it gave no answer within {TIMEOUT:g} s"),
    "a gigabyte": (without_end, f"its answer is larger than {LARGEST} bytes"),
    "redirect": (
        answering(http(b"", status="302 Found", headers="location: http://127.0.0.1:1/secret\r\n")),
        "it sends us elsewhere (302), and a token is for one address",
    ),
    "not let in": (answering(http(b"{}", status="401 Unauthorized")), "it does not let us look (401)"),
    "not there": (answering(http(b"{}", status="404 Not Found")), "it answered 404: is there a service of Evox"),
    "broken": (answering(http(b"{}", status="500 Oh")), "it answered 500"),
    "deep": (answering(http(b"[" * 500_000)), "its answer is not JSON"),
    "deep and closed": (answering(http(b'{"schema":1,"a":' + b"[" * 900 + b"]" * 900 + b"}")), "not a snapshot"),
    "list": (answering(http(b"[]")), "its answer is not a snapshot that can be read"),
    "null": (answering(http(b"null")), "its answer is not a snapshot that can be read"),
    "nan": (snapshot(uptime=float("nan")), "process.uptime"),
    "infinity": (snapshot(uptime=float("inf")), "process.uptime"),
    "too large a number": (snapshot(calls=[{"service": "a", "count": 10**400}]), "calls.0"),
    "another schema": (snapshot(schema=2), "schema: Input should be 1"),
    "no schema": (answering(http(b'{"level": "pass"}')), "schema: Field required"),
    "a number of 9999 digits": (answering(http(b'{"schema": ' + b"1" * 9999 + b"}")), "its answer is not JSON"),
    "a key of two megabytes": (snapshot(queues=[{"x" * 2_000_000: 1}]), "queues.0"),
    "a line of two megabytes": (answering(b"HTTP/1.1 200 " + b"x" * 2_000_000), "it cannot be reached"),
}


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    """Serve connections on a free port; give the URL."""

    async def handle(stream: SocketStream) -> None:
        async with stream:
            try:
                await serve(stream)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", family=socket.AddressFamily.AF_INET)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        yield f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


@asynccontextmanager
async def source(url: str) -> AsyncIterator[Source]:
    made = Source("it", url=url)
    try:
        yield made
    finally:
        with anyio.CancelScope(shield=True):
            await made.aclose()


@pytest.mark.parametrize("kind", BAD)
async def test_what_is_wrong_with_an_answer_is_said_in_one_sentence(kind: str) -> None:
    serve, why = BAD[kind]
    with anyio.fail_after(LIVENESS):
        async with listening(serve) as url, source(url) as asked:
            with pytest.raises(CannotSee) as caught:
                await asked.snapshot()
    text = str(caught.value)
    assert why in text
    assert "\n" not in text
    assert len(text) < 500


async def test_nobody_there_is_said_in_one_sentence() -> None:
    async with source("http://127.0.0.1:1") as asked:
        with pytest.raises(CannotSee, match="cannot be reached"):
            await asked.snapshot()


async def test_a_good_answer_is_read_though_it_has_members_that_are_not_known() -> None:
    async with listening(snapshot(more={"of": "what comes"})) as url, source(url) as asked:
        assert (await asked.snapshot()).process.instance == "one"


async def test_a_service_with_an_odd_name_is_asked_by_that_name_and_nothing_else() -> None:
    """A name with a newline in it ended the page of tasks with an error; one with dots asked for another view."""
    asked_for: list[bytes] = []

    async def serve(stream: SocketStream) -> None:
        asked_for.append((await stream.receive()).split(b"\r\n")[0])
        await stream.send(http(b"{}"))

    async with listening(serve) as url, source(url) as asked:
        asked._is_private = True
        await asked.view("../a b\n?x#y/\u202e", "tasks")
    assert asked_for == [b"GET /services/..%2Fa%20b%0A%3Fx%23y%2F%E2%80%AE/tasks HTTP/1.1"]


async def test_who_has_left_is_not_asked_any_more() -> None:
    async with source("http://127.0.0.1:1") as asked:
        await asked.aclose()
        with pytest.raises(CannotSee, match="ended"):
            await asked.view("users", "tasks")


async def test_bad_processes_keep_nobody_from_being_asked_on_time() -> None:
    """All of them at once, and one that is well: that one is asked again and again."""
    good: list[float] = []
    enough = anyio.Event()

    async def well(stream: SocketStream) -> None:
        while True:
            await stream.receive()
            good.append(anyio.current_time())
            await stream.send(http(json.dumps(said(uptime=anyio.current_time())).encode()))
            if len(good) >= 8 and all(one.trouble for one in known if one.source.name != "well"):
                enough.set()

    known = Instances()
    with anyio.fail_after(LIVENESS):
        async with anyio.create_task_group() as group:
            opened = [await group.start(keep_open, serve) for serve, _ in BAD.values()]
            sources = [Source(kind, url=url) for kind, url in zip(BAD, opened, strict=True)]
            sources.append(Source("well", url=await group.start(keep_open, well)))
            group.start_soon(Poller(known, None, sources, look=None, every=0.1).run)
            await enough.wait()
            group.cancel_scope.cancel()
    assert {one.source.name: one.trouble for one in known}["well"] == ""
    for kind, (_, why) in BAD.items():
        assert why in next(one.trouble for one in known if one.source.name == kind)


async def keep_open(serve: Serve, *, task_status: anyio.abc.TaskStatus[str]) -> None:
    async with listening(serve) as url:
        task_status.started(url)
        await anyio.sleep_forever()
