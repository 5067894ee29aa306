"""What a handler returns and what its client gets: a body, a status and perhaps headers become that response."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal, NamedTuple
from uuid import uuid4

import anyio
import httpx2
import pytest
from fastapi import BackgroundTasks
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

from evox import Response, ServiceBuilder
from evox.testing import running


class Item(BaseModel):
    name: str


class Pair(NamedTuple):
    name: str
    status: int


class Pretty(JSONResponse):
    media_type = "application/vnd.pretty+json"


NOT_RESULTS = [
    ("body", True),
    ("body", 99),
    ("body", 600),
    ("body", "200"),
    ("body", 200.0),
    ("body",),
    ("body", 200, "headers"),
    ("body", 200, {}, "more"),
]


def handler(value: Any, returns: Any = Any) -> Callable[[], Any]:
    """Make a handler, with a name of its own, that returns a value."""

    async def handle() -> Any:
        return value

    handle.__name__ = f"handle_{uuid4().hex}"
    handle.__annotations__ = {"return": returns}
    return handle


async def answer(handle: Callable[..., Any], *, path: str = "/x", **options: Any) -> httpx2.Response:
    """Return what a service with this one endpoint answers."""
    svc = ServiceBuilder("results")
    svc.get("/x", **options)(handle)
    async with running(svc) as env:
        return await env.client(svc).get(path)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """Return what gives the warnings logged so far."""
    with caplog.at_level(logging.WARNING, logger="evox.services"):
        yield lambda: [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


@pytest.mark.parametrize("status", [200, 201, 299, 301, 400, 404, 500, 599, HTTPStatus.CREATED, HTTPStatus.GONE])
async def test_a_tuple_of_body_and_status_becomes_that_response(status: int) -> None:
    reply = await answer(handler(({"a": [1]}, status)))
    assert (reply.status_code, reply.json()) == (int(status), {"a": [1]})


@pytest.mark.parametrize("status", [201, 404])
async def test_a_tuple_may_carry_headers(status: int) -> None:
    reply = await answer(handler(({}, status, {"X-Request": "7", "location": "/x/1"})))
    assert (reply.status_code, reply.headers["x-request"], reply.headers["location"]) == (status, "7", "/x/1")


@pytest.mark.parametrize("status", [201, 404])
async def test_a_content_type_in_the_headers_is_the_only_one(status: int) -> None:
    reply = await answer(handler(({}, status, {"content-type": "application/vnd.item+json"})))
    assert reply.headers.get_list("content-type") == ["application/vnd.item+json"]


@pytest.mark.parametrize("status", [202, 404])
async def test_a_body_that_is_a_response_keeps_its_form(status: int) -> None:
    reply = await answer(handler((PlainTextResponse("text", headers={"x-a": "1"}), status, {"x-b": "2"})))
    assert (reply.status_code, reply.text) == (status, "text")
    assert (reply.headers["x-a"], reply.headers["x-b"]) == ("1", "2")
    assert reply.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_content_has_none(status: int) -> None:
    reply = await answer(handler((None, status)))
    assert (reply.status_code, reply.content) == (status, b"")
    assert reply.headers.get("content-length", "0") == "0"


async def test_an_error_body_may_be_anything_fastapi_can_encode() -> None:
    body = {"item": Item(name="a"), "when": datetime(2030, 1, 1, tzinfo=UTC)}
    reply = await answer(handler((body, 409)))
    assert reply.json() == {"item": {"name": "a"}, "when": "2030-01-01T00:00:00+00:00"}


@pytest.mark.parametrize("value", NOT_RESULTS, ids=repr)
async def test_a_tuple_that_is_no_result_is_sent_as_an_array(value: tuple[Any, ...]) -> None:
    reply = await answer(handler(value))
    assert (reply.status_code, reply.json()) == (200, list(value))


async def test_a_tuple_that_is_no_result_is_warned_of_once(warnings: Callable[[], list[str]]) -> None:
    svc, handle = ServiceBuilder("a"), handler(("body", "200"))
    svc.get("/x")(handle)
    async with running(svc) as env:
        for _ in range(3):
            await env.client(svc).get("/x")
    assert len(warnings()) == 1
    assert handle.__name__ in warnings()[0]


async def test_every_endpoint_is_warned_of_even_when_another_has_its_name(warnings: Callable[[], list[str]]) -> None:
    handle = handler(("body", "200"))
    first, second = ServiceBuilder("first"), ServiceBuilder("second")
    first.get("/x")(handle)
    second.get("/y")(handle)
    async with running(first, second) as env:
        await env.client(first).get("/x")
        await env.client(second).get("/y")
    assert len(warnings()) == 2


async def test_a_named_tuple_is_not_split() -> None:
    assert (await answer(handler(Pair("a", 404)))).json() == ["a", 404]


@pytest.mark.parametrize(
    "returns", [tuple, tuple[str, int], tuple[str, ...], Pair, Annotated[tuple[str, int], "pair"]], ids=str
)
async def test_a_return_annotation_that_is_a_tuple_is_not_split(
    returns: Any, warnings: Callable[[], list[str]]
) -> None:
    value = ("1", "2") if returns == tuple[str, ...] else ("a", 404)
    reply = await answer(handler(value, returns))
    assert (reply.status_code, reply.json()) == (200, list(value))
    assert warnings() == []


@pytest.mark.parametrize(
    "returns",
    [
        Item | tuple[dict[str, str], int],
        Item | tuple[dict[str, str], int, dict[str, str]],
        Item | tuple[dict[str, str], Literal[404]],
        Item | tuple[dict[str, str], HTTPStatus],
    ],
    ids=str,
)
def test_a_union_with_a_status_tuple_documents_the_rest_only(returns: Any) -> None:
    svc = ServiceBuilder("a")
    svc.get("/x")(handler(Item(name="a"), returns))
    content = svc.app.openapi()["paths"]["/x"]["get"]["responses"]["200"]["content"]
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Item"}


@pytest.mark.parametrize("value", [{"name": "a", "secret": 1}, ({"name": "a", "secret": 1}, 201)], ids=repr)
async def test_a_success_is_filtered_by_the_documented_type(value: Any) -> None:
    assert (await answer(handler(value, Item | tuple[dict[str, str], int]))).json() == {"name": "a"}


@pytest.mark.parametrize("value", [{"no": "name"}, ({"no": "name"}, 201), ({"no": "name"}, 399)], ids=repr)
async def test_a_success_that_does_not_fit_the_documented_type_is_a_500(value: Any) -> None:
    assert (await answer(handler(value, Item | tuple[dict[str, str], int]))).status_code == 500


@pytest.mark.parametrize("options", [{}, {"response_model": Item}], ids=repr)
@pytest.mark.parametrize("status", [400, 404, 503])
async def test_an_error_is_sent_without_validation(status: int, options: dict[str, Any]) -> None:
    reply = await answer(handler(({"error": "gone"}, status), Item | tuple[dict[str, str], int]), **options)
    assert (reply.status_code, reply.json()) == (status, {"error": "gone"})


@pytest.mark.parametrize("status", [200, 201, 404, 500])
async def test_headers_and_cookies_of_the_injected_response_survive(status: int) -> None:
    async def handle(response: Response) -> Any:
        response.headers["x-kept"] = "yes"
        response.set_cookie("seen", "1")
        return {}, status, {"x-more": "too"}

    reply = await answer(handle)
    assert (reply.status_code, reply.headers["x-kept"], reply.headers["x-more"]) == (status, "yes", "too")
    assert reply.cookies["seen"] == "1"


@pytest.mark.parametrize("status", [201, 404])
async def test_a_header_of_the_tuple_replaces_the_one_on_the_injected_response(status: int) -> None:
    async def handle(response: Response) -> Any:
        response.headers["x-from"] = "response"
        return {}, status, {"x-from": "tuple"}

    assert (await answer(handle)).headers.get_list("x-from") == ["tuple"]


@pytest.mark.parametrize("status", [200, 202, 404])
async def test_background_tasks_run_with_a_status(status: int) -> None:
    ran = anyio.Event()

    async def later() -> None:
        ran.set()

    async def handle(tasks: BackgroundTasks) -> Any:
        tasks.add_task(later)
        return {}, status

    assert (await answer(handle)).status_code == status
    assert ran.is_set()


@pytest.mark.parametrize("value", [{"a": 1}, ({"a": 1}, 201), ({"a": 1}, 404)], ids=repr)
async def test_a_response_class_writes_every_body(value: Any) -> None:
    reply = await answer(handler(value), response_class=Pretty)
    assert reply.headers["content-type"] == Pretty.media_type
    assert reply.json() == {"a": 1}


@pytest.mark.parametrize(("value", "status"), [({}, 201), (({}, 202), 202), (({}, 404), 404)], ids=repr)
async def test_a_status_in_the_tuple_wins_over_the_declared_one(value: Any, status: int) -> None:
    assert (await answer(handler(value), status_code=201)).status_code == status


async def test_a_sync_handler_may_return_a_status() -> None:
    def handle(found: bool) -> Any:
        return {"found": found}, 200 if found else 404, {"x-sync": "1"}

    reply = await answer(handle, path="/x?found=false")
    assert (reply.status_code, reply.json(), reply.headers["x-sync"]) == (404, {"found": False}, "1")
