"""The client without sockets: what the app sees of a request, and a response that is read while it is written."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import anyio
import httpx2
import pytest
from fastapi.responses import StreamingResponse

from evox import Request, Service, ServiceBuilder
from evox.testing import AppTransport, running

CHUNKS = 300  # more than any buffer between app and client holds


def echoing() -> Service:
    svc = ServiceBuilder("echo")

    @svc.endpoint("/{path:path}", methods=["GET", "POST", "DELETE"])
    async def echo(request: Request, path: str) -> dict[str, Any]:
        return {
            "method": request.method,
            "path": path,
            "query": request.url.query,
            "x-a": request.headers.get("x-a"),
            "host": request.headers["host"],
            "cookie": request.cookies.get("seen"),
            "body": (await request.body()).decode(),
            "client": request.client.host if request.client else None,
        }

    return svc


class Chatty:
    """A service whose answer takes turns with its client, and which notes how it ended."""

    def __init__(self) -> None:
        svc = self.svc = ServiceBuilder("chatty")
        self.read_one, self.ended = anyio.Event(), anyio.Event()
        self.seen: list[str] = []

        @svc.get("/turns")
        async def turns() -> StreamingResponse:
            return StreamingResponse(self.turns())

        @svc.get("/endless")
        async def endless() -> StreamingResponse:
            return StreamingResponse(self.endless())

        @svc.get("/waits")
        async def waits(request: Request) -> None:
            self.seen.append("entered")
            self.read_one.set()
            while (await request.receive())["type"] != "http.disconnect":
                self.seen.append("body")
            self.seen.append("left")
            self.ended.set()

    async def turns(self) -> AsyncIterator[bytes]:
        yield b"one"
        await self.read_one.wait()
        yield b"two"

    async def endless(self) -> AsyncIterator[bytes]:
        try:
            yield b"more"
            await anyio.sleep_forever()
        finally:
            self.ended.set()


async def test_the_app_sees_the_request_as_it_was_sent() -> None:
    async with running(echoing()) as env:
        seen = (await env.client("echo").post("/a b/ü?q=x%20y", content=b"body", headers={"X-A": "1"})).json()
    assert seen == {
        "method": "POST",
        "path": "a b/ü",
        "query": "q=x%20y",
        "x-a": "1",
        "host": "echo",
        "cookie": None,
        "body": "body",
        "client": "127.0.0.1",
    }


async def test_a_body_may_be_streamed_to_the_app() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            yield b"abc"

    async with running(echoing()) as env:
        assert (await env.client("echo").post("/x", content=parts())).json()["body"] == "abc" * CHUNKS


@pytest.mark.parametrize("by_name", [True, False])
async def test_a_client_is_had_by_name_or_by_service(by_name: bool) -> None:
    svc = echoing()
    async with running(svc) as env:
        assert (await env.client("echo" if by_name else svc).delete("/x")).json()["method"] == "DELETE"


async def test_a_client_takes_the_options_of_httpx2() -> None:
    async with running(echoing()) as env:
        client = env.client("echo", headers={"x-a": "always"}, cookies={"seen": "yes"}, base_url="http://elsewhere/v1/")
        seen = (await client.get("x")).json()
    assert (seen["x-a"], seen["cookie"], seen["host"], seen["path"]) == ("always", "yes", "elsewhere", "v1/x")


async def test_a_client_is_closed_when_the_test_ends() -> None:
    async with running(echoing()) as env:
        clients = [env.client("echo"), env.client("echo")]
        await clients[1].aclose()
        assert not clients[0].is_closed
    assert all(client.is_closed for client in clients)


async def test_an_answer_to_head_has_no_body() -> None:
    svc = ServiceBuilder("a")
    svc.endpoint("/x", methods=["GET", "HEAD"])(lambda: "four")
    async with running(svc) as env:
        reply = await env.client(svc).head("/x")
    assert (reply.content, reply.headers["content-length"]) == (b"", "6")


async def test_a_response_is_read_while_it_is_written() -> None:
    chatty = Chatty()
    async with running(chatty.svc) as env:
        with anyio.fail_after(10):
            async with env.client("chatty").stream("GET", "/turns") as reply:
                parts = reply.aiter_raw()
                assert await anext(parts) == b"one"
                chatty.read_one.set()
                assert await anext(parts) == b"two"
                assert [part async for part in parts] == []


async def test_a_long_answer_arrives_whole() -> None:
    svc = ServiceBuilder("a")

    @svc.get("/x")
    async def long() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(CHUNKS):
                yield b"abc"

        return StreamingResponse(parts())

    async with running(svc) as env:
        assert (await env.client(svc).get("/x")).content == b"abc" * CHUNKS


async def test_a_client_that_leaves_while_it_reads_is_seen_by_the_app() -> None:
    chatty = Chatty()
    async with running(chatty.svc) as env:
        with anyio.fail_after(10):
            async with env.client("chatty").stream("GET", "/endless") as reply, aclosing(reply.aiter_raw()) as parts:
                assert await anext(parts) == b"more"
            await chatty.ended.wait()


async def test_a_client_that_leaves_before_the_answer_is_seen_as_a_disconnect() -> None:
    chatty = Chatty()
    async with running(chatty.svc) as env:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(env.client("chatty").get, "/waits")
                await chatty.read_one.wait()
                group.cancel_scope.cancel()
            await chatty.ended.wait()
    assert chatty.seen == ["entered", "body", "left"]


async def test_a_client_that_reads_to_the_end_does_not_leave_early() -> None:
    svc, seen = ServiceBuilder("a"), list[bool]()

    @svc.get("/x")
    async def stays(request: Request) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(await request.is_disconnected())

    async with running(svc) as env:
        await env.client(svc).get("/x")
    assert seen == [False]


async def test_the_transport_serves_any_asgi_app() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"1")]})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    async with (
        anyio.create_task_group() as group,
        httpx2.AsyncClient(transport=AppTransport(app, group), base_url="http://a") as client,
    ):
        reply = await client.get("/some/path")
    assert (reply.status_code, reply.headers["x-a"], reply.text) == (201, "1", "/some/path")
