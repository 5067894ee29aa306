"""Errors are answered by the handlers that an app has for them, as by FastAPI; what handlers do wrong is told."""

import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypeAlias

import httpx2
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
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


class Elsewhere(Exception):
    """Has a handler that lets another route answer."""


class Empty(Exception):
    """Has a handler that answers nothing."""


class Broken(Exception):
    """Has a handler whose answer breaks off."""


KINDS = {kind.__name__.lower(): kind for kind in (Odd, Sync, Worse, Worst, Late, Parts, Elsewhere, Empty, Broken)}


class Refusing(Response):
    """Raises when it is to be sent."""

    async def __call__(self, *_: Any) -> None:
        raise HTTPException(409, "not now")


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


async def elsewhere(request: Request, error: Exception) -> Any:
    noted(request, error)
    return next(route.app for route in request.app.routes if route.path == "/fallback")


def _odd_ways(to: FastAPI | ServiceBuilder) -> None:
    @to.get("/fallback")
    async def fallback(request: Request) -> str:
        return request.url.path

    @to.get("/file")
    async def file() -> FileResponse:
        return FileResponse("/there/is/none")

    @to.get("/refuses")
    async def refuses() -> Response:
        return Refusing()

    @to.get("/text")
    async def text() -> Response:
        response = JSONResponse("four")
        response.body = "four"  # type: ignore[assignment]
        return response


def declare(to: FastAPI | ServiceBuilder, app: FastAPI) -> list[Any]:
    """Declare endpoints that fail, and handlers; return what these note."""

    _odd_ways(to)

    @to.get("/raise/{kind}")
    async def fail(kind: str) -> None:
        raise KINDS[kind](kind)

    @to.get("/status/{status}")
    async def status(status: int) -> None:
        raise HTTPException(status, {"why": status}, headers={"x-why": "asked"})

    @to.post("/items")
    async def add(item: Item) -> int:
        return item.even

    handlers: dict[Any, Any] = dict(
        zip(KINDS.values(), (odd, sync, worse, worst, late, parts, elsewhere, empty, broken), strict=True)
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
    ("GET", "/file", None),
    ("GET", "/refuses", None),
    *(("POST", "/items", body) for body in BODIES),
]


Seen: TypeAlias = tuple[int, dict[str, str], bytes]


def seen(response: httpx2.Response) -> Seen:
    names = ("content-type", "content-length", "x-why", "x-odd")
    kept = {name: response.headers[name] for name in names if name in response.headers}
    return response.status_code, kept, response.content


async def ask(client: httpx2.AsyncClient, method: str, path: str, body: str | None) -> Seen:
    headers = {} if body is None else {"content-type": "application/json"}
    return seen(await client.request(method, path, content=body, headers=headers))


@pytest.mark.parametrize(("method", "path", "body"), ASKED)
async def test_an_error_is_answered_as_fastapi_answers_it(method: str, path: str, body: str | None) -> None:
    plain = FastAPI()
    expected_told = declare(plain, plain)
    transport = httpx2.ASGITransport(plain, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
        expected = await ask(client, method, path, body)
    svc = ServiceBuilder("shop")
    told = declare(svc, svc.app)
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
    told = declare(svc, svc.app)
    async with running(svc, sockets=True, raise_errors=False) as env:
        assert (await env.client(svc).get("/raise/empty")).status_code == 500
        assert (await env.client(svc).post("/items", json={"even": 2})).json() == 2
    assert told == [("Empty", True, "NoneType")]


async def test_an_answer_of_a_handler_that_breaks_off_ends_its_connection_and_is_told_once() -> None:
    svc = ServiceBuilder("shop")
    told = declare(svc, svc.app)
    async with running(svc, sockets=True, raise_errors=False) as env:
        with pytest.raises(httpx2.RemoteProtocolError):
            await env.client(svc).get("/raise/broken")
        await env.host(svc).inflight.wait_idle()
        assert env.host(svc).inflight.statistics().failed == 1
        assert (await env.client(svc).post("/items", json={"even": 2})).json() == 2
    assert told == [("Broken", True, "NoneType")]


async def test_a_body_that_is_no_bytes_ends_its_connection() -> None:
    svc = ServiceBuilder("shop")
    declare(svc, svc.app)
    async with running(svc, sockets=True, raise_errors=False) as env:
        with pytest.raises(httpx2.RemoteProtocolError):
            await env.client(svc).get("/text", timeout=5)
        await env.host(svc).inflight.wait_idle()
        assert env.host(svc).inflight.statistics().failed == 1


async def test_who_has_a_handler_is_answered_by_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    svc = ServiceBuilder("shop")
    told = declare(svc, svc.app)
    async with running(svc, sockets=True, raise_errors=False) as env:
        client = env.client(svc)
        await client.get("/items")
        monkeypatch.setattr(svc.app.router, "middleware_stack", None)  # the long way would fail now
        monkeypatch.setattr(svc.app, "middleware_stack", None)
        assert (await client.get("/raise/odd")).status_code == 418
        assert (await client.get("/status/x")).status_code == 422
    assert told == [("Odd", True, "NoneType")]
