"""Calls: what a handler can see of its own, and the one report of each that observers get."""

from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
from fastapi import HTTPException
from fastapi.responses import PlainTextResponse

from evox import EvoxError, Method, Request, Response, Service, ServiceBuilder, events
from evox.services import Call, current_call
from evox.testing import running


class Conflict(EvoxError):
    """An error of the user's own."""

    id = "EVX-900"
    status = 409


class Teapot(Exception):
    """An error that the service has a handler for."""


@pytest.fixture
def finished() -> Iterator[list[events.CallFinished]]:
    """Return the calls that finished so far."""
    seen: list[events.CallFinished] = []

    def see(event: events.Event, /) -> None:
        if isinstance(event, events.CallFinished):
            seen.append(event)

    token = events._observers.set((see,))
    yield seen
    events._observers.reset(token)


def answering() -> Service:
    svc = ServiceBuilder("a")
    raised = {"http": HTTPException(404), "bug": ValueError("x"), "ours": Conflict("x"), "handled": Teapot()}

    @svc.exception_handler(Teapot)
    async def brew(request: Request, error: Teapot) -> Response:
        return PlainTextResponse("short and stout", 418)

    @svc.get("/raise/{what}")
    async def fails(what: str) -> None:
        raise raised[what]

    svc.get("/plain")(lambda: "x")
    svc.get("/created", status_code=201)(lambda: "x")
    svc.get("/tuple")(lambda: ("x", 410))
    svc.get("/response")(lambda: PlainTextResponse("x", 203))
    svc.get("/private", private=True)(lambda: "x")
    svc.get("/wrong-type")(wrong_type)

    @svc.get("/stream")
    async def stream() -> AsyncIterator[str]:
        yield "part"

    return svc


def wrong_type() -> int:
    return "not a number"  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/plain", 200),
        ("/created", 201),
        ("/tuple", 410),
        ("/response", 203),
        ("/private", 403),
        ("/stream", 200),
        ("/wrong-type", 500),
        ("/raise/http", 404),
        ("/raise/bug", 500),
        ("/raise/ours", 409),
        ("/raise/handled", 418),
    ],
)
async def test_every_call_is_reported_once_with_the_status_its_client_got(
    path: str, status: int, finished: list[events.CallFinished]
) -> None:
    async with running(answering()) as env:
        assert (await env.client("a").get(path)).status_code == status
    [event] = finished
    assert (event.service, event.origin, event.status) == ("a", "http", status)
    assert event.duration >= 0


async def test_a_call_that_does_not_fit_is_reported_as_422(finished: list[events.CallFinished]) -> None:
    svc = ServiceBuilder("a")

    @svc.get("/x")
    async def number(q: int) -> int:
        return q

    async with running(svc) as env:
        assert (await env.client(svc).get("/x?q=many")).status_code == 422
    assert [(one.endpoint, one.status) for one in finished] == [("number", 422)]


async def test_a_call_of_a_sync_handler_is_reported_under_its_declared_name(
    finished: list[events.CallFinished],
) -> None:
    svc = ServiceBuilder("a")
    svc.get("/x", name="named")(lambda: "x")
    async with running(svc) as env:
        await env.client(svc).get("/x")
    assert [one.endpoint for one in finished] == ["named"]


async def test_calls_are_reported_in_the_order_in_which_they_end(finished: list[events.CallFinished]) -> None:
    svc, second_done = ServiceBuilder("a"), anyio.Event()

    @svc.get("/first")
    async def first() -> None:
        await second_done.wait()

    @svc.get("/second")
    async def second() -> None: ...

    async with running(svc) as env, anyio.create_task_group() as group:
        group.start_soon(env.client(svc).get, "/first")
        await env.client(svc).get("/second")
        second_done.set()
    assert [one.endpoint for one in finished] == ["second", "first"]


async def test_an_observer_that_fails_does_no_harm(finished: list[events.CallFinished]) -> None:
    def fails(event: events.Event, /) -> None:
        raise ValueError("x")

    token = events.observe(fails)
    async with running(answering()) as env:
        assert (await env.client("a").get("/plain")).status_code == 200
    events._observers.reset(token)
    assert len(finished) == 1


@pytest.mark.parametrize("path", ["/health", "/openapi.json", "/nothing", "/docs"])
async def test_what_is_no_endpoint_is_not_reported(path: str, finished: list[events.CallFinished]) -> None:
    async with running(answering()) as env:
        await env.client("a").get(path)
    assert finished == []


async def test_a_call_whose_client_left_is_reported_once(finished: list[events.CallFinished]) -> None:
    svc, entered, left = ServiceBuilder("a"), anyio.Event(), anyio.Event()

    @svc.get("/x")
    async def waits(request: Request) -> None:
        entered.set()
        while (await request.receive())["type"] != "http.disconnect":
            pass
        left.set()

    async with running(svc) as env, anyio.create_task_group() as group:
        group.start_soon(env.client(svc).get, "/x")
        await entered.wait()
        group.cancel_scope.cancel()
    assert left.is_set()
    assert [one.endpoint for one in finished] == ["waits"]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_handler_can_see_its_own_call(is_async: bool) -> None:
    svc, seen = ServiceBuilder("a"), list[Call | None]()

    async def look(method: Method) -> None:
        seen.append(current_call())

    def look_in_thread(method: Method) -> None:
        seen.append(current_call())

    svc.endpoint("/x", methods=["PUT"], name="named")(look if is_async else look_in_thread)
    async with running(svc) as env:
        await env.client(svc).put("/x")
    [call] = seen
    assert call is not None
    assert (call.service, call.origin, call.method, call.parent) == ("a", "http", "PUT", None)
    assert call.endpoint is svc.endpoints[0]
    assert call.request.url.path == "/x"
    assert current_call() is None
