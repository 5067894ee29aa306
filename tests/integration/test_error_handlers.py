"""Errors are answered by the handlers that an app has for them, as by FastAPI; what handlers do wrong is told."""

import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypeAlias

import httpx2
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from pydantic import AfterValidator, BaseModel
from starlette.background import BackgroundTask
from tests.lanes import running

from evox import ServiceBuilder

pytestmark = pytest.mark.usefixtures("http1")


class Odd(Exception):
    """Has a handler."""


class Sync(Exception):
    """Has a handler that is no coroutine function."""


class Worse(Exception):
    """Has a handler that raises what has one."""


class Worst(Exception):
    """Has a handler that raises what has none."""


class Late(Exception):
    """Has a handler whose response does something after it was sent."""


class Parts(Exception):
    """Has a handler that answers in parts."""


class Empty(Exception):
    """Has a handler that answers nothing."""


class Broken(Exception):
    """Has a handler whose answer breaks off."""


KINDS = {kind.__name__.lower(): kind for kind in (Odd, Sync, Worse, Worst, Late, Parts, Empty, Broken)}


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("it is odd")
    return value


class Item(BaseModel):
    even: Annotated[int, AfterValidator(_even)] = 0
    name: str = ""
    more: dict[str, int] = {}


def noted(request: Request, error: Exception) -> str:
    told = request.app.state.told
    told.append((type(error).__name__, sys.exc_info()[1] is error, type(error.__context__).__name__))
    return request.url.path


async def odd(request: Request, error: Exception) -> Response:
    return PlainTextResponse(noted(request, error), 418, {"x-odd": "yes"})


def sync(request: Request, error: Exception) -> Response:
    return JSONResponse({"path": request.url.path, "error": str(error)}, 409)


async def worse(request: Request, error: Exception) -> Response:
    noted(request, error)
    raise Odd("of a handler")


async def worst(request: Request, error: Exception) -> Response:
    noted(request, error)
    raise KeyError("of a handler")


async def late(request: Request, error: Exception) -> Response:
    return JSONResponse(
        {"path": noted(request, error)}, 202, background=BackgroundTask(request.app.state.told.append, "late")
    )


async def parts(request: Request, error: Exception) -> Response:
    return StreamingResponse(iter([b"one", noted(request, error).encode()]), 503)


async def empty(request: Request, error: Exception) -> None:
    noted(request, error)


async def broken(request: Request, error: Exception) -> Response:
    async def breaking(begun: str) -> AsyncIterator[bytes]:
        yield begun.encode()
        raise Odd("when its answer had begun")

    return StreamingResponse(breaking(noted(request, error)), 200)


async def absent(request: Request, error: Exception) -> Response:
    return JSONResponse({"absent": noted(request, error)}, 404)


def declare(app: FastAPI) -> list[Any]:
    """Declare endpoints that fail, and handlers; return what these note."""

    @app.get("/raise/{kind}")
    async def fail(kind: str) -> None:
        raise KINDS[kind](kind)

    @app.get("/status/{status}")
    async def status(status: int) -> None:
        raise HTTPException(status, {"why": status}, headers={"x-why": "asked"})

    @app.post("/items")
    async def add(item: Item) -> int:
        return item.even

    handlers: dict[Any, Any] = dict(
        zip(KINDS.values(), (odd, sync, worse, worst, late, parts, empty, broken), strict=True)
    )
    for kind, handler in (handlers | {404: absent}).items():
        app.add_exception_handler(kind, handler)
    told: list[Any] = []
    app.state.told = told
    return told


BODIES = [
    '{"even": 2}',
    '{"even": "x", "name": 1, "more": {"a": "b"}}',
    '{"even": 3}',
    '{"name": {"_sa": 1, "kept": 2}}',
    '{"name": ["_sa"]}',
    '{"name": {"\\u00e4": "\\u20ac"}}',
    '{"name": [[1.5, null, true, {"a": []}]]}',
    '{"name": NaN}',
    '{"name": ["\\ud800"]}',
    "[1]",
    "{",
    "",
]
ASKED = [
    *(("GET", f"/raise/{kind}", None) for kind in KINDS if kind not in ("empty", "broken")),
    *(("GET", f"/status/{status}", None) for status in (204, 304, 400, 404, 410, 503)),
    ("GET", "/status/x", None),
    ("GET", "/absent", None),
    *(("POST", "/items", body) for body in BODIES),
]


Seen: TypeAlias = tuple[int, dict[str, str], bytes]


def seen(response: httpx2.Response) -> Seen:
    names = ("content-type", "content-length", "x-why", "x-odd")
    kept = {name: response.headers[name] for name in names if name in response.headers}
    return response.status_code, kept, response.content


async def ask(
    client: httpx2.AsyncClient, method: str, path: str, body: str | None
) -> tuple[int, dict[str, str], bytes]:
    headers = {} if body is None else {"content-type": "application/json"}
    return seen(await client.request(method, path, content=body, headers=headers))


@pytest.mark.parametrize(("method", "path", "body"), ASKED)
async def test_an_error_is_answered_as_fastapi_answers_it(method: str, path: str, body: str | None) -> None:
    plain = FastAPI()
    expected_told = declare(plain)
    transport = httpx2.ASGITransport(plain, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
        expected = await ask(client, method, path, body)
    svc = ServiceBuilder("shop")
    told = declare(svc.app)
    async with running(svc, sockets=True, raise_errors=False) as env:
        client = env.client(svc)
        answers = []
        for _ in range(2):
            answers.append(await ask(client, method, path, body))
            await env.host(svc).inflight.wait_idle()  # with what is done after the answer
        statistics = env.host(svc).inflight.statistics()
    assert answers == [expected, expected]
    assert told == expected_told * 2
    assert statistics.failed == (2 if expected[0] == 500 else 0)


async def test_a_handler_that_answers_nothing_is_a_500() -> None:
    svc = ServiceBuilder("shop")
    told = declare(svc.app)
    async with running(svc, sockets=True, raise_errors=False) as env:
        assert (await env.client(svc).get("/raise/empty")).status_code == 500
        assert (await env.client(svc).post("/items", json={"even": 2})).json() == 2
    assert told == [("Empty", True, "NoneType")]


async def test_an_answer_of_a_handler_that_breaks_off_ends_its_connection_and_is_told_once() -> None:
    svc = ServiceBuilder("shop")
    told = declare(svc.app)
    async with running(svc, sockets=True, raise_errors=False) as env:
        with pytest.raises(httpx2.RemoteProtocolError):
            await env.client(svc).get("/raise/broken")
        await env.host(svc).inflight.wait_idle()
        assert env.host(svc).inflight.statistics().failed == 1
        assert (await env.client(svc).post("/items", json={"even": 2})).json() == 2
    assert told == [("Broken", True, "NoneType")]
