"""Compiled endpoints within an app: middleware, error handlers, other routes and all else stand where they stood.

Each test declares the same on a service and on FastAPI's app, and asks both. ``held`` says which path it should take.
"""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.integration.compiled_crud import PATHS, Item, OddError, ask_all, crud, seen
from tests.recorded import Recorded, about, recording
from tests.twins import Sent, call, twins

from evox import ServiceBuilder, inject
from evox.testing import running


class Pure:
    """Middleware that changes requests and answers, and knows nothing of Starlette."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        seen.set("pure")
        status = 0

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                route, path = scope.get("route"), getattr(scope.get("route"), "path", "")
                named = f"{path} {scope.get('path_params')} {getattr(route, 'name', '')}"
                headers = [*message["headers"], (b"x-pure", b"yes"), (b"x-route", named.encode())]
                message = {**message, "status": 299 if status == 201 else status, "headers": headers}
            elif status == 201:
                message = {**message, "body": message["body"].upper()}
            await send(message)

        async def louder() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                message = {**message, "body": message["body"].replace(b'"a"', b'"b"')}
            return message

        path = scope["path"].replace("/old/", "/items/")
        query = scope["query_string"].replace(b"q=ab", b"q=cd")
        await self.app({**scope, "path": path, "query_string": query}, louder, marked)


class Base(BaseHTTPMiddleware):
    """Middleware that reads the body before the endpoint does."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        body = await request.body()
        request.state.mark = "marked"
        seen.set("base")
        response = await call_next(request)
        response.headers["x-length"] = str(len(body))
        if "refuse" in request.query_params:
            return PlainTextResponse("refused", 403)
        return response


@pytest.mark.parametrize("middleware", [[Pure], [Base], [Pure, Base], [Base, Pure], [GZipMiddleware, Base, Base]])
async def test_middleware_sees_and_changes_requests_and_answers(middleware: list[Any]) -> None:
    def declare(target: FastAPI) -> None:
        crud(target)
        for one in middleware:
            target.add_middleware(one)

    async with twins(declare) as both:
        await ask_all(both)
        await both.get("/old/5")
        await both.get("/items/5?refuse=1")


async def test_middleware_of_the_http_kind_wraps_the_endpoint() -> None:
    def declare(target: FastAPI) -> None:
        crud(target)

        @target.middleware("http")
        async def timed(request: Request, call_next: RequestResponseEndpoint) -> Response:
            if request.url.path == "/items/9":
                return JSONResponse({"short": "cut"})
            response = await call_next(request)
            response.headers["x-timed"] = request.method
            return response

    async with twins(declare) as both:
        await ask_all(both)
        await both.get("/items/9")


async def test_a_context_variable_that_middleware_sets_is_seen_by_sync_and_async_handlers() -> None:
    def declare(target: FastAPI) -> None:
        crud(target)
        target.add_middleware(Pure)

    async with twins(declare) as both:
        assert b'"seen":"pure"' in (await both.get("/items/1")).body
        assert b'"seen":"pure"' in (await both.post("/items/7", b'{"name": "x"}', method="PUT")).body
        both.held()


async def test_what_a_handler_sets_in_its_context_ends_with_the_request() -> None:
    def declare(target: FastAPI) -> None:
        @target.get("/set")
        async def sets() -> str:
            before = seen.get()
            seen.set("by a handler")
            return before

        class Looks(Pure):
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                async def looking(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        message = {**message, "headers": [*message["headers"], (b"x-seen", seen.get().encode())]}
                    await send(message)

                token = seen.set("before")
                await self.app(scope, receive, looking)
                seen.reset(token)

        target.add_middleware(Looks)

    async with twins(declare) as both:
        for _ in range(2):
            got = await both.get("/set")
            assert (got.body, got.said[b"x-seen"]) == (b'"before"', b"by a handler")
        both.held()


@pytest.mark.parametrize("kind", [OddError, HTTPException, StarletteHTTPException, RequestValidationError, Exception])
async def test_an_error_handler_of_the_app_answers(kind: type[Exception]) -> None:
    def declare(target: FastAPI) -> None:
        crud(target)

        @target.exception_handler(kind)
        async def handle(request: Request, error: Exception) -> JSONResponse:
            said = [getattr(error, name, None) for name in ("status_code", "detail", "headers", "body")]
            errors = [str(one["loc"]) for one in error.errors()] if isinstance(error, RequestValidationError) else []
            about_request = [request.url.path, request.method, {**request.path_params}, request.scope["path"]]
            return JSONResponse([type(error).__name__, *map(repr, said), errors, about_request], 599, {"x-by": "app"})

    async with twins(declare) as both:
        await ask_all(both)


@pytest.mark.parametrize("status", [404, 405, 500, 418])
async def test_a_handler_of_a_status_answers(status: int) -> None:
    def declare(target: FastAPI) -> None:
        crud(target)

        @target.exception_handler(status)
        def handle(request: Request, error: Exception) -> PlainTextResponse:
            return PlainTextResponse(f"{status} {type(error).__name__} {request.url}", status)

    async with twins(declare) as both:
        await ask_all(both)
        await both.same(Sent("DELETE", b"/items/1"))


async def test_an_error_handler_can_read_the_body_again() -> None:
    def declare(target: FastAPI) -> None:
        @target.post("/items")
        async def create(item: Item) -> Item:
            raise OddError(item.name)

        for kind in (OddError, RequestValidationError):

            @target.exception_handler(kind)
            async def handle(request: Request, error: Exception) -> PlainTextResponse:
                return PlainTextResponse(f"{error!r:.20} {await request.body()!r}", 599)

    async with twins(declare) as both:
        for body in (b'{"name": "a"}', b"{", b'{"name": 5}'):
            assert (await both.post("/items", body)).status == 599
        both.held()


async def test_an_error_says_of_which_endpoint_it_is() -> None:
    def declare(target: FastAPI) -> None:
        @target.get("/items/{item_id}", name="other")
        async def read(item_id: int) -> Item:
            return {"name": item_id}  # type: ignore[return-value]

        @target.post("/items")
        async def create(item: Item) -> Item:
            return item

        for kind in (RequestValidationError, ResponseValidationError):

            @target.exception_handler(kind)
            async def handle(request: Request, error: Any) -> PlainTextResponse:
                said = [error.endpoint_path, error.endpoint_function, error.endpoint_file, error.endpoint_line]
                return PlainTextResponse(f"{said} {error.errors()} {error.body} {error}", 599)

    async with twins(declare) as both:
        for path in ("/items/5", "/items/x"):
            assert b"'GET /items/{item_id}', 'read'" in (await both.get(path)).body
        await both.same(Sent("GET", b"/below/items/x", root_path="/below"))
        for body in (b"{", b"{}", b""):
            assert b"'POST /items', 'create'" in (await both.post("/items", body)).body
        both.held()


async def test_an_error_handler_that_fails_is_answered_500() -> None:
    def declare(target: FastAPI) -> None:
        crud(target)

        @target.exception_handler(OddError)
        async def handle(request: Request, error: Exception) -> PlainTextResponse:
            raise RuntimeError

    async with twins(declare) as both:
        assert (await both.get("/items/418")).status == 500


async def test_the_state_of_a_lifespan_reaches_middleware_and_handlers() -> None:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
        yield {"pool": ["made once"]}

    svc = ServiceBuilder("stateful", lifespan=lifespan)
    found: list[Any] = []

    @svc.middleware("http")
    async def look(request: Request, call_next: RequestResponseEndpoint) -> Response:
        found.append(request.state.pool)
        request.state.own = request.url.path
        return await call_next(request)

    @svc.get("/plain")
    async def plain() -> str:
        return "plain"

    @svc.get("/asking")
    async def asking(request: Request) -> list[Any]:
        return [request.state.pool, request.state.own]

    async with running(svc) as env:
        client = env.client(svc)
        assert (await client.get("/plain")).json() == "plain"
        assert (await client.get("/asking")).json() == [["made once"], "/asking"]
        assert found[0] is found[1]


async def test_an_override_of_a_dependency_holds_from_when_it_is_set_until_it_is_taken_away() -> None:
    class Store:
        kind = "real"

    class Fake:
        kind = "fake"

    def declare(target: FastAPI) -> None:
        crud(target)

        @target.get("/kind")
        async def kind(store: Annotated[Any, Depends(Store)]) -> str:
            return str(store.kind)

    async with twins(declare) as both:
        assert (await both.get("/kind")).body == b'"real"'
        for app in (both.service.app, both.theirs):
            app.dependency_overrides[Store] = Fake
        assert (await both.get("/kind")).body == b'"fake"'
        both.held(compiled=False)
        await both.get("/items/1")
        for app in (both.service.app, both.theirs):
            app.dependency_overrides.clear()
        assert (await both.get("/kind")).body == b'"real"'


class Store:
    """Injected."""

    kind = "real"


async def test_what_is_injected_and_what_stands_in_for_it_reaches_a_compiled_endpoint() -> None:
    svc = ServiceBuilder("injecting")

    class Fake(Store):
        kind = "fake"

    @svc.get("/kind/{number}")
    async def kind(number: int, store: Store = inject(Store)) -> str:
        return f"{number} {store.kind}"

    @svc.get("/other")
    def other(store: Annotated[Store, inject(Store)]) -> str:
        return store.kind

    async with running(svc) as env:
        client = env.client(svc)
        assert [(await client.get(path)).json() for path in ("/kind/5", "/other")] == ["5 real", "real"]
        with env.override(Store, Fake()):
            assert [(await client.get(path)).json() for path in ("/kind/5", "/other")] == ["5 fake", "fake"]
        assert (await client.get("/kind/x")).status_code == 422


async def test_a_sync_handler_runs_in_a_thread_and_an_async_one_does_not() -> None:
    def declare(target: FastAPI) -> None:
        @target.get("/sync")
        def in_thread() -> bool:
            return threading.get_ident() == here

        @target.get("/async")
        async def in_loop() -> bool:
            return threading.get_ident() == here

    here = threading.get_ident()
    async with twins(declare) as both:
        assert (await both.get("/sync")).body == b"false"
        assert (await both.get("/async")).body == b"true"
        both.held()


def spans(told: Recorded) -> list[Any]:
    """Return what is told of requests beside what Evox tells, in any order."""
    facts = []
    for one in (one for one in told.all if one not in told.ours()):
        known = {name: value for name, value in about(one).items() if not name.startswith(("evox.", "code."))}
        facts.append((one.name, told.above(one), known, one.status.status_code))
    return sorted(facts, key=repr)


async def test_requests_have_the_spans_that_fastapi_gives_them() -> None:
    async with twins(crud) as both:
        json = ((b"content-type", b"application/json"),)
        changing = [Sent("POST", b"/items", json, (b'{"name": "a"}',)), Sent("PUT", b"/items/7", json, (b"{",))]
        for sent in (*(Sent("GET", path.encode()) for path in PATHS), *changing):
            told_of = []
            for app in (both.ours, both.theirs):
                with recording() as told:
                    await call(app, sent)
                    told_of.append(spans(told))
            assert told_of[0] == told_of[1]
            assert told_of[0]


async def test_each_request_is_counted_once_with_the_status_of_its_answer() -> None:
    def declare(target: FastAPI) -> None:
        crud(target)
        target.add_middleware(Pure)

    async with twins(declare) as both:
        await ask_all(both)
        text = (await call(both.ours, Sent("GET", b"/_evox/metrics"))).body.decode()
    counted = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("evox_call_duration_seconds_count{"):
            labels = dict(one.split("=", 1) for one in name[name.index("{") + 1 : -1].split(","))
            counted[labels["endpoint"].strip('"'), labels["status"].strip('"')] = float(value)
    wanted = {
        ("read", "200"): 2,
        ("read", "422"): 2,
        ("read", "404"): 1,
        ("read", "500"): 2,
        ("create", "201"): 1,
        ("create", "422"): 3,
        ("replace", "200"): 1,
        ("replace", "422"): 3,
    }
    assert counted == wanted
