"""Middleware that changes what is received changes what an endpoint gets, over a connection as elsewhere."""

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.lanes import running

from evox import Request, Service, service

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
