"""A1: no spelling of a path, no method and no middleware leads to what is for nobody; 404, 405 and redirects stay."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import APIRouter
from fastapi.middleware.cors import CORSMiddleware
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.lanes import running

from evox import ServiceBuilder
from evox.core import auth
from evox.testing import Env

SPELLINGS = [
    "{}",
    "/{}",
    "//{}",
    "{}/",
    "{}//",
    "{}.",
    "{}/.",
    "/.{}",
    "/open/..{}",
    "/open/%2e%2e{}",
    "/open/..%2f{}",
    "/public/..{}",
    "/public/%2e%2e{}",
    "/%2f{}",
    "{}%2f",
    "{}%252f",
    "{}%00",
    "{}%20",
    "{};a=b",
    "{}?a=b",
    "{}#a",
    "{}%3f",
    "\\{}",
    "{}\\",
    "http://other.example{}",
]
TARGETS = ["/ours", "/raw", "/route", "/api/routed", "/files/page.txt", "/app/x"]
METHODS = ["HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "get", "G"]
PREFLIGHT = {"origin": "http://web.example", "access-control-request-method": "POST"}


class Shop:
    """A service of which one endpoint asks, one is public, and all others are for nobody; ``ran`` says which did."""

    def __init__(self, folder: Path) -> None:
        self.svc = ServiceBuilder("shop")
        self.ran: list[str] = []
        (folder / "page.txt").write_text("a page")
        router = APIRouter(prefix="/api")
        router.get("/routed")(self.handler("routed"))
        self.svc.get("/asking")(auth.require_roles("admin")(self.handler("asking")))
        self.svc.get("/open")(auth.public(self.handler("open")))
        self.svc.get("/ours")(self.handler("ours"))
        self.svc.app.get("/raw")(self.handler("raw"))
        self.svc.app.router.routes.append(Route("/route", self.answer, methods=["GET", "POST"]))
        self.svc.include_router(router)
        self.svc.app.mount("/public", auth.public(StaticFiles(directory=folder)))
        self.svc.app.mount("/files", StaticFiles(directory=folder))
        self.svc.app.mount("/app", self.app)

    def handler(self, name: str) -> Any:
        async def run() -> str:
            self.ran.append(name)
            return name

        return run

    async def answer(self, request: Request) -> PlainTextResponse:
        self.ran.append("route")
        return PlainTextResponse("route")

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.ran.append("app")
        await PlainTextResponse("app")(scope, receive, send)


async def status_of(env: Env, target: str, *, token: str = "", method: str = "GET") -> int:
    """Send a request with a target as it is written, and return the status of its answer."""
    host, _, port = env.url("shop").removeprefix("http://").partition(":")
    lines = [f"{method} {target} HTTP/1.1", "Host: shop", "Connection: close"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        async for chunk in stream:
            answer += chunk
    assert b"a page" not in answer
    return int(answer.split(b" ")[1])


@pytest.mark.usefixtures("http1")
@pytest.mark.parametrize("target", TARGETS)
async def test_A1_no_spelling_of_a_path_leads_to_what_is_for_nobody(tmp_path: Path, target: str) -> None:
    shop = Shop(tmp_path)
    upper = [target.upper(), target[:2] + target[2:].upper(), target.title()]
    quoted = [
        "/" + "".join(f"%{byte:02x}" for byte in target[1:].encode()),
        target[:1] + f"%{ord(target[1]):X}" + target[2:],
    ]
    async with running(shop.svc, sockets=True) as env:
        token = env.token("ada", roles=["user"])
        assert (await status_of(env, target), await status_of(env, target, token=token)) == (401, 403)
        for spelled in [*(one.format(target) for one in SPELLINGS), *upper, *quoted]:
            for caller in ("", token):
                status = await status_of(env, spelled, token=caller)
                assert status in (307, 400, 401, 403, 404, 405), spelled
        assert shop.ran == []


@pytest.mark.usefixtures("http1")
@pytest.mark.parametrize("target", TARGETS)
async def test_A1_no_method_leads_there(tmp_path: Path, target: str) -> None:
    shop = Shop(tmp_path)
    async with running(shop.svc, sockets=True) as env:
        for method in METHODS:
            assert await status_of(env, target, method=method) in (400, 401, 405), method
    assert shop.ran == []


class Rewriting:
    """Middleware that sends requests for what is public to somewhere else."""

    def __init__(self, app: ASGIApp, to: str, how: str) -> None:
        self.app, self.to, self.how = app, to, how

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/open":
            changes = {"path": self.to, "raw_path": self.to.encode()}
            if self.how == "root":
                changes = {"path": f"/root{self.to}", "root_path": "/root"}
            if self.how == "in place":
                scope.update(changes)
            else:
                scope = {**scope, **changes}
        await self.app(scope, receive, send)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("how", ["in place", "in a copy", "root"])
async def test_A1_middleware_that_rewrites_the_path_leads_nobody_there(tmp_path: Path, target: str, how: str) -> None:
    shop = Shop(tmp_path)
    shop.svc.add_middleware(Rewriting, to=target, how=how)
    async with running(shop.svc) as env:
        assert (await env.client(shop.svc).get("/open")).status_code == 401
        token = env.token("ada", roles=["admin"])
        assert (await env.client(shop.svc, token=token).get("/open")).status_code == 403
    assert shop.ran == []


async def test_A1_a_rewritten_path_may_lead_to_what_is_public(tmp_path: Path) -> None:
    shop = Shop(tmp_path)

    @shop.svc.middleware("http")
    async def rewrite(request: Request, call_next: Any) -> Response:
        request.scope["path"] = {"/route": "/open", "/open": "/raw"}.get(request.scope["path"], "/nowhere")
        answer: Response = await call_next(request)
        return answer

    async with running(shop.svc) as env:
        client = env.client(shop.svc)
        assert [(await client.get(path)).status_code for path in ("/route", "/open", "/raw")] == [200, 401, 404]
    assert shop.ran == ["open"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/api/nowhere", 404),
        ("POST", "/ours", 405),
        ("POST", "/asking", 405),
        ("DELETE", "/raw", 405),
        ("DELETE", "/route", 405),
        ("PUT", "/api/routed", 405),
        ("HEAD", "/ours", 405),
        ("OPTIONS", "/asking", 405),
        ("GET", "/asking/", 307),
        ("GET", "/ours/", 307),
        ("GET", "/api/routed/", 307),
    ],
)
async def test_what_is_not_there_is_answered_as_ever(tmp_path: Path, method: str, path: str, status: int) -> None:
    svc = Shop(tmp_path).svc
    async with running(svc) as env:
        for token in (None, env.token("ada"), "no.good.token"):
            assert (await env.client(svc, token=token).request(method, path)).status_code == status


async def test_where_a_redirect_leads_is_guarded(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    async with running(shop.svc) as env:
        client = env.client(shop.svc, follow_redirects=True)
        assert [(await client.get(path)).status_code for path in ("/ours/", "/raw/", "/open/")] == [401, 401, 200]
    assert shop.ran == ["open"]


@pytest.mark.parametrize("target", [*TARGETS, "/asking", "/open"])
async def test_A1_middleware_answers_a_cors_preflight_and_no_route_is_reached(tmp_path: Path, target: str) -> None:
    shop = Shop(tmp_path)
    shop.svc.add_middleware(CORSMiddleware, allow_origins=["http://web.example"], allow_methods=["*"])
    async with running(shop.svc) as env:
        client = env.client(shop.svc, headers={"origin": "http://web.example"})
        answer = await client.options(target, headers=PREFLIGHT)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "http://web.example"
        assert shop.ran == []
        refused = await client.get(target)  # and the page that asks may see that it was refused
        assert refused.headers["access-control-allow-origin"] == "http://web.example"
        assert refused.status_code == (200 if target == "/open" else 401)


@pytest.mark.parametrize("target", TARGETS)
async def test_A1_what_looks_like_a_preflight_reaches_nothing_that_is_for_nobody(tmp_path: Path, target: str) -> None:
    """It was let through to routes that answer whatever the method is, and ran their code for everybody."""
    shop = Shop(tmp_path)
    shop.svc.app.router.routes.insert(0, Route("/route", shop.answer, methods=["OPTIONS"]))
    async with running(shop.svc) as env:
        for token in (None, env.token("ada", roles=["user"])):
            answer = await env.client(shop.svc, token=token).options(target, headers=PREFLIGHT)
            assert answer.status_code in (401, 403, 405)
    assert shop.ran == []
