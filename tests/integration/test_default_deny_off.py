"""Where nothing asks who calls it is as if there were no such question: no token is looked at, and no key needed."""

from typing import Any

import httpx2
import pytest
from fastapi import APIRouter
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.support import Run

from evox import GET, Controller, ServiceBuilder
from evox.core import auth
from evox.testing import Env, running

HEADERS: list[list[tuple[str, str]]] = [
    [],
    [("authorization", "Bearer no.good.token")],
    [("authorization", "Bearer")],
    [("authorization", "Bearer a"), ("authorization", "Bearer b")],
    [("authorization", "Basic YTpi")],
    [("authorization", "Evox-Internal a.b.c")],
    [("authorization", "x" * 8000)],
]
FILE = """
    from evox import WebSocket, service
    from evox.core import auth

    svc = service("calm")


    @svc.get("/ours")
    async def ours() -> str:
        return str(auth.current())


    @svc.get("/kept", cache=60)
    async def kept() -> str:
        return str(auth.current())


    @svc.app.get("/raw")
    async def raw() -> str:
        return str(auth.current())


    @svc.get("/private", private=True)
    async def private() -> str:
        return "private"
"""


def test_no_key_is_wanted_and_no_token_is_looked_at(evox_run: Run, backend: str) -> None:
    process = evox_run({"calm.py": FILE}, "--port", "0", "--json", "--backend", backend)
    with httpx2.Client(base_url=process.url(), trust_env=False) as client:
        for headers in HEADERS:
            for path in ("/ours", "/kept", "/raw"):
                reply = client.get(path, headers=headers)
                assert (reply.status_code, reply.json()) == (200, "anonymous")
            assert client.get("/docs", headers=headers).status_code == 200
        assert client.get("/private").status_code == 403  # which is not a question of tokens
    assert process.end() == 0


def calm() -> ServiceBuilder:
    svc, router = ServiceBuilder("calm"), APIRouter(prefix="/api")

    @Controller("/methods")
    class Methods:
        @GET("/x")
        def x(self) -> str:
            return "reached"

    async def raw(request: Any) -> PlainTextResponse:
        return PlainTextResponse("reached")

    svc.register_controller(Methods)
    svc.get("/ours")(lambda: "reached")
    svc.get("/public")(auth.public(lambda: "reached"))
    svc.app.get("/raw")(lambda: "reached")
    router.get("/routed")(lambda: "reached")
    svc.include_router(router)
    svc.app.router.routes.append(Route("/route", raw))
    svc.app.mount("/mounted", PlainTextResponse("reached"))
    return svc


PATHS = ["/methods/x", "/ours", "/public", "/raw", "/api/routed", "/route", "/mounted/x", "/docs", "/health"]


async def statuses(env: Env, path: str) -> set[int]:
    return {(await env.client("calm").get(path, headers=headers)).status_code for headers in HEADERS[:5]}


@pytest.mark.parametrize("path", PATHS)
async def test_everybody_is_let_in_whatever_they_say_of_themselves(path: str) -> None:
    async with running(calm()) as env:
        assert await statuses(env, path) == {200}


@pytest.mark.parametrize("path", PATHS)
async def test_what_another_service_asks_is_no_concern_of_its(path: str) -> None:
    asks = ServiceBuilder("asks")
    asks.get("/x")(auth.require_roles("admin")(lambda: "x"))
    async with running(calm(), asks) as env:
        assert await statuses(env, path) == {200}
        assert (await env.client("asks").get("/x")).status_code == 401


def test_what_is_only_public_asks_nothing() -> None:
    assert calm().asking == ()


async def test_its_kept_answers_are_for_everybody() -> None:
    svc = ServiceBuilder("calm")
    svc.get("/kept", cache=60)(lambda: "kept")
    async with running(svc) as env:
        reply = await env.client(svc).get("/kept")
        assert "private" not in reply.headers["cache-control"]
        assert "authorization" not in reply.headers.get("vary", "").lower()
