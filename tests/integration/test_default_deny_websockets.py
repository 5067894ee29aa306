"""A1: WebSockets are for whom they say, or for nobody: the client sees its handshake refused."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import anyio
import pytest
from fastapi import APIRouter
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import Mount, Router, WebSocketRoute

from evox import Depends, Service, ServiceBuilder, WebSocket
from evox.core import auth
from evox.testing import Env, WebSocketClosed, running

NOBODY = {"no token": 401, "admin": 403, "user": 403, "bad token": 401}
ADMIN = {"no token": 401, "admin": 101, "user": 403, "bad token": 401}
PUBLIC = {"no token": 101, "admin": 101, "user": 101, "bad token": 101}
KINDS = {
    "/silent": NOBODY,
    "/admin": ADMIN,
    "/above": ADMIN,
    "/public": PUBLIC,
    "/raw/silent": NOBODY,
    "/raw/admin": ADMIN,
    "/class/silent": NOBODY,
    "/class/admin": ADMIN,
    "/v1/inner/silent": NOBODY,
    "/v1/inner/admin": ADMIN,
    "/mounted/silent/x": NOBODY,
    "/mounted/admin/x": ADMIN,
}
admin = auth.require_roles("admin")
ran: list[str] = []


async def talk(socket: WebSocket) -> None:
    ran.append(str(auth.current()))
    await socket.accept()
    await socket.send_text(str(auth.current()))
    await socket.close()


class Talk(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket) -> None:
        await talk(websocket)


@admin
class MarkedTalk(Talk): ...


def another() -> Callable[[WebSocket], Awaitable[None]]:
    """Return a handler of its own: what one says would else be said of all."""

    async def handler(socket: WebSocket) -> None:
        await talk(socket)

    return handler


def talking() -> Service:
    svc, inner = ServiceBuilder("talk"), APIRouter(prefix="/inner")
    for to in (svc, inner):
        to.websocket("/silent")(another())
        to.websocket("/admin")(admin(another()))
    admin(svc.websocket("/above")(another()))
    svc.websocket("/public")(auth.public(another()))
    svc.app.add_api_websocket_route("/raw/silent", another())
    svc.app.router.routes.append(WebSocketRoute("/raw/admin", admin(another())))
    svc.app.router.routes.append(WebSocketRoute("/class/silent", Talk))
    svc.app.router.routes.append(WebSocketRoute("/class/admin", MarkedTalk))
    svc.include_router(inner, prefix="/v1")
    for name in ("silent", "admin"):
        mounted = Router([WebSocketRoute("/x", Talk)])
        svc.app.router.routes.append(Mount(f"/mounted/{name}", admin(mounted) if name == "admin" else mounted))
    return svc


def tokens(env: Env) -> dict[str, dict[str, str]]:
    given = {"admin": env.token("root", roles=["admin"]), "user": env.token("ada"), "bad token": "no.good.token"}
    return {"no token": {}} | {caller: {"authorization": f"Bearer {token}"} for caller, token in given.items()}


async def handshake(env: Env, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Send one over a socket and return the status of its answer, and all that came."""
    host, _, port = env.url("talk").removeprefix("http://").partition(":")
    lines = [f"GET {path} HTTP/1.1", "Host: talk", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send("\r\n".join([*lines, "", ""]).encode())
        answer = await stream.receive()
        with anyio.move_on_after(5):
            async for chunk in stream:
                answer += chunk
                if b"}" in chunk or b"\x88" in chunk:
                    break
    return int(answer.split(b" ")[1]), answer


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    yield
    ran.clear()


async def test_A1_over_a_socket_the_client_sees_its_handshake_refused() -> None:
    async with running(talking(), sockets=True) as env:
        for path, expected in KINDS.items():
            ran.clear()
            found = {caller: (await handshake(env, path, given))[0] for caller, given in tokens(env).items()}
            assert found == expected, path
            assert len(ran) == list(expected.values()).count(101)


async def test_A1_a_refused_handshake_is_answered_with_a_problem_and_a_challenge() -> None:
    async with running(talking(), sockets=True) as env:
        for path in ("/silent", "/admin", "/mounted/silent/x"):
            _, answer = await handshake(env, path, {})
            head, _, body = answer.lower().partition(b"\r\n\r\n")
            assert b"content-type: application/problem+json" in head
            assert b'www-authenticate: bearer realm="talk"' in head
            assert b'"status": 401' in body


@asynccontextmanager
async def conversation(env: Env, path: str, headers: dict[str, str]) -> AsyncIterator[str | bytes]:
    async with env.websocket("talk", path, **headers) as socket:
        yield await socket.receive()


async def test_A1_without_sockets_too_and_the_handler_knows_who_calls() -> None:
    async with running(talking()) as env:
        for path, expected in KINDS.items():
            for caller, headers in tokens(env).items():
                if expected[caller] == 101:
                    async with conversation(env, path, headers) as said:
                        assert said == {"admin": "user 'root'", "user": "user 'ada'"}.get(caller, "anonymous")
                    continue
                with pytest.raises(WebSocketClosed) as caught:
                    async with conversation(env, path, headers):
                        pass
                assert caught.value.code == 1008
    assert "user 'ada'" in ran


async def test_A1_a_websocket_that_nobody_serves_is_refused_as_ever() -> None:
    async with running(talking(), sockets=True) as env:
        for headers in tokens(env).values():
            assert (await handshake(env, "/nowhere", headers))[0] in (403, 404)


async def test_A1_a_token_counts_in_its_header_alone() -> None:
    async with running(talking(), sockets=True) as env:
        token = env.token("root", roles=["admin"])
        for path in (f"/admin?token={token}", f"/admin?access_token={token}"):
            assert (await handshake(env, path, {}))[0] == 401
        for headers in ({"cookie": f"token={token}"}, {"sec-websocket-protocol": f"bearer, {token}"}):
            assert (await handshake(env, "/admin", headers))[0] == 401
    assert ran == []


async def test_A1_who_is_refused_runs_no_dependency() -> None:
    svc, asked = ServiceBuilder("talk"), list[str]()

    @svc.websocket("/x")
    @admin
    async def x(socket: WebSocket, _: None = Depends(lambda: asked.append("x"))) -> None:
        await talk(socket)

    async with running(svc, sockets=True) as env:
        assert (await handshake(env, "/x", {}))[0] == 401
        assert asked == []
        assert (await handshake(env, "/x", tokens(env)["admin"]))[0] == 101
        assert asked == ["x"]


async def test_where_nothing_asks_a_websocket_is_for_everybody() -> None:
    svc = ServiceBuilder("talk")
    svc.websocket("/x")(another())
    async with running(svc, sockets=True) as env:
        for headers in tokens(env).values():
            assert (await handshake(env, "/x", headers))[0] == 101
