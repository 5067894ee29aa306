"""Middleware that changes what is received changes what an endpoint gets, over a connection as elsewhere."""

import anyio
import pytest
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.lanes import running

from evox import Request, Response, Service, service

pytestmark = pytest.mark.usefixtures("http1")


class Upper:
    """Makes bodies of requests upper case."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def changed() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                message["body"] = message["body"].upper()
            return message

        await self._app(scope, changed if scope["type"] == "http" else receive, send)


def shop() -> Service:
    svc: Service = service("shop")

    @svc.post("/compiled")
    async def compiled(item: dict[str, str]) -> dict[str, str]:
        return item

    @svc.post("/by-fastapi")
    async def by_fastapi(request: Request, item: dict[str, str]) -> dict[str, str]:
        del request
        return item

    svc.app.add_middleware(Upper)
    return svc


@pytest.mark.parametrize("sockets", [False, True], ids=["inside", "connection"])
@pytest.mark.parametrize("path", ["/compiled", "/by-fastapi"])
async def test_an_endpoint_gets_the_body_that_middleware_hands_on(path: str, *, sockets: bool) -> None:
    svc = shop()
    async with running(svc, sockets=sockets) as env:
        answer = await env.client(svc).post(path, json={"a": "b"})
    assert answer.json() == {"A": "B"}


class Late(BaseHTTPMiddleware):
    """Looks for the body when the endpoint has had it."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Answer one request."""
        response = await call_next(request)
        try:
            found = (await request.body()).decode()
        except RuntimeError as error:
            found = str(error)
        response.headers["x-found"] = found
        return response


async def test_middleware_that_reads_a_body_too_late_is_told_and_does_not_wait_for_ever() -> None:
    svc: Service = service("shop")

    @svc.post("/")
    async def root(item: dict[str, str]) -> dict[str, str]:
        return item

    svc.app.add_middleware(Late)
    async with running(svc, sockets=True) as env:
        with anyio.fail_after(3):
            answer = await env.client(svc).post("/", json={"a": "b"})
    assert answer.headers["x-found"] == "Stream consumed"
