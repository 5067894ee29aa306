"""Compiled endpoints: answers that Evox gives a meaning of its own, and what a declaration says of them."""

from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from tests.integration.compiled_crud import Item
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
