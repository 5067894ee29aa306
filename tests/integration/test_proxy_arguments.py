"""Arguments of calls that come to the same in one process and over a socket (X2)."""

from collections import deque
from collections.abc import Sequence
from typing import Annotated, Any

import pytest
from fastapi import Body, Cookie, File, Form, Header, Path, Query, Request
from pydantic import AliasChoices, BaseModel, Field
from tests.integration.two_ways import both

from evox import ServiceBuilder
from evox.core import proxy
from evox.errors import (
    CallInvalid,
    CallNotFound,
    CallRefused,
    InvalidCall,
)


@pytest.fixture
def svc() -> ServiceBuilder:
    return ServiceBuilder("store")


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


async def test_X2_a_path_convertor_takes_its_own_values_alone(svc: ServiceBuilder) -> None:
    @svc.get("/n/{number:int}")
    async def number(number: Annotated[int, Path()]) -> int:
        return number

    async def check() -> None:
        assert await proxy.store.number(5) == 5
        with pytest.raises(CallNotFound):
            await proxy.store.number(-5)

    await both(svc, check)
