"""A1: in a service in which anything asks who calls, each kind of route is for whom it says, or else for nobody."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router

from evox import GET, Controller, Service, ServiceBuilder
from evox.core import auth
from evox.testing import Env, running

Expected = dict[str, int]
NOBODY: Expected = {"no token": 401, "admin": 403, "user": 403, "bad token": 401}
ADMIN: Expected = {"no token": 401, "admin": 200, "user": 403, "bad token": 401}
PUBLIC: Expected = {"no token": 200, "admin": 200, "user": 200, "bad token": 200}
CHALLENGES = {"no token": "", "bad token": ', error="invalid_token"'}
CHALLENGES |= dict.fromkeys(("admin", "user"), ', error="insufficient_scope"')
admin = auth.require_roles("admin")


async def answers(env: Env, service: str | Service, path: str, method: str = "GET", **headers: str) -> Expected:
    """Return with which status each kind of caller is answered; whoever is refused is told nothing else."""
    tokens = {"admin": env.token("root", roles=["admin"]), "user": env.token("ada", roles=["user"])}
    found = {}
    for caller in NOBODY:
        token = tokens.get(caller, "no.good.token")
        given = headers if caller == "no token" else {"authorization": f"Bearer {token}", **headers}
        reply = await env.client(service).request(method, path, headers=given)
        found[caller] = reply.status_code
        if reply.status_code in (401, 403):
            title = {401: "Unauthorized", 403: "Forbidden"}[reply.status_code]
            assert reply.json() == {"type": "about:blank", "title": title, "status": reply.status_code}
            assert reply.headers["www-authenticate"] == f'Bearer realm="everything"{CHALLENGES[caller]}'
    return found


def handler() -> Callable[[], Awaitable[str]]:
    async def answer() -> str:
        return "reached"

    return answer


def raw() -> Callable[[Request], Awaitable[PlainTextResponse]]:
    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("reached")

    return answer


class ClassBased(HTTPEndpoint):
    async def get(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("reached")


class MarkedClass(ClassBased):
    pass


admin(MarkedClass)


class PureApp:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("reached")(scope, receive, send)


class MarkedApp(PureApp):
    pass


admin(MarkedApp)


def functions(svc: Service) -> None:
    svc.get("/ours")(handler())
    svc.get("/ours/admin")(admin(handler()))
    svc.get("/ours/public")(auth.public(handler()))
    svc.get("/ours/partial")(partial(admin(handler())))


def controller(svc: Service) -> None:
    @Controller("/methods")
    class Methods:
        @GET("/silent")
        async def silent(self) -> str:
            return "reached"

        @GET("/admin")
        @admin
        def admin(self) -> str:
            return "reached"

        @staticmethod
        @auth.public
        @GET("/public")
        def public() -> str:
            return "reached"

    svc.register_controller(Methods)


def fastapi_routes(svc: Service) -> None:
    svc.app.get("/raw")(handler())
    svc.app.get("/raw/admin")(admin(handler()))
    admin(svc.app.get("/raw/above")(handler()))
    svc.app.get("/raw/public")(auth.public(handler()))


def starlette_routes(svc: Service) -> None:
    svc.app.router.routes.append(Route("/route", raw()))
    svc.app.router.routes.append(Route("/route/admin", admin(raw())))
    svc.app.router.routes.append(Route("/route/public", auth.public(raw())))
    svc.app.router.routes.append(admin(Route("/route/itself", raw())))
    svc.app.router.routes.append(Route("/route/partial", partial(admin(raw()))))
    svc.app.router.routes.append(Route("/route/app", PureApp()))
    svc.app.router.routes.append(Route("/route/app/admin", MarkedApp()))
    svc.app.router.add_route("/class", ClassBased)  # type: ignore[arg-type]
    svc.app.router.add_route("/class/admin", MarkedClass)  # type: ignore[arg-type]
    svc.app.router.add_route("/added", raw())
    svc.app.router.add_route("/added/admin", admin(raw()))


def routers(svc: Service) -> None:
    inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/outer")
    for path, answer in (("", handler()), ("/admin", admin(handler())), ("/public", auth.public(handler()))):
        inner.get(f"/silent{path}")(answer)
    inner.add_route("/route", raw())
    inner.add_route("/route/admin", admin(raw()))
    inner.mount("/mounted", PureApp())
    outer.include_router(inner, prefix="/between")
    svc.include_router(outer, prefix="/v1")


def mounts(svc: Service, folder: Path) -> None:
    def files() -> StaticFiles:
        return StaticFiles(directory=folder)

    def app() -> FastAPI:
        made = FastAPI()
        made.get("/x")(handler())
        return made

    svc.app.mount("/files/admin", admin(files()))
    svc.app.mount("/files/public", auth.public(files()))
    svc.app.mount("/files", files())
    svc.app.mount("/app/admin", admin(app()))
    svc.app.mount("/app/public", auth.public(app()))
    svc.app.mount("/app", app())
    svc.app.router.routes.append(Mount("/routes", routes=[Route("/x", raw())]))
    svc.app.router.routes.append(admin(Mount("/routes-admin", routes=[Route("/x", raw())])))
    svc.app.mount("/callable-admin", MarkedApp())
    svc.app.router.routes.insert(0, Host("other.example", Router([Route("/{path:path}", raw())])))
    svc.app.router.routes.insert(0, Host("admin.example", admin(Router([Route("/{path:path}", raw())]))))


def everything(folder: Path) -> Service:
    svc = ServiceBuilder("everything")
    functions(svc)
    controller(svc)
    fastapi_routes(svc)
    starlette_routes(svc)
    routers(svc)
    mounts(svc, folder)
    return svc


KINDS: dict[str, Expected] = {
    "/ours": NOBODY,
    "/ours/admin": ADMIN,
    "/ours/public": PUBLIC,
    "/ours/partial": ADMIN,
    "/methods/silent": NOBODY,
    "/methods/admin": ADMIN,
    "/methods/public": PUBLIC,
    "/raw": NOBODY,
    "/raw/admin": ADMIN,
    "/raw/above": ADMIN,
    "/raw/public": PUBLIC,
    "/route": NOBODY,
    "/route/admin": ADMIN,
    "/route/public": PUBLIC,
    "/route/itself": ADMIN,
    "/route/partial": ADMIN,
    "/route/app": NOBODY,
    "/route/app/admin": ADMIN,
    "/class": NOBODY,
    "/class/admin": ADMIN,
    "/added": NOBODY,
    "/added/admin": ADMIN,
    "/v1/outer/between/inner/silent": NOBODY,
    "/v1/outer/between/inner/silent/admin": ADMIN,
    "/v1/outer/between/inner/silent/public": PUBLIC,
    "/v1/outer/between/route": NOBODY,
    "/v1/outer/between/route/admin": ADMIN,
    "/v1/outer/between/mounted/x": NOBODY,
    "/files/page.txt": NOBODY,
    "/files/none.txt": NOBODY,
    "/files/admin/page.txt": ADMIN,
    "/files/public/page.txt": PUBLIC,
    "/app/x": NOBODY,
    "/app/nowhere": NOBODY,
    "/app/docs": NOBODY,
    "/app/admin/x": ADMIN,
    "/app/admin/openapi.json": ADMIN,
    "/app/public/x": PUBLIC,
    "/routes/x": NOBODY,
    "/routes-admin/x": ADMIN,
    "/callable-admin/x": ADMIN,
}


async def test_A1_each_kind_of_route_is_for_whom_it_says_or_for_nobody(tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("reached")
    svc = everything(tmp_path)
    async with running(svc) as env:
        found = {path: await answers(env, svc, path) for path in KINDS}
    assert found == KINDS


@pytest.mark.parametrize(("host", "expected"), [("other.example", NOBODY), ("admin.example", ADMIN)])
async def test_A1_a_host_is_for_whom_it_says(tmp_path: Path, host: str, expected: Expected) -> None:
    svc = everything(tmp_path)
    async with running(svc) as env:
        for path in ("/", "/ours/public", "/anything"):
            assert await answers(env, svc, path, host=host) == expected


async def test_A1_head_and_options_are_guarded_as_get_is(tmp_path: Path) -> None:
    svc = everything(tmp_path)
    async with running(svc) as env:
        for path in ("/route", "/class", "/files/page.txt", "/app/x"):
            reply = await env.client(svc).head(path)
            assert (reply.status_code, reply.content) == (401, b"")
        for path in ("/route/app", "/app/x", "/class"):
            assert (await env.client(svc).options(path)).status_code == 401
