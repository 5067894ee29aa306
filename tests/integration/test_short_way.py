"""Over a connection the short way to an endpoint passes fewer layers than without sockets; both answer the same."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx2
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.background import BackgroundTask
from tests.lanes import running

from evox import Service, ServiceBuilder, inject
from evox.core import auth

pytestmark = pytest.mark.usefixtures("http1")


class Odd(Exception):
    """What the app has a handler for."""


def shop(told: list[str]) -> ServiceBuilder:
    svc = ServiceBuilder("shop")

    @svc.get("/items/{item_id}")
    async def read_item(item_id: int) -> dict[str, Any]:
        return {"item_id": item_id}

    @svc.post("/items", status_code=201)
    async def add_item(item: dict[str, int]) -> dict[str, int]:
        return item

    @svc.get("/gone")
    async def gone() -> None:
        raise HTTPException(410, "gone", headers={"x-why": "sold"})

    @svc.get("/odd")
    async def odd() -> None:
        raise Odd

    @svc.get("/broken")
    async def broken() -> None:
        raise ValueError("a secret")

    _add_odd_answers(svc, told)
    app: FastAPI = svc.app

    @app.exception_handler(Odd)
    async def handle(request: Request, error: Odd) -> PlainTextResponse:
        del error
        return PlainTextResponse(f"odd at {request.url.path}", 418)

    return svc


def _add_odd_answers(svc: ServiceBuilder, told: list[str]) -> None:
    @svc.get("/result")
    async def result() -> tuple[dict[str, int], int, dict[str, str]]:
        return {"a": 1}, 202, {"x-a": "b"}

    @svc.get("/nothing", status_code=204)
    async def nothing() -> None: ...

    @svc.get("/own")
    async def own() -> PlainTextResponse:
        return PlainTextResponse("own", background=BackgroundTask(told.append, "after"))

    @svc.get("/parts")
    async def parts() -> StreamingResponse:
        return StreamingResponse(iter([b"one", b"two"]))

    @svc.get("/header")
    async def header() -> JSONResponse:
        return JSONResponse({}, headers={"x-a": "b\nc"})


ASKED = [
    ("GET", "/items/1"),
    ("GET", "/items/x"),
    ("HEAD", "/items/1"),
    ("DELETE", "/items/1"),
    ("GET", "/items"),
    ("GET", "/gone"),
    ("GET", "/odd"),
    ("GET", "/broken"),
    ("GET", "/result"),
    ("GET", "/nothing"),
    ("GET", "/own"),
    ("GET", "/parts"),
    ("GET", "/health/live"),
    ("POST", "/items"),
]


def seen(response: httpx2.Response) -> tuple[int, dict[str, str], bytes]:
    kept = {name: value for name, value in response.headers.items() if name not in ("date", "transfer-encoding")}
    return response.status_code, kept, response.content


@pytest.mark.parametrize(("method", "path"), ASKED)
@pytest.mark.parametrize("prepare", [None, "middleware"], ids=["plain", "middleware"])
async def test_an_answer_is_the_same_with_and_without_a_connection(method: str, path: str, prepare: str | None) -> None:
    answers, finished = [], []
    for sockets in (True, False):
        told: list[str] = []
        svc = shop(told)
        if prepare is not None:
            svc.add_middleware(_Middleware)
        async with running(svc, sockets=sockets, raise_errors=False) as env:
            client = env.client(svc)
            for _ in range(2):
                response = await client.request(method, path, json={"a": 1} if method == "POST" else None)
                answers.append(seen(response))
            await env.host(svc).inflight.wait_idle()
            statistics = env.host(svc).inflight.statistics()
            finished.append((statistics.total, statistics.failed, told))
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert finished[0] == finished[1]
    assert finished[0][:2] == (2, 2 if path == "/broken" else 0)


class _Middleware:
    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def marking(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message["headers"], (b"x-marked", b"yes")]}
            await send(message)

        await self.app(scope, receive, marking)


async def test_a_header_that_cannot_be_sent_is_a_failure_of_the_app() -> None:
    svc = shop([])
    async with running(svc, sockets=True, raise_errors=False) as env:
        response = await env.client(svc).get("/header")
        assert (response.status_code, env.host(svc).inflight.statistics().failed) == (500, 1)
        assert (await env.client(svc).get("/items/1")).status_code == 200


async def test_an_endpoint_that_asks_who_calls_is_asked_on_the_short_way_too() -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/mine")
    @auth.require_roles("owner")
    async def mine() -> str | None:
        return auth.current().subject

    async with running(svc, sockets=True) as env:
        stranger, owner = env.client(svc), env.client(svc, token=env.token("ada", roles=["owner"]))
        assert [(await one.get("/mine")).status_code for one in (stranger, owner, stranger)] == [401, 200, 401]
        assert (await owner.get("/mine")).json() == "ada"


async def test_a_service_that_is_down_is_not_reached_by_the_short_way() -> None:
    svc: Service = shop([])
    async with running(svc, sockets=True) as env:
        client = env.client(svc)
        assert (await client.get("/items/1")).status_code == 200
        env.host(svc).inflight.refuse("restarting")
        assert (await client.get("/items/1")).status_code == 503
        env.host(svc).inflight.admit()
        assert (await client.get("/items/1")).status_code == 200


async def test_a_stream_that_a_handler_returns_is_closed_when_its_client_leaves() -> None:
    begun, closed = anyio.Event(), anyio.Event()
    svc = ServiceBuilder("shop")

    async def parts() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            begun.set()
            await anyio.sleep_forever()
        finally:
            closed.set()

    @svc.get("/parts")
    async def give() -> StreamingResponse:
        return StreamingResponse(parts())

    async with running(svc, sockets=True) as env:
        async with env.client(svc).stream("GET", "/parts"):
            await begun.wait()
        with anyio.fail_after(5):
            await closed.wait()


async def test_what_is_put_in_the_place_of_a_dependency_goes_by_fastapi_and_leaves_injection_alone() -> None:
    class Repository:
        name = "real"

    svc = ServiceBuilder("shop")

    @svc.get("/who")
    async def who(repository: Repository = inject(Repository)) -> str:
        return repository.name

    svc.app.dependency_overrides[shop] = lambda: None
    async with running(svc, sockets=True) as env:
        assert (await env.client(svc).get("/who")).json() == "real"
