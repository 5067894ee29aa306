"""One meaning: particular calls that come to the same in one process and over a socket (X2)."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal

import pytest
from fastapi import Body, Cookie, File, Form, Header, HTTPException, Path, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import AliasChoices, BaseModel, Field

from evox import Service, ServiceBuilder
from evox.core import proxy
from evox.errors import (
    CallFailed,
    CallInvalid,
    CallNotFound,
    CallRefused,
    CallUnavailable,
    InvalidCall,
    UnusableAnswer,
)
from evox.testing import running

Check = Callable[[], Awaitable[None]]


async def both(svc: Service, check: Check, settings: dict[str, Any] | None = None) -> None:
    """Run a check where the service is in the same process, and where it is behind a socket."""
    caller, asked = ServiceBuilder("caller"), settings or {}
    async with running(caller, svc, settings=asked):
        await check()
    async with running(svc, sockets=True, settings=asked) as there:
        peers = {"peers": {svc.name: there.url(svc)}}
        async with running(caller, declared=[svc], settings=asked | peers):
            await check()


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
        for which in ("feed", "name"):
            with pytest.raises(CallFailed) as caught:
                await proxy.store.answer(which)
            assert (caught.value.code, caught.value.detail) == (500, "Internal Server Error"), which
        with pytest.raises(CallFailed) as caught:
            await proxy.store.raised()
        assert (caught.value.code, caught.value.detail) == (500, "Internal Server Error")
        for which in ("short", "long", "early"):
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


async def test_X2_a_call_may_be_as_long_as_the_settings_say(svc: ServiceBuilder) -> None:
    @svc.post("/text")
    async def text(text: Annotated[str, Body()]) -> int:
        return len(text)

    @svc.get("/query/{part}")
    async def query(part: str, text: str = "", head: Annotated[str, Header()] = "") -> int:
        return len(part + text + head)

    async def check() -> None:
        assert await proxy.store.text("x" * 1998) == 1998
        with pytest.raises(CallRefused, match="the body is more than 2000 bytes") as caught:
            await proxy.store.text("x" * 1999)
        assert (caught.value.code, caught.value.detail) == (413, "the body is more than 2000 bytes")
        assert await proxy.store.query("a", "x" * 3000) == 3001
        for given in ({"part": "x" * 5000}, {"part": "a", "text": "x" * 5000}, {"part": "a", "head": "x" * 5000}):
            with pytest.raises(CallRefused) as refused:
                await proxy.store.query(**given)
            assert (refused.value.code, refused.value.detail) == (431, "a head of more than 4500 bytes")

    await both(svc, check, {"serving": {"body_bytes": 2000, "header_bytes": 4500}})


async def test_X2_what_no_url_can_hold_is_refused(svc: ServiceBuilder) -> None:
    @svc.get("/query")
    async def query(text: str) -> int:
        return len(text)

    async def check() -> None:
        with pytest.raises(InvalidCall, match="too long"):
            await proxy.store.query("x" * 70_000)

    await both(svc, check, {"serving": {"header_bytes": 200_000}})


async def test_X2_numbers_of_more_digits_than_python_reads(svc: ServiceBuilder) -> None:
    @svc.get("/query")
    async def query(number: int) -> int:
        return number

    @svc.post("/body")
    async def body(numbers: dict[str, Any]) -> int:
        return len(numbers)

    async def check() -> None:
        assert await proxy.store.query(10**4000) == 10**4000
        with pytest.raises(InvalidCall, match="digits"):
            await proxy.store.query(10**5000)
        with pytest.raises(CallInvalid) as caught:
            await proxy.store.body({"a": 10**5000})
        assert (caught.value.code, caught.value.detail) == (400, "There was an error parsing the body")

    await both(svc, check)


async def test_X2_an_empty_body_is_refused_where_it_would_be_none_at_all(svc: ServiceBuilder) -> None:
    @svc.post("/bytes")
    async def raw(data: Annotated[bytes, Body()] = b"default") -> str:
        return data.decode()

    async def check() -> None:
        assert await proxy.store.raw(b"abc") == "abc"
        assert await proxy.store.raw() == "default"
        with pytest.raises(InvalidCall, match="empty"):
            await proxy.store.raw(b"")

    await both(svc, check)


async def test_X2_values_that_run_into_each_other_in_a_path_are_refused(svc: ServiceBuilder) -> None:
    @svc.get("/a/{one:path}/{two:path}")
    async def two(one: str, two: str) -> list[str]:
        return [one, two]

    @svc.get("/b/{one:path}/end")
    async def one(one: str) -> str:
        return one

    async def check() -> None:
        assert await proxy.store.two("a/b", "c") == ["a/b", "c"]
        assert await proxy.store.one("a/end/end") == "a/end/end"
        with pytest.raises(InvalidCall, match="told apart"):
            await proxy.store.two("a", "b/c")
        for text in ("end\n", "line\nfeed"):
            with pytest.raises(InvalidCall, match="told apart"):
                await proxy.store.two(text, "b")
            assert await proxy.store.one(text.strip()) == text.strip() if "\n" not in text.strip() else True

    await both(svc, check)


async def test_X2_whatever_may_be_a_list_is_sent_one_by_one(svc: ServiceBuilder) -> None:
    @svc.get("/sequence")
    async def sequence(numbers: Annotated[Sequence[int], Query()]) -> list[int]:
        return list(numbers)

    @svc.get("/either")
    async def either(values: Annotated[list[int] | list[str], Query()]) -> list[Any]:
        return values

    @svc.get("/annotated")
    async def annotated(
        numbers: Annotated[list[Annotated[int, Field(gt=1)]] | None, Header()] = None,
    ) -> list[int] | None:
        return numbers

    async def check() -> None:
        assert await proxy.store.sequence([1, 2]) == [1, 2]
        assert await proxy.store.sequence(deque([1, 2])) == [1, 2]
        assert await proxy.store.sequence(5) == [5]
        assert await proxy.store.either(["a", "b"]) == ["a", "b"]
        assert await proxy.store.annotated([2, 3]) == [2, 3]
        with pytest.raises(CallInvalid) as caught:
            await proxy.store.annotated([2, 0])
        assert caught.value.detail[0]["loc"] == ["header", "numbers", 1]

    await both(svc, check)


class Filter(BaseModel):
    limit: int | None = 10
    tags: list[str] = ["a"]
    since: int | None = None


async def test_X2_what_fields_sent_one_by_one_cannot_say_is_refused(svc: ServiceBuilder) -> None:
    @svc.get("/query")
    async def query(fields: Annotated[Filter, Query()]) -> Filter:
        return fields

    async def check() -> None:
        for good in (Filter(), Filter(limit=5), Filter(since=None), Filter(tags=["x", "y"], since=2)):
            assert await proxy.store.query(good) == good
        for bad in (Filter(limit=None), Filter(tags=[])):
            with pytest.raises(InvalidCall, match="cannot say"):
                await proxy.store.query(bad)

    await both(svc, check)


class Heads(BaseModel):
    x_token: str = "none"
    aliased: str = Field(default="none", alias="x_odd")


async def test_X2_names_of_headers_and_cookies_are_those_that_fastapi_reads(svc: ServiceBuilder) -> None:
    @svc.get("/heads")
    async def heads(fields: Annotated[Heads, Header()]) -> list[str]:
        return [fields.x_token, fields.aliased]

    @svc.get("/kept")
    async def kept(fields: Annotated[Heads, Header(convert_underscores=False)]) -> str:
        return fields.x_token

    @svc.get("/cookies")
    async def cookies(fields: Annotated[Heads, Cookie()], other: Annotated[str, Query(alias="a b")]) -> list[str]:
        return [fields.x_token, fields.aliased, other]

    @svc.get("/choices")
    async def choices(text: Annotated[str, Query(validation_alias=AliasChoices("first", "second"))]) -> str:
        return text

    async def check() -> None:
        given = Heads(x_token="t", x_odd="o")
        assert await proxy.store.heads(given) == ["t", "o"]
        assert await proxy.store.kept(given) == "t"
        assert await proxy.store.cookies(given, "é&=") == ["t", "o", "é&="]
        assert await proxy.store.choices("c") == "c"

    await both(svc, check)


async def test_X2_what_every_request_brings_along_is_there(svc: ServiceBuilder) -> None:
    @svc.get("/plain")
    async def plain(
        user_agent: Annotated[str | None, Header()] = None, accept: Annotated[str | None, Header()] = None
    ) -> list[str | None]:
        return [user_agent, accept]

    @svc.get("/asking")
    async def asking(request: Request) -> list[str | None]:
        return [request.headers.get("user-agent"), request.headers.get("accept")]

    @svc.get("/where")
    async def where(request: Request) -> list[str | None]:
        assert request.client is not None
        return [request.client.host, request.url.scheme, request.url.path, str(request.base_url)[:7]]

    @svc.get("/host")
    async def host(host: Annotated[str, Header()] = "") -> bool:
        return bool(host)

    async def check() -> None:
        assert await proxy.store.where() == ["127.0.0.1", "http", "/where", "http://"]
        assert await proxy.store.host() is True
        said = ["evox", "application/json, */*;q=0.5"]
        assert await proxy.store.plain() == said
        assert await proxy.store.asking() == said
        assert await proxy.store.plain(user_agent="mine") == ["mine", said[1]]

    await both(svc, check)


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


class Odd(BaseModel):
    number: int = Field(default=0, validation_alias="read", serialization_alias="written")
    either: int = Field(default=0, validation_alias=AliasChoices("first", "second"), serialization_alias="second")


async def test_X2_a_field_that_is_not_read_as_it_is_written_is_refused(svc: ServiceBuilder) -> None:
    @svc.post("/odd")
    async def odd(odd: Odd) -> list[int]:
        return [odd.number, odd.either]

    @svc.get("/given")
    async def given() -> dict[str, list[Odd]]:
        return {"ours": [Odd(read=5)]}

    async def check() -> None:
        with pytest.raises(InvalidCall, match="'odd' has a field number"):
            await proxy.store.odd(Odd(read=5))
        assert await proxy.store.odd(Odd()) == [0, 0]
        assert await proxy.store.odd(Odd(first=3)) == [0, 3]
        assert await proxy.store.odd({"read": 5}) == [5, 0]
        assert await proxy.store.given() == {"ours": [{"written": 5, "second": 0}]}

    await both(svc, check)


async def test_X2_what_is_no_file_is_refused(svc: ServiceBuilder) -> None:
    @svc.post("/file")
    async def file(file: Annotated[bytes, File()], name: Annotated[str, Form()] = "none") -> list[str]:
        return [file.decode(), name]

    async def check() -> None:
        assert await proxy.store.file(b"abc", "é &") == ["abc", "é &"]
        with pytest.raises(InvalidCall, match="'file' is no file"):
            await proxy.store.file(5)

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


async def test_X2_a_path_convertor_takes_its_own_values_alone(svc: ServiceBuilder) -> None:
    @svc.get("/n/{number:int}")
    async def number(number: Annotated[int, Path()]) -> int:
        return number

    async def check() -> None:
        assert await proxy.store.number(5) == 5
        with pytest.raises(CallNotFound):
            await proxy.store.number(-5)

    await both(svc, check)
