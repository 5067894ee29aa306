"""Clients leave before their answer is complete, by FIN and by RST, over real sockets and without, on both loops."""

import socket
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.integration.leaving import SOON, WAYS, Caller, Seen, idle, passed, waiting
from tests.lanes import ONE_WAY, running, said

from evox import (
    Request,
    Response,
)
from evox.config import ServingSettings
from evox.orchestrator.gateway import Gateway
from evox.serving import Port, bind

pytestmark = pytest.mark.usefixtures("http1")

BY_DEFAULT: Final[dict[str, Any]] = {}
CANCELLED: Final = [
    ("GET", BY_DEFAULT),
    ("HEAD", BY_DEFAULT),
    ("GET", {"on_disconnect": "cancel"}),
    ("POST", {"on_disconnect": "cancel"}),
    ("DELETE", {"on_disconnect": "cancel"}),
]
FINISHED: Final = [
    ("POST", BY_DEFAULT),
    ("PUT", BY_DEFAULT),
    ("PATCH", BY_DEFAULT),
    ("DELETE", BY_DEFAULT),
    ("GET", {"on_disconnect": "finish"}),
    ("HEAD", {"on_disconnect": "finish"}),
]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("syntax", ["function", "class"])
@pytest.mark.parametrize(("method", "options"), CANCELLED)
async def test_V6_a_handler_is_cancelled_when_its_client_leaves(
    method: str, options: dict[str, Any], syntax: str, how: str
) -> None:
    seen = Seen()
    async with running(waiting(seen, method, syntax, **options), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait", method)
        await seen.entered.wait()
        client.leave(how)
        assert await seen.cancelled()
        after = await idle(env)
        assert (after.left, after.failed) == (1, 0)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("syntax", ["function", "class"])
@pytest.mark.parametrize(("method", "options"), FINISHED)
async def test_V6_a_handler_finishes_although_its_client_has_left(
    method: str, options: dict[str, Any], syntax: str, how: str
) -> None:
    seen = Seen()
    async with running(waiting(seen, method, syntax, **options), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait", method)
        await seen.entered.wait()
        client.leave(how)
        await passed(env)
        assert not seen.ended.is_set()
        seen.go.set()
        after = await idle(env)
        assert (seen.finished, after.left, after.failed) == (True, 1, 0)


async def test_V6_a_client_that_only_closes_its_own_direction_has_left() -> None:
    seen = Seen()
    async with running(waiting(seen), sockets=True) as env:
        with Caller(env.url("a")) as client:
            client.ask("/wait")
            await seen.entered.wait()
            client.socket.shutdown(socket.SHUT_WR)
            assert await seen.cancelled()


async def test_V6_a_write_is_answered_to_a_client_that_only_closes_its_own_direction() -> None:
    seen = Seen()
    async with running(waiting(seen, "POST"), sockets=True) as env:
        with Caller(env.url("a")) as client:
            client.ask("/wait", "POST")
            await seen.entered.wait()
            client.socket.shutdown(socket.SHUT_WR)
            await passed(env)
            seen.go.set()
            with anyio.fail_after(SOON):
                assert (await client.answer()).endswith(b'"finished"')


@pytest.mark.parametrize("how", WAYS)
async def test_V6_a_request_sent_behind_another_does_not_hide_that_the_client_has_left(how: str) -> None:
    seen = Seen()
    async with running(waiting(seen), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait")
        await seen.entered.wait()
        client.ask("/wait")
        await passed(env)
        client.leave(how)
        assert await seen.cancelled()


async def test_V6_a_write_is_done_although_its_client_left_at_once() -> None:
    seen = Seen()
    seen.go.set()
    async with running(waiting(seen, "POST"), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait", "POST")
        client.leave("fin")
        with anyio.fail_after(SOON):
            await seen.ended.wait()
        assert seen.finished


@pytest.mark.parametrize(("method", "option", "finished"), [("POST", "cancel", False), ("POST", "finish", True)])
async def test_V6_what_an_endpoint_says_counts_for_a_client_that_left_before_it_was_reached(
    method: str, option: str, finished: bool
) -> None:
    seen, arrived, onwards = Seen(), anyio.Event(), anyio.Event()
    svc = waiting(seen, method, on_disconnect=option)

    @svc.middleware("http")
    async def look_up(request: Request, call_next: RequestResponseEndpoint) -> Response:
        if request.url.path == "/wait":
            arrived.set()
            await onwards.wait()
        return await call_next(request)

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait", method)
        await arrived.wait()
        client.leave("fin")
        await passed(env)
        onwards.set()
        await passed(env)
        goes_on = bool(env.host("a").inflight.unanswered())
        seen.go.set()
        after = await idle(env)
        assert (seen.entered.is_set(), goes_on, seen.finished, after.left) == (finished, finished, finished, 1)


@pytest.mark.parametrize("how", WAYS)
async def test_V6_a_handler_behind_the_gateway_is_cancelled_too(how: str) -> None:
    seen = Seen()
    async with running(waiting(seen)) as env, anyio.create_task_group() as group:
        gateway = Gateway([env.host("a")])
        bound = bind("127.0.0.1", 0, service="gateway")
        port = Port(bound, gateway, ServingSettings.model_validate(said()), service="gateway", connections=group)
        group.start_soon(port.serve)
        client = Caller(port.url)
        client.ask("/a/wait")
        await seen.entered.wait()
        client.leave(how)
        assert await seen.cancelled()
        assert (await idle(env)).left == 1
        await port.close()


class Pure:
    """Middleware that is nothing but ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Based(BaseHTTPMiddleware):
    """Middleware that runs the rest in a task of its own."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


@pytest.mark.parametrize("middleware", [(Pure,), (Based,), (Based, Pure, Based)])
@pytest.mark.parametrize(("method", "finishes"), [("GET", False), ("POST", True)])
async def test_V6_middleware_of_the_user_changes_nothing(
    middleware: tuple[Any, ...], method: str, finishes: bool
) -> None:
    seen = Seen()
    svc = waiting(seen, method)
    for one in middleware:
        svc.add_middleware(one)
    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait", method)
        await seen.entered.wait()
        client.leave("fin")
        if finishes:
            await passed(env)
            seen.go.set()
        after = await idle(env)
        assert (seen.finished, after.left, after.failed) == (finishes, 1, 0)


@ONE_WAY
@pytest.mark.parametrize(("method", "finishes"), [("GET", False), ("POST", True)])
async def test_V6_a_request_given_up_without_sockets_ends_as_with_them(method: str, finishes: bool) -> None:
    seen = Seen()
    async with running(waiting(seen, method)) as env:
        async with anyio.create_task_group() as group:
            group.start_soon(env.client("a").request, method, "/wait")
            await seen.entered.wait()
            group.cancel_scope.cancel()
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        assert seen.ended.is_set() is not finishes
        seen.go.set()
        after = await idle(env)
        assert (seen.finished, after.left) == (finishes, 1)
