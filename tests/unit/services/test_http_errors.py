"""Errors on the wire: problem documents that say what a caller may know, and one log entry for what is our fault."""

import json
import logging
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fastapi import HTTPException
from fastapi.responses import JSONResponse

from evox import Depends, EvoxError, Request, Response, ServiceBuilder, data_io, inject
from evox.errors import (
    AsyncioOnly,
    CapacityExceeded,
    InvalidOption,
    NotInjectable,
    OutsideRuntime,
    Place,
    ServiceUnavailable,
    ValueTooLarge,
    WriteOutcomeUnknown,
)
from evox.services import problem, problem_of
from evox.testing import running

SECRET = "hunter2"


class OutOfPaper(EvoxError):
    """An error of the user's own, which its caller may know of."""

    id = "EVX-900"
    status = 409

    def __init__(self) -> None:
        super().__init__("the printer is out of paper", why=SECRET, fix=SECRET, place=Place(f"/srv/{SECRET}.py", 3))


class Abstract:
    def __init__(self, needed: str) -> None: ...


def body_of(response: Response) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(bytes(response.body))
    return parsed


async def answer(error: Exception, *, method: str = "GET") -> httpx2.Response:
    """Return what a service answers whose handler raises."""
    svc = ServiceBuilder("a")

    @svc.endpoint("/x", methods=[method])
    async def fails() -> None:
        raise error

    async with running(svc) as env:
        return await env.client(svc).request(method, "/x")


@pytest.fixture
def errors(caplog: pytest.LogCaptureFixture) -> Callable[[], list[logging.LogRecord]]:
    """Return what gives the log entries of level ERROR so far."""
    return lambda: [one for one in caplog.records if one.levelno >= logging.ERROR]


def test_a_problem_has_the_members_of_rfc_9457() -> None:
    reply = problem(429, "Too Many Requests", detail="wait a little", type_="urn:a:b")
    assert reply.status_code == 429
    assert reply.headers["content-type"] == "application/problem+json"
    assert body_of(reply) == {
        "type": "urn:a:b",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "wait a little",
    }


def test_a_problem_without_a_type_is_about_blank() -> None:
    assert body_of(problem(403, "Forbidden")) == {"type": "about:blank", "title": "Forbidden", "status": 403}


@pytest.mark.parametrize(("wait", "header"), [(None, None), (0, "1"), (0.01, "1"), (1, "1"), (1.2, "2"), (30.0, "30")])
def test_retry_after_is_whole_seconds_rounded_up(wait: float | None, header: str | None) -> None:
    assert problem(503, "x", retry_after=wait).headers.get("retry-after") == header


def test_a_retryable_error_names_its_kind_and_says_when_to_try_again() -> None:
    reply = problem_of(ServiceUnavailable("users", "draining"))
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert body_of(reply) == {
        "type": "urn:evox:error:EVX-602",
        "title": "ServiceUnavailable",
        "status": 503,
        "detail": "service 'users' is draining and takes no requests now",
    }
    assert problem_of(ServiceUnavailable("users", "failed"), retry_after=8).headers["retry-after"] == "8"


@pytest.mark.parametrize(
    "error",
    [
        OutsideRuntime(SECRET),
        NotInjectable(SECRET, SECRET),
        InvalidOption(SECRET, source=SECRET, why=SECRET),
        EvoxError(SECRET, why=SECRET, fix=SECRET, place=Place(SECRET)),
    ],
    ids=lambda one: one.id,
)
def test_what_is_not_the_callers_concern_shows_only_its_id(error: EvoxError) -> None:
    reply = problem_of(error)
    assert reply.status_code == 500
    assert "retry-after" not in reply.headers
    kind = f"urn:evox:error:{error.id}"
    assert body_of(reply) == {"type": kind, "title": "Internal Server Error", "status": 500}


@pytest.mark.parametrize(
    "error",
    [
        ValueTooLarge(SECRET, 2, 1),
        CapacityExceeded(SECRET, SECRET, fix=SECRET),
        WriteOutcomeUnknown(SECRET, "a", SECRET),
    ],
    ids=lambda one: one.id,
)
def test_a_status_of_its_own_has_a_title_of_its_own_and_shows_no_more_than_the_id(error: EvoxError) -> None:
    kind = f"urn:evox:error:{error.id}"
    assert body_of(problem_of(error)) == {"type": kind, "title": type(error).__name__, "status": error.status}


async def test_an_error_of_ours_is_logged_once_with_what_to_do_and_the_users_line(
    errors: Callable[[], list[logging.LogRecord]],
) -> None:
    svc = ServiceBuilder("a")

    @svc.post("/x")
    async def fails() -> None:
        await data_io.write("a", lambda: 1)

    async with running(svc) as env:
        assert (await env.client(svc).post("/x")).status_code == 500
    [record] = errors()
    lines = record.getMessage().splitlines()
    assert lines[:2] == ["POST /x failed", "error EVX-705: a function cannot be stored"]
    assert [line[:6] for line in lines[2:]] == ["  why ", "  fix ", "  at  "]
    assert lines[-1].endswith('await data_io.write("a", lambda: 1)')


def test_the_wrong_loop_is_told_with_what_to_do_and_without_the_users_error() -> None:
    reply = problem_of(AsyncioOnly(f"endpoint {SECRET!r}", RuntimeError(SECRET), Place(SECRET)))
    assert (reply.status_code, SECRET in bytes(reply.body).decode()) == (500, False)
    assert "--backend asyncio" in body_of(reply)["detail"]


async def test_an_error_of_ours_in_a_handler_is_a_problem_of_its_status(
    errors: Callable[[], list[logging.LogRecord]],
) -> None:
    reply = await answer(OutOfPaper())
    assert (reply.status_code, reply.headers["content-type"]) == (409, "application/problem+json")
    expected = {"type": "urn:evox:error:EVX-900", "title": "OutOfPaper", "status": 409}
    assert reply.json() == expected | {"detail": "the printer is out of paper"}
    assert errors() == []


async def test_a_retryable_error_in_a_handler_is_not_logged_as_ours(
    errors: Callable[[], list[logging.LogRecord]],
) -> None:
    reply = await answer(ServiceUnavailable("other", "starting"))
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert errors() == []


async def test_a_fault_of_the_service_is_a_500_and_one_log_entry(
    errors: Callable[[], list[logging.LogRecord]],
) -> None:
    svc = ServiceBuilder("a")

    @svc.get("/x")
    async def fails() -> None:
        inject(Abstract)

    async with running(svc) as env:
        reply = await env.client(svc).get("/x")
    assert (reply.status_code, reply.json()["type"]) == (500, "urn:evox:error:EVX-209")
    assert "needed" not in reply.text
    [record] = errors()
    assert "GET /x" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], NotInjectable)


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, KeyError, ExceptionGroup])
async def test_an_unhandled_exception_is_a_500_and_one_log_entry(
    kind: Any, errors: Callable[[], list[logging.LogRecord]]
) -> None:
    error = ExceptionGroup(SECRET, [ValueError(SECRET)]) if kind is ExceptionGroup else kind(SECRET)
    reply = await answer(error, method="POST")
    assert (reply.status_code, SECRET in reply.text) == (500, False)
    [record] = errors()
    assert record.name == "evox.requests"
    assert "POST /x" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_an_unhandled_exception_of_a_sync_handler_is_a_500_too() -> None:
    svc = ServiceBuilder("a")
    svc.get("/x")(lambda: 1 / 0)
    async with running(svc) as env:
        assert (await env.client(svc).get("/x")).status_code == 500


async def test_the_service_goes_on_after_an_unhandled_exception() -> None:
    svc = ServiceBuilder("a")
    svc.get("/fails")(lambda: 1 / 0)
    svc.get("/works")(lambda: "yes")
    async with running(svc) as env:
        client = env.client(svc)
        answers = [(await client.get(path)).status_code for path in ("/fails", "/works", "/fails", "/works")]
        assert (await client.get("/health")).json()["status"] == "pass"
    assert answers == [500, 200, 500, 200]


async def test_errors_of_fastapi_keep_their_shape(errors: Callable[[], list[logging.LogRecord]]) -> None:
    reply = await answer(HTTPException(404, {"no": "user"}, headers={"x-a": "1"}))
    assert (reply.status_code, reply.json(), reply.headers["x-a"]) == (404, {"detail": {"no": "user"}}, "1")
    assert errors() == []


@pytest.mark.parametrize("kind", [EvoxError, OutOfPaper])
async def test_an_exception_handler_of_the_user_wins(kind: type[EvoxError]) -> None:
    svc = ServiceBuilder("a")

    @svc.exception_handler(kind)
    async def explain(request: Request, error: EvoxError) -> Response:
        return JSONResponse({"mine": error.id}, 418)

    @svc.get("/x")
    async def fails() -> None:
        raise OutOfPaper

    async with running(svc) as env:
        reply = await env.client(svc).get("/x")
    assert (reply.status_code, reply.json()) == (418, {"mine": "EVX-900"})


async def test_an_error_in_a_dependency_is_answered_like_one_in_a_handler() -> None:
    svc = ServiceBuilder("a")

    async def depends() -> None:
        raise OutOfPaper

    svc.get("/x", dependencies=[Depends(depends)])(lambda: None)
    async with running(svc) as env:
        assert (await env.client(svc).get("/x")).json()["type"] == "urn:evox:error:EVX-900"
