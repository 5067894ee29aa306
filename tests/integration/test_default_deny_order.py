"""A1: who is refused is refused before all else: body, validation, dependencies, cache, seat."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio
import pytest
from anyio.abc import SocketStream
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from evox import Body, Cookie, Depends, File, Form, Header, Query, ServiceBuilder
from evox.core import auth
from evox.testing import Env, running

ENDLESS = 10**12
admin = auth.require_roles("admin")


class Order(BaseModel):
    number: int


class Shop:
    """A service with all kinds of routes that read something; ``ran`` says what of it did."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.go_on = anyio.Event()
        depends = [Depends(lambda: self.ran.append("of the app"))]
        self.svc = svc = ServiceBuilder("shop", dependencies=depends).concurrency(total=1, queue=0)
        router = APIRouter(prefix="/api", dependencies=[Depends(lambda: self.ran.append("of the router"))])
        needs = Depends(self.dependency)

        @svc.post("/orders/{number}")
        @admin
        async def order(
            number: int, order: Order, limit: Annotated[int, Query()], x_key: Annotated[int, Header()], d: None = needs
        ) -> str:
            self.ran.append("order")
            return "order"

        @svc.post("/files")
        @admin
        def files(file: Annotated[bytes, File()], name: Annotated[str, Form()], c: Annotated[int, Cookie()]) -> None:
            self.ran.append("files")

        @svc.post("/silent")
        async def silent(order: Order = Body(), d: None = needs) -> None:
            self.ran.append("silent")

        @svc.app.post("/raw")
        async def raw(order: Order, d: None = needs) -> None:
            self.ran.append("raw")

        @router.post("/routed/{number}")
        @admin
        async def routed(number: int, order: Order, d: None = needs) -> None:
            self.ran.append("routed")

        @svc.get("/wait")
        @admin
        async def wait() -> str:
            await self.go_on.wait()
            return "waited"

        svc.include_router(router)
        svc.app.add_route("/starlette", self.reads, methods=["POST"])
        svc.app.mount("/mounted", self.reads_asgi)

    def dependency(self) -> None:
        self.ran.append("dependency")

    async def reads(self, request: Request) -> PlainTextResponse:
        self.ran.append("starlette")
        return PlainTextResponse(await request.body())

    async def reads_asgi(self, scope: Any, receive: Any, send: Any) -> None:
        self.ran.append("mounted")
        await PlainTextResponse("read")(scope, receive, send)


PATHS = ["/orders/1", "/files", "/silent", "/raw", "/api/routed/1", "/starlette", "/mounted/x"]


async def opened(env: Env, path: str, token: str | None, *more: str) -> SocketStream:
    """Send the head of a POST, and nothing of its body."""
    host, _, port = env.url("shop").removeprefix("http://").partition(":")
    lines = [f"POST {path} HTTP/1.1", "Host: shop", "Content-Type: application/json", *more]
    lines += [f"Authorization: Bearer {token}"] if token else []
    stream = await anyio.connect_tcp(host, int(port))
    await stream.send("\r\n".join([*lines, "", ""]).encode())
    return stream


@pytest.mark.parametrize("path", PATHS)
async def test_A1_no_body_is_waited_for(path: str) -> None:
    shop = Shop()
    async with running(shop.svc, sockets=True) as env:
        for token, status in ((None, b"401"), (env.token("ada", roles=["user"]), b"403"), ("no.good.token", b"401")):
            for length in (f"Content-Length: {ENDLESS}", "Content-Length: 100", "Transfer-Encoding: chunked"):
                stream = await opened(env, path, token, length)
                async with stream:
                    with anyio.fail_after(5):
                        answer = await stream.receive()
                assert answer.split(b" ")[1] == (b"413" if str(ENDLESS) in length else status), (answer, length)
    assert shop.ran == []


async def send_endlessly(stream: SocketStream) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with contextlib.suppress(anyio.BrokenResourceError):
        while True:
            await stream.send(chunk)


@pytest.mark.parametrize("path", PATHS)
async def test_A1_who_sends_a_body_without_end_is_answered_and_left(path: str) -> None:
    shop, answer = Shop(), b""
    async with running(shop.svc, sockets=True) as env:
        stream = await opened(env, path, None, "Transfer-Encoding: chunked")
        async with stream, anyio.create_task_group() as group:
            group.start_soon(send_endlessly, stream)
            with anyio.fail_after(10), contextlib.suppress(anyio.BrokenResourceError):
                async for chunk in stream:
                    answer += chunk
            group.cancel_scope.cancel()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert shop.ran == []


@pytest.mark.parametrize("path", PATHS)
async def test_A1_nothing_of_a_request_is_asked_for(path: str) -> None:
    """Straight into the app, so that each message that is asked for is seen."""
    shop, asked = Shop(), 0
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode()}
    scope |= {"query_string": b"", "root_path": "", "http_version": "1.1", "scheme": "http", "client": None}
    scope |= {"headers": [(b"host", b"shop"), (b"content-type", b"application/json")], "server": ("shop", 80)}
    sent: list[Any] = []

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"{", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    async with running(shop.svc):
        await shop.svc.app(dict(scope, extensions={}), receive, send)
    assert (sent[0]["status"], asked, shop.ran) == (401, 0, [])


BAD: list[dict[str, Any]] = [
    {"content": b"{", "headers": {"content-type": "application/json"}},
    {"json": {"number": "none"}},
    {"content": b"\xff", "headers": {"content-type": "multipart/form-data"}},
    {"params": {"limit": "none"}},
    {},
]


@pytest.mark.parametrize("path", [*PATHS, "/orders/none", "/api/routed/none"])
async def test_A1_nothing_is_validated(path: str) -> None:
    shop = Shop()
    async with running(shop.svc) as env:
        nobody, ada = env.client(shop.svc), env.client(shop.svc, token=env.token("ada"))
        for bad in BAD:
            assert [(await one.post(path, **bad)).status_code for one in (nobody, ada)] == [401, 403]
        assert shop.ran == []
        root = env.client(shop.svc, token=env.token("root", roles=["admin"]))
        if "routed" in path or "orders" in path or "files" in path:
            assert (await root.post(path, **BAD[0])).status_code == 422


async def test_A1_no_seat_is_wanted_and_a_full_service_still_says_who_may_not() -> None:
    shop = Shop()
    async with running(shop.svc) as env, anyio.create_task_group() as group:
        root = env.client(shop.svc, token=env.token("root", roles=["admin"]))
        group.start_soon(root.get, "/wait")
        await anyio.wait_all_tasks_blocked()
        before = env.service(shop.svc).scheduler.statistics()
        assert (await root.get("/wait")).status_code == 503  # there is one seat, and it is taken
        full = env.service(shop.svc).scheduler.statistics()
        assert full != before
        for path in PATHS:
            assert (await env.client(shop.svc).post(path, json={})).status_code == 401
            assert (await env.client(shop.svc, token=env.token("ada")).post(path, json={})).status_code == 403
        assert env.service(shop.svc).scheduler.statistics() == full
        shop.go_on.set()


@pytest.fixture
async def kept() -> AsyncIterator[tuple[Any, Any, list[str]]]:
    """Give a service with a kept answer, its environment, and what ran."""
    svc, ran = ServiceBuilder("kept"), list[str]()

    @svc.get("/items", cache="1h")
    @admin
    async def items() -> str:
        ran.append("items")
        return "items"

    @svc.post("/items")
    @admin
    async def add(order: Order) -> None:
        ran.append("add")

    svc.app.add_route("/items/raw", ran.append, methods=["POST"])  # type: ignore[arg-type]
    async with running(svc) as env:
        yield env, env.client(svc, token=env.token("root", roles=["admin"])), ran


async def test_A1_no_cache_is_looked_into_and_none_is_taken_away(kept: tuple[Env, Any, list[str]]) -> None:
    env, root, ran = kept
    assert (await root.get("/items")).headers["cache-status"] == "evox; fwd=miss; stored"
    data = env.service("kept").data
    before = data.statistics()
    for token in (None, env.token("ada"), "no.good.token"):
        client = env.client("kept", token=token)
        assert (await client.get("/items")).status_code in (401, 403)
        assert "cache-status" not in (await client.get("/items")).headers
        for path in ("/items", "/items/raw"):
            assert (await client.post(path, json={"number": 1})).status_code in (401, 403)
    assert data.statistics() == before
    assert (await root.get("/items")).headers["cache-status"].startswith("evox; hit")
    assert ran == ["items"]
