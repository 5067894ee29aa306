"""A1: what is declared where no guard looks ends the start with the line, and is never lost without a word."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router

from evox import Service, ServiceBuilder
from evox.core import auth, data_intent
from evox.errors import InvalidDeclaration
from evox.testing import running

admin = auth.require_roles("admin")


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("reached")


@admin
async def for_admins(request: Request) -> PlainTextResponse:
    return PlainTextResponse("reached")


class Methods(HTTPEndpoint):
    @admin
    async def get(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("reached")


class Below(Methods): ...


def router(*, marked: bool) -> APIRouter:
    made = APIRouter(prefix="/inner")
    made.get("/x")(lambda: "reached")
    return admin(made) if marked else made


def outer() -> APIRouter:
    made = APIRouter(prefix="/outer")
    made.include_router(router(marked=True))
    return made


def fastapi_app() -> FastAPI:
    app = FastAPI()
    app.get("/x")(admin(lambda: "reached"))
    return app


def with_router() -> FastAPI:
    app, inner = FastAPI(), router(marked=False)
    inner.get("/y")(admin(lambda: "reached"))
    app.include_router(inner)
    return app


def starlette_app() -> Starlette:
    return Starlette(routes=[Mount("/deep", app=Router([Route("/x", for_admins)]))])


def mount(app: Any) -> Callable[[Service], None]:
    return lambda svc: svc.app.mount("/m", app)


def add(route: Any) -> Callable[[Service], None]:
    return lambda svc: svc.app.router.routes.append(route)


PLACES: dict[str, tuple[Callable[[Service], Any], str, str]] = {
    "a router": (lambda svc: svc.include_router(router(marked=True)), "router '/inner'", "routes of the router"),
    "a router in another": (lambda svc: svc.include_router(outer()), "router '/inner'", "routes of the router"),
    "a router that is public": (
        lambda svc: svc.include_router(auth.public(router(marked=False))),
        "router '/inner'",
        "routes of the router",
    ),
    "a method of a class": (add(Route("/x", Methods)), "Methods.get", "on the class"),
    "a method of its base": (add(Route("/x", Below)), "Methods.get", "on the class"),
    "within a mounted app": (mount(fastapi_app()), "route '/x' of a mounted app", r"mount\(path, auth"),
    "within one that is public": (mount(auth.public(fastapi_app())), "route '/x' of a mounted", r"mount\(path, auth"),
    "in a router of a mounted app": (mount(with_router()), "route '/inner/y' of a mounted app", r"mount\(path, auth"),
    "deep in a mounted app": (mount(starlette_app()), "route '/x' of a mounted app", r"mount\(path, auth"),
    "an app in a mounted app": (
        mount(Starlette(routes=[Mount("/deep", app=admin(Starlette()))])),
        "route '/deep' of a mounted app",
        r"mount\(path, auth",
    ),
    "in a mount of routes": (
        add(Mount("/m", routes=[Route("/x", for_admins)])),
        "route '/x' of",
        r"mount\(path, au",
    ),
    "within a host": (add(Host("x.example", Router([Route("/x", for_admins)]))), "route '/x' of a", r"mount\(path, au"),
}


@pytest.mark.parametrize("asking", [False, True])
@pytest.mark.parametrize(("declare", "where", "fix"), PLACES.values(), ids=PLACES)
async def test_A1_what_no_guard_would_ask_ends_the_start(
    declare: Callable[[Service], Any], where: str, fix: str, asking: bool
) -> None:
    svc = ServiceBuilder("a")
    if asking:
        svc.get("/asking")(admin(lambda: "reached"))
    declare(svc)
    with pytest.raises(InvalidDeclaration, match=where) as caught:
        async with running(svc):
            raise AssertionError("it has started")
    with pytest.raises(InvalidDeclaration, match=fix):
        raise caught.value


async def test_A1_the_error_names_the_line_where_there_is_one() -> None:
    svc = ServiceBuilder("a")
    svc.app.mount("/m", Router([Route("/x", for_admins)]))
    with pytest.raises(InvalidDeclaration) as caught:
        async with running(svc):
            pass
    place = caught.value.place
    assert place is not None
    assert (place.file, place.line) == (__file__, for_admins.__code__.co_firstlineno)


async def test_A1_an_existing_app_is_looked_at_too() -> None:
    app = FastAPI()
    app.mount("/m", fastapi_app())
    with pytest.raises(InvalidDeclaration, match="of a mounted app"):
        async with running(Service.from_fastapi(app, name="a")):
            pass


async def test_A1_what_is_added_while_it_runs_lets_nobody_in() -> None:
    svc = ServiceBuilder("a")
    svc.get("/open")(auth.public(lambda: "open"))
    async with running(svc) as env:
        assert (await env.client(svc).get("/open")).status_code == 200
        svc.app.mount("/m", fastapi_app())
        assert (await env.client(svc).get("/m/x")).status_code == 500


async def test_A1_a_mounted_service_has_a_guard_of_its_own_and_is_left_to_it() -> None:
    inner, adopted, svc = ServiceBuilder("inner"), FastAPI(), ServiceBuilder("outer")
    inner.get("/x")(admin(lambda: "reached"))
    adopted.get("/x")(admin(lambda: "reached"))
    svc.app.mount("/inner", inner.app)
    svc.app.mount("/adopted", Service.from_fastapi(adopted, name="adopted").app)
    async with running(svc) as env:
        for path in ("/inner/x", "/adopted/x"):
            assert (await env.client(svc).get(path)).status_code == 401


@pytest.mark.parametrize("target", [data_intent.define("misplaced", ttl=1), ServiceBuilder("a"), object(), 7, "admin"])
def test_what_nothing_could_be_asked_of_takes_no_decorator(target: Any) -> None:
    with pytest.raises(InvalidDeclaration, match="it stands on"):
        admin(target)


@pytest.mark.parametrize("target", [Methods.mro, "text".upper, len], ids=["mro", "upper", "len"])
def test_what_can_hold_no_mark_is_told_so(target: Any) -> None:
    with pytest.raises(InvalidDeclaration, match="decorate the function where it is defined"):
        admin(target)


async def test_A1_a_dependency_that_is_decorated_ends_the_start() -> None:
    @admin
    def who() -> str:
        return "who"

    svc = ServiceBuilder("a")

    @svc.get("/x")
    @auth.public
    def x(given: str = Depends(who)) -> str:
        return given

    with pytest.raises(InvalidDeclaration, match="dependency 'who'"):
        async with running(svc):
            pass
