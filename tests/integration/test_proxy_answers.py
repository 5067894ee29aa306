"""Answers of calls that come to the same in one process and over a socket (X2)."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import pytest
from fastapi import HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, Field
from tests.integration.two_ways import both

from evox import ServiceBuilder
from evox.core import proxy
from evox.errors import (
    CallFailed,
    CallInvalid,
    CallNotFound,
    CallRefused,
    CallUnavailable,
    UnusableAnswer,
)


@pytest.fixture
def svc() -> ServiceBuilder:
    return ServiceBuilder("store")


async def test_X2_an_operation_that_says_204_gives_none(svc: ServiceBuilder) -> None:
    @svc.delete("/one/{number}", status_code=204)
    async def remove(number: int) -> None:
        assert number

    @svc.delete("/other", status_code=204)
    async def other():  # type: ignore[no-untyped-def]  # noqa: ANN202  what it says would be a body
        return {"ignored": True}

    async def check() -> None:
        assert await proxy.store.remove(1) is None
        assert await proxy.store.other() is None

    await both(svc, check)


async def test_X2_an_answer_that_breaks_off_is_no_answer(svc: ServiceBuilder) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"begun"
        raise RuntimeError

    @svc.post("/broken")
    async def broken() -> Any:
        return StreamingResponse(parts())

    @svc.post("/lost")
    async def lost() -> Any:
        return FileResponse("/no/such/file")

    async def check() -> None:
        with pytest.raises(CallUnavailable) as caught:
            await proxy.store.broken()
        assert (caught.value.code, caught.value.may_have_run) == (None, True)
        with pytest.raises(CallFailed) as failed:
            await proxy.store.lost()
        assert failed.value.code == 500

    await both(svc, check)


async def test_X2_a_compressed_answer_cannot_be_used(svc: ServiceBuilder) -> None:
    @svc.get("/zipped")
    async def zipped() -> Any:
        return Response(b"...", headers={"content-encoding": "gzip"})

    @svc.get("/zipped-error")
    async def zipped_error() -> Any:
        return Response(b"...", 409, headers={"content-encoding": "br"})

    async def check() -> None:
        for call in (proxy.store.zipped, proxy.store.zipped_error):
            with pytest.raises(UnusableAnswer, match="compressed"):
                await call()
            with pytest.raises(UnusableAnswer, match="compressed"):
                await anext(call().stream())

    await both(svc, check)


async def test_X2_what_a_server_cannot_send_does_not_come(svc: ServiceBuilder) -> None:
    answers: dict[str, Callable[[], Any]] = {
        "feed": lambda: ("x", 200, {"x-a": "line\nfeed"}),
        "space": lambda: ("x", 200, {"x-a": " space"}),
        "name": lambda: Response(b"x", headers={"x a": "b"}),
        "short": lambda: Response(b"abc", headers={"content-length": "10"}),
        "long": lambda: Response(b"abc", headers={"content-length": "1"}),
        "early": lambda: ("x", 103),
        "none": lambda: Response(b"abc", 204),
    }

    @svc.post("/answer")
    async def answer(which: str) -> Any:
        return answers[which]()

    @svc.post("/raised")
    async def raised() -> None:
        raise HTTPException(409, "x", {"x-a": "line\r\nfeed"})

    async def check() -> None:
        assert await proxy.store.answer("space") == "x"
        for which in ("feed", "name", "early"):
            with pytest.raises(CallFailed) as caught:
                await proxy.store.answer(which)
            assert (caught.value.code, caught.value.detail) == (500, "Internal Server Error"), which
        with pytest.raises(CallFailed) as caught:
            await proxy.store.raised()
        assert (caught.value.code, caught.value.detail) == (500, "Internal Server Error")
        for which in ("short", "long"):
            with pytest.raises(CallUnavailable) as missing:
                await proxy.store.answer(which)
            assert (missing.value.code, missing.value.may_have_run) == (None, True), which
            assert await proxy.store.answer("none") is None

    await both(svc, check)


async def test_X2_an_answer_may_be_as_long_as_the_settings_say(svc: ServiceBuilder) -> None:
    @svc.get("/text")
    async def text(length: int) -> str:
        return "x" * length

    @svc.get("/bare")
    async def bare(length: int) -> Any:
        return Response(b"x" * length)

    async def check() -> None:
        assert await proxy.store.text(998) == "x" * 998
        assert await proxy.store.bare(1000) == b"x" * 1000
        for call in (proxy.store.text, proxy.store.bare):
            with pytest.raises(UnusableAnswer, match="longer than 1000 bytes") as caught:
                await call(1001)
            assert (caught.value.code, caught.value.attempts) == (None, 1)

    await both(svc, check, {"proxy": {"answer_bytes": 1000}})


async def test_X2_a_handler_of_errors_sees_the_request(svc: ServiceBuilder) -> None:
    class Odd(Exception):
        pass

    @svc.exception_handler(Odd)
    async def handle(request: Request, error: Exception) -> Any:
        body = (await request.body()).decode()
        return JSONResponse({"detail": [request.method, request.url.path, dict(request.path_params), body]}, 409)

    @svc.post("/odd/{number}")
    async def odd(number: int, data: dict[str, int]) -> None:
        raise Odd

    async def check() -> None:
        with pytest.raises(CallRefused) as caught:
            await proxy.store.odd(5, {"a": 1})
        assert caught.value.detail == ["POST", "/odd/5", {"number": "5"}, '{"a":1}']

    await both(svc, check)


class Named(BaseModel):
    first: int = Field(alias="theFirst")
    second: int | None = Field(default=None, alias="theSecond")


async def test_X2_a_response_model_may_be_written_by_name_or_leave_things_out(svc: ServiceBuilder) -> None:
    @svc.get("/names", response_model_by_alias=False)
    async def names() -> Named:
        return Named(theFirst=1)

    @svc.get("/none", response_model_exclude_none=True)
    async def none() -> list[Named]:
        return [Named(theFirst=1)]

    @svc.get("/part", response_model_include={"second"})
    async def part() -> Named:
        return Named(theFirst=1)

    async def check() -> None:
        assert await proxy.store.names() == Named(theFirst=1, theSecond=None)
        assert await proxy.store.none() == [Named(theFirst=1)]
        assert await proxy.store.part() == {"theSecond": None}

    await both(svc, check)


async def test_X2_a_status_alone_decides_which_error_it_is(svc: ServiceBuilder) -> None:
    @svc.post("/status/{code}")
    async def status(code: int, how: Literal["raised", "returned"]) -> Any:
        if how == "raised":
            raise HTTPException(code, {"code": code})
        return {"detail": {"code": code}}, code

    kinds = {
        400: CallInvalid,
        404: CallNotFound,
        410: CallNotFound,
        409: CallRefused,
        500: CallFailed,
        503: CallUnavailable,
    }

    async def check() -> None:
        for code, kind in kinds.items():
            for how in ("raised", "returned"):
                with pytest.raises(kind) as caught:
                    await proxy.store.status(code, how)
                assert (type(caught.value), caught.value.code, caught.value.detail) == (kind, code, {"code": code})

    await both(svc, check)
