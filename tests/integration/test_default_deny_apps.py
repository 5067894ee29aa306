"""A1: services within services, existing apps, routes that come later, front ends and defaults: for whom they say."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router

from evox import Service, ServiceBuilder
from evox.core import auth
from evox.testing import Env, running

CALLERS = ("no token", "admin", "user", "bad token")
NOBODY, ADMIN, PUBLIC = [401, 403, 403, 401], [401, 200, 403, 401], [200] * 4
admin = auth.require_roles("admin")


async def answers(env: Env, service: Service, path: str, method: str = "GET") -> list[int]:
    found = []
    for caller in CALLERS:
        roles = ["admin"] if caller == "admin" else ["user"]
        token = {"no token": None, "bad token": "no.good.token"}.get(caller, env.token("ada", roles=roles))
        found.append((await env.client(service, token=token).request(method, path)).status_code)
    return found


def own(name: str, *, asks: bool) -> Service:
    svc = ServiceBuilder(name)
    if asks:
        svc.get("/asks")(admin(lambda: "reached"))
        svc.get("/public")(auth.public(lambda: str(auth.current())))
    svc.get("/silent")(lambda: str(auth.current()))
    return svc


async def test_A1_a_mounted_service_is_guarded_by_both() -> None:
    outer, asks = own("outer", asks=True), own("asks", asks=True)
    outer.app.mount("/open", auth.public(own("calm", asks=False).app))
    outer.app.mount("/admins", admin(own("admins", asks=False).app))
    outer.app.mount("/silent-app", own("silent", asks=False).app)
    outer.app.mount("/asks-app", auth.public(asks.app))
    async with running(outer) as env:
        assert await answers(env, outer, "/open/silent") == PUBLIC
        assert await answers(env, outer, "/admins/silent") == ADMIN
        assert await answers(env, outer, "/silent-app/silent") == NOBODY
        assert await answers(env, outer, "/silent-app/health") == NOBODY
        assert await answers(env, outer, "/asks-app/silent") == NOBODY
        assert await answers(env, outer, "/asks-app/asks") == ADMIN
        assert await answers(env, outer, "/asks-app/public") == PUBLIC


async def test_A1_where_the_outer_service_asks_nothing_the_mounted_one_still_does() -> None:
    outer, inner = own("outer", asks=False), own("inner", asks=True)
    outer.app.mount("/inner", inner.app)
    async with running(outer) as env:
        assert await answers(env, outer, "/silent") == PUBLIC
        assert await answers(env, outer, "/inner/silent") == NOBODY
        assert await answers(env, outer, "/inner/asks") == ADMIN
        token = env.token("ada")
        assert (await env.client(outer, token=token).get("/inner/public")).json() == "user 'ada'"


async def test_A1_the_router_of_a_service_that_asks_is_not_to_be_had_without_its_guard() -> None:
    outer, inner = own("outer", asks=False), own("inner", asks=True)
    outer.app.mount("/taken", inner.app.router)
    async with running(outer) as env:
        for path in ("/taken/silent", "/taken/public"):
            assert await answers(env, outer, path) == [500] * 4


async def test_A1_the_endpoints_of_a_service_that_are_included_in_another_keep_what_they_ask() -> None:
    outer, inner = own("outer", asks=False), own("inner", asks=True)
    inner.app.get("/raw")(lambda: "reached")
    outer.app.include_router(inner.app.router, prefix="/inner")
    async with running(outer) as env:
        assert outer.asking
        assert await answers(env, outer, "/inner/asks") == ADMIN
        assert await answers(env, outer, "/inner/public") == PUBLIC
        for path in ("/inner/silent", "/inner/raw", "/silent"):
            assert await answers(env, outer, path) == NOBODY


def existing(*, asks: bool) -> FastAPI:
    app, router = FastAPI(), APIRouter(prefix="/api")
    app.get("/silent")(lambda: "reached")
    router.get("/silent")(lambda: "reached")
    if asks:
        app.get("/public")(auth.public(lambda: "reached"))
        router.get("/asks")(admin(lambda: "reached"))
    app.include_router(router)
    app.mount("/mounted", PlainTextResponse("reached"))
    return app


async def test_A1_an_existing_app_is_guarded_once_one_of_its_endpoints_asks() -> None:
    svc = Service.from_fastapi(existing(asks=True), name="old")
    async with running(svc) as env:
        assert await answers(env, svc, "/api/asks") == ADMIN
        assert await answers(env, svc, "/public") == PUBLIC
        for path in ("/silent", "/api/silent", "/mounted/x"):
            assert await answers(env, svc, path) == NOBODY
        for path in ("/health", "/health/ready"):
            assert await answers(env, svc, path) == PUBLIC


async def test_an_existing_app_in_which_nothing_asks_is_as_it_was() -> None:
    svc = Service.from_fastapi(existing(asks=False), name="old")
    async with running(svc) as env:
        for path in ("/silent", "/api/silent", "/mounted/x"):
            assert await answers(env, svc, path) == PUBLIC


async def test_A1_an_endpoint_that_is_added_to_an_existing_app_switches_it_over() -> None:
    svc = Service.from_fastapi(existing(asks=False), name="old")
    svc.get("/ours")(admin(lambda: "reached"))
    async with running(svc) as env:
        assert await answers(env, svc, "/ours") == ADMIN
        assert await answers(env, svc, "/silent") == NOBODY


def marked() -> Any:
    async def reached(request: Request) -> PlainTextResponse:
        return PlainTextResponse("reached")

    return admin(reached)


LATER: dict[str, Any] = {
    "a raw route": lambda svc, _: svc.app.add_api_route("/later", admin(lambda: "reached")),
    "a route of Starlette's": lambda svc, _: svc.app.router.routes.append(Route("/later", marked())),
    "one in the place of another": lambda svc, _: svc.app.router.routes.__setitem__(-1, Route("/later", marked())),
    "one in a router": lambda _, router: router.get("/later")(admin(lambda: "reached")),
    "a router": lambda svc, _: svc.app.include_router(later_router()),
    "a default": lambda svc, _: setattr(svc.app.router, "default", admin(PlainTextResponse("reached"))),
    "a mounted app": lambda svc, _: svc.app.mount("/later", admin(PlainTextResponse("reached"))),
    "a mount of routes": lambda svc, _: svc.app.router.routes.append(
        admin(Mount("/later", app=Router([Route("/", marked_not())])))
    ),
}


def later_router() -> APIRouter:
    router = APIRouter()
    router.get("/later")(admin(lambda: "reached"))
    return router


def marked_not() -> Any:
    async def reached(request: Request) -> PlainTextResponse:
        return PlainTextResponse("reached")

    return reached


@pytest.mark.parametrize("add", LATER.values(), ids=LATER)
async def test_A1_a_route_that_is_added_while_the_service_runs_switches_it_over(add: Any) -> None:
    svc, router = ServiceBuilder("a"), APIRouter()
    svc.get("/ours")(lambda: "reached")
    router.get("/routed")(lambda: "reached")
    svc.include_router(router)
    svc.app.get("/last")(lambda: "reached")
    async with running(svc) as env:
        assert await answers(env, svc, "/ours") == await answers(env, svc, "/routed") == PUBLIC
        add(svc, router)
        path = "/later/" if "mount" in next(name for name, one in LATER.items() if one is add) else "/later"
        assert await answers(env, svc, path) == ADMIN
        assert await answers(env, svc, "/ours") == await answers(env, svc, "/routed") == NOBODY


async def test_A1_one_that_says_nothing_is_for_nobody_from_its_first_request_on() -> None:
    svc = own("a", asks=True)
    async with running(svc) as env:
        svc.app.add_api_route("/later", lambda: "reached")
        svc.app.mount("/mounted", PlainTextResponse("reached"))
        assert await answers(env, svc, "/later") == await answers(env, svc, "/mounted/x") == NOBODY


@pytest.mark.parametrize(("declare", "expected"), [(None, NOBODY), (admin, ADMIN), (auth.public, PUBLIC)])
async def test_A1_a_default_of_ones_own_is_for_whom_it_says(declare: Any, expected: list[int]) -> None:
    svc = own("a", asks=True)
    default = PlainTextResponse("reached")
    svc.app.router.default = default if declare is None else declare(default)
    async with running(svc) as env:
        assert await answers(env, svc, "/nowhere") == expected
        assert await answers(env, svc, "/public") == PUBLIC
        assert await answers(env, svc, "/asks", "POST") == [405] * 4


async def test_A1_a_default_that_asks_switches_the_service_over() -> None:
    svc = own("a", asks=False)
    svc.app.router.default = admin(PlainTextResponse("reached"))
    async with running(svc) as env:
        assert await answers(env, svc, "/nowhere") == ADMIN
        assert await answers(env, svc, "/silent") == NOBODY


@pytest.mark.parametrize("below", ["/", "/site"])
async def test_A1_a_front_end_is_for_nobody_wherever_it_is_declared(tmp_path: Path, below: str) -> None:
    (tmp_path / "index.html").write_text("reached")
    svc, router = own("a", asks=True), APIRouter(prefix="/in")
    svc.app.frontend(below, directory=tmp_path)
    router.frontend("/", directory=tmp_path)
    svc.include_router(router)
    async with running(svc) as env:
        for path in (f"{below.rstrip('/')}/index.html", "/in/index.html"):
            assert await answers(env, svc, path) == NOBODY
        assert await answers(env, svc, "/asks") == ADMIN
        assert await answers(env, svc, "/health") == PUBLIC
