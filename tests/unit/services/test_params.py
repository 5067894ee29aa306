"""Parameters are FastAPI's own, in both syntaxes: what fills them, and what a caller is told that does not fit."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import anyio
import httpx2
import pytest
from fastapi import BackgroundTasks, FastAPI, Security, UploadFile
from fastapi.security import SecurityScopes
from httpx2 import ASGITransport
from pydantic import BaseModel

from evox import (
    GET,
    POST,
    PUT,
    Body,
    Controller,
    Cookie,
    Depends,
    File,
    Form,
    Header,
    Method,
    Param,
    Query,
    Request,
    Service,
    ServiceBuilder,
)
from evox.services.controllers import Verb
from evox.testing import running


class Item(BaseModel):
    name: str
    price: float = 1.0


closed: list[str] = []


async def user(x_user: Annotated[str, Header()] = "nobody") -> AsyncIterator[str]:
    yield x_user
    closed.append(x_user)


async def scopes(security_scopes: SecurityScopes) -> list[str]:
    return security_scopes.scopes


SCOPES = Security(scopes, scopes=["read", "write"])


def by_functions() -> Service:
    svc = ServiceBuilder("params")

    @svc.get("/path/{item_id}")
    async def path(item_id: int = Param(ge=1, title="Item")) -> Any:
        return item_id

    @svc.get("/query")
    async def query(q: str = Query(min_length=2), page: int = Query(1), tags: list[str] = Query([])) -> Any:
        return [q, page, tags]

    @svc.put("/body")
    async def body(item: Item = Body()) -> Any:
        return item

    @svc.put("/maybe")
    async def maybe(item: Item | None = Body(None)) -> Any:
        return item

    @svc.get("/headers")
    async def headers(x_token: str = Header(), session: str = Cookie()) -> Any:
        return [x_token, session]

    @svc.post("/form")
    async def form(name: str = Form(), upload: UploadFile = File()) -> Any:
        return [name, upload.filename, (await upload.read()).decode()]

    @svc.get("/plain")
    def plain(request: Request, q: Annotated[str, Query(alias="the-q")], who: Annotated[str, Depends(user)]) -> Any:
        return [request.url.path, q, who]

    @svc.get("/default")
    async def default(who: str = Depends(user), allowed: Any = SCOPES) -> Any:
        return [who, allowed]

    @svc.endpoint("/method", methods=["get", "PUT"])
    async def method(method: Method) -> Any:
        return method

    return svc


def by_class() -> Service:
    @Controller()
    class Params:
        @GET("/path/{item_id}")
        async def path(self, item_id: int = Param(ge=1, title="Item")) -> Any:
            return item_id

        @GET("/query")
        async def query(self, q: str = Query(min_length=2), page: int = Query(1), tags: list[str] = Query([])) -> Any:
            return [q, page, tags]

        @PUT("/body")
        async def body(self, item: Item = Body()) -> Any:
            return item

        @PUT("/maybe")
        async def maybe(self, item: Item | None = Body(None)) -> Any:
            return item

        @GET("/headers")
        async def headers(self, x_token: str = Header(), session: str = Cookie()) -> Any:
            return [x_token, session]

        @POST("/form")
        async def form(self, name: str = Form(), upload: UploadFile = File()) -> Any:
            return [name, upload.filename, (await upload.read()).decode()]

        @GET("/plain")
        def plain(
            self, request: Request, q: Annotated[str, Query(alias="the-q")], who: Annotated[str, Depends(user)]
        ) -> Any:
            return [request.url.path, q, who]

        @GET("/default")
        async def default(self, who: str = Depends(user), allowed: Any = SCOPES) -> Any:
            return [who, allowed]

        @Verb("/method", methods=["get", "PUT"])
        async def method(self, method: Method) -> Any:
            return method

    return ServiceBuilder("params").register_controller(Params)


def by_fastapi() -> FastAPI:
    """Make a plain FastAPI app of the same handlers: what it answers is what we must."""
    app = FastAPI()
    for row in by_functions().endpoints:
        for method in row.methods:
            app.add_api_route(row.path, row.handler, methods=[method])
    return app


both = pytest.mark.parametrize("make", [by_functions, by_class])
GOOD: dict[str, tuple[str, str, dict[str, Any], Any]] = {
    "path": ("GET", "/path/3", {}, 3),
    "query": ("GET", "/query?q=ab&tags=x&tags=y", {}, ["ab", 1, ["x", "y"]]),
    "body": ("PUT", "/body", {"json": {"name": "pen"}}, {"name": "pen", "price": 1.0}),
    "maybe without": ("PUT", "/maybe", {}, None),
    "maybe with": ("PUT", "/maybe", {"json": {"name": "pen"}}, {"name": "pen", "price": 1.0}),
    "headers": ("GET", "/headers", {"headers": {"x-token": "t", "cookie": "session=s"}}, ["t", "s"]),
    "form": ("POST", "/form", {"data": {"name": "n"}, "files": {"upload": ("f.txt", b"abc")}}, ["n", "f.txt", "abc"]),
    "plain": ("GET", "/plain?the-q=1", {"headers": {"x-user": "ada"}}, ["/plain", "1", "ada"]),
    "default": ("GET", "/default", {}, ["nobody", ["read", "write"]]),
    "method get": ("GET", "/method", {}, "GET"),
    "method put": ("PUT", "/method", {}, "PUT"),
}
BAD: dict[str, tuple[str, str, dict[str, Any]]] = {
    "path type": ("GET", "/path/x", {}),
    "path bound": ("GET", "/path/0", {}),
    "query missing": ("GET", "/query", {}),
    "query short": ("GET", "/query?q=a&page=x", {}),
    "body missing": ("PUT", "/body", {}),
    "body not json": ("PUT", "/body", {"content": b"{", "headers": {"content-type": "application/json"}}),
    "body type": ("PUT", "/body", {"json": {"price": "dear"}}),
    "headers missing": ("GET", "/headers", {}),
    "form missing": ("POST", "/form", {"data": {"name": "n"}}),
    "plain missing": ("GET", "/plain", {}),
    "method not allowed": ("DELETE", "/body", {}),
    "not found": ("GET", "/nothing", {}),
}


@both
@pytest.mark.parametrize("case", GOOD)
async def test_a_value_that_fits_reaches_the_handler(make: Callable[[], Service], case: str) -> None:
    method, path, sent, expected = GOOD[case]
    async with running(make()) as env:
        reply = await env.client("params").request(method, path, **sent)
    assert (reply.status_code, reply.json()) == (200, expected)


@both
@pytest.mark.parametrize("case", BAD)
async def test_a_value_that_does_not_fit_is_answered_as_fastapi_answers_it(
    make: Callable[[], Service], case: str
) -> None:
    method, path, sent = BAD[case]
    async with running(make()) as env:
        reply = await env.client("params").request(method, path, **sent)
    async with httpx2.AsyncClient(transport=ASGITransport(by_fastapi()), base_url="http://params") as plain:
        expected = await plain.request(method, path, **sent)
    assert reply.status_code in (404, 405, 422)
    assert (reply.status_code, reply.json()) == (expected.status_code, expected.json())
    assert reply.headers.get("allow") == expected.headers.get("allow")


@both
def test_parameters_are_documented_as_fastapi_documents_them(make: Callable[[], Service]) -> None:
    assert make().app.openapi()["paths"] == by_fastapi().openapi()["paths"]


@both
async def test_a_dependency_with_yield_is_closed_after_the_answer(make: Callable[[], Service]) -> None:
    closed.clear()
    async with running(make()) as env:
        await env.client("params").get("/default", headers={"x-user": "ada"})
    assert closed == ["ada"]


@pytest.mark.parametrize("syntax", ["function", "class"])
async def test_background_tasks_run_after_the_answer(syntax: str) -> None:
    done = anyio.Event()
    svc = ServiceBuilder("later")

    async def finish() -> None:
        done.set()

    async def later(tasks: BackgroundTasks) -> str:
        tasks.add_task(finish)
        return "accepted"

    class Later:
        @POST("/later", status_code=202)
        async def later(self, tasks: BackgroundTasks) -> str:
            return await later(tasks)

    if syntax == "function":
        svc.post("/later", status_code=202)(later)
    else:
        svc.register_controller(Controller()(Later))
    async with running(svc) as env:
        assert (await env.client(svc).post("/later")).status_code == 202
        with anyio.fail_after(5):
            await done.wait()
