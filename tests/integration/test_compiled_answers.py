"""Compiled endpoints: answers of Evox's own, what a declaration says of them, and who hears of what goes wrong."""

from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.integration.compiled_crud import Item, OddError, ask_all, crud
from tests.twins import twins

from evox import ServiceBuilder
from evox.testing import running


async def test_pairs_of_a_body_and_a_status_become_that_answer() -> None:
    svc = ServiceBuilder("pairs")

    @svc.get("/pair/{status}")
    async def pair(status: int) -> Item | tuple[Any, int] | tuple[Any, int, dict[str, str]]:
        if status < 400:
            return Item(name="é"), status, {"x-a": "b"}
        return {"error": "é"}, status

    async with running(svc) as env:
        client = env.client(svc)
        for status in (200, 201, 404, 409, 204):
            got = await client.get(f"/pair/{status}")
            body = {200: b'{"name":"\xc3\xa9","price":1.0}', 404: b'{"error":"\xc3\xa9"}', 204: b""}
            assert got.status_code == status
            assert got.content == body[204 if status == 204 else 200 if status < 400 else 404]
            assert ("x-a" in got.headers) is (status < 400)


async def test_parameters_stand_in_the_order_in_which_they_are_written() -> None:
    def declare(target: FastAPI) -> None:
        @target.get("/order")
        async def order(*, a: int = 1, b: int, c: int = 2, d: int) -> None: ...

    async with twins(declare) as both:
        got = await both.get("/order?a=x&c=x")
        assert [got.body.index(name) for name in (b'"a"', b'"b"', b'"c"', b'"d"')] == sorted(
            got.body.index(name) for name in (b'"a"', b'"b"', b'"c"', b'"d"')
        )
        described = both.service.app.openapi()
        assert described == both.theirs.openapi()
        assert [one["name"] for one in described["paths"]["/order"]["get"]["parameters"]] == [*"abcd"]
        both.held()


async def test_that_there_is_no_response_model_is_said_by_none() -> None:
    def declare(target: FastAPI) -> None:
        @target.get("/odd", response_model=None)
        async def odd() -> int:
            return "five"  # type: ignore[return-value]

        @target.get("/either", response_model=None)
        async def either(plain: bool = False) -> Response | dict[str, int]:
            return PlainTextResponse("plain") if plain else {"a": 1}

    async with twins(declare) as both:
        assert (await both.get("/odd")).body == b'"five"'
        assert (await both.get("/either")).body == b'{"a":1}'
        assert (await both.get("/either?plain=1")).body == b"plain"
        assert both.service.app.openapi() == both.theirs.openapi()


class Catches:
    """Middleware that answers what nobody else has."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except (OddError, RuntimeError) as error:
            await PlainTextResponse(f"caught {error!r}", 597)(scope, receive, send)


async def test_middleware_can_catch_what_an_endpoint_raises() -> None:
    def declare(target: FastAPI) -> None:
        crud(target)
        target.add_middleware(Catches)

    async with twins(declare) as both:
        await ask_all(both)
        assert (await both.get("/items/500")).body == b"caught RuntimeError('broken')"


async def test_an_error_handler_that_comes_too_late_for_fastapi_is_not_asked() -> None:
    async with twins(crud) as both:
        await ask_all(both)
        for app in (both.service.app, both.theirs):
            app.add_exception_handler(OddError, lambda request, error: PlainTextResponse("late", 418))
        assert (await both.get("/items/418")).status == 500
        both.held()
