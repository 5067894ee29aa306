"""A1: what is declared holds through all layers around a function or an app, and where decorators do not belong."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware

from evox import GET, Controller, ServiceBuilder
from evox.auth import requirement_of
from evox.core import auth
from evox.errors import InvalidDeclaration
from evox.testing import running

admin, user = auth.require_roles("admin"), auth.require_roles("user")


def plain() -> str:
    return "reached"


class Calling:
    @admin
    def __call__(self) -> str:
        return "reached"


class Overriding(Calling):
    def __call__(self) -> str:
        return "reached"


@admin
class Holder:
    def method(self) -> str:
        return "reached"


def wrapped() -> Callable[[], str]:
    def reached() -> str:
        return "reached"

    function = admin(reached)

    @wraps(function, updated=())
    def around() -> str:
        return function()

    return around


TARGETS: dict[str, Callable[[], Any]] = {
    "static method": lambda: admin(staticmethod(lambda: "reached")),
    "callable": Calling,
    "callable that overrides": Overriding,
    "wrapper": wrapped,
    "bound method": lambda: Holder().method,
    "partial of partial": lambda: partial(partial(admin(lambda: "reached"))),
    "public around it": lambda: auth.public(partial(admin(lambda: "reached"))),
}


@pytest.mark.parametrize("make", TARGETS.values(), ids=TARGETS)
async def test_A1_a_declaration_is_found_on_whatever_layer_it_is(make: Callable[[], Any]) -> None:
    svc = ServiceBuilder("a")
    svc.get("/ours", name="ours")(make())
    svc.app.get("/raw")(make())
    async with running(svc) as env:
        root = env.client(svc, token=env.token("root", roles=["admin"]))
        for path in ("/ours", "/raw"):
            assert (await env.client(svc).get(path)).status_code == 401, path
            assert (await root.get(path)).status_code == 200, path


def test_A1_declarations_on_two_layers_must_both_be_met() -> None:
    both = requirement_of(user(partial(admin(lambda: None))))
    assert both is not None
    assert set(both.roles) == {"user", "admin"}
    assert len(both.clauses) == 2


async def test_A1_an_app_is_guarded_below_its_middleware() -> None:
    svc = ServiceBuilder("a")
    inner = FastAPI()
    inner.get("/x")(plain)
    svc.app.mount("/m", GZipMiddleware(admin(inner)))
    async with running(svc) as env:
        assert (await env.client(svc).get("/m/x")).status_code == 401
        root = env.client(svc, token=env.token("root", roles=["admin"]))
        assert (await root.get("/m/x")).status_code == 200


async def test_A1_what_is_declared_within_an_app_below_middleware_ends_the_start() -> None:
    svc = ServiceBuilder("a")
    inner = FastAPI()
    inner.get("/x")(admin(lambda: "reached"))
    svc.app.mount("/m", GZipMiddleware(inner))
    with pytest.raises(InvalidDeclaration, match="of a mounted app"):
        async with running(svc):
            pass


async def test_A1_a_decorator_that_is_used_as_a_dependency_ends_the_start() -> None:
    svc = ServiceBuilder("a")
    svc.get("/x", dependencies=[Depends(auth.require_roles("admin"))])(plain)
    with pytest.raises(InvalidDeclaration, match="a decorator is none"):
        async with running(svc):
            pass


def test_A1_a_controller_that_was_compiled_takes_no_more() -> None:
    @Controller("/c")
    class Own:
        @GET("/x")
        def x(self) -> str:
            return "reached"

    svc = ServiceBuilder("a")
    svc.register_controller(Own)
    assert svc.endpoints
    with pytest.raises(RuntimeError, match="comes too late"):
        admin(Own)


async def test_A1_a_raw_route_that_is_decorated_while_it_runs_is_told_that_it_is_too_late() -> None:
    svc = ServiceBuilder("a")
    svc.get("/asks")(admin(lambda: "asks"))

    def raw() -> str:
        return "reached"

    svc.app.get("/raw")(auth.public(raw))
    async with running(svc):
        with pytest.raises(RuntimeError, match="comes too late"):
            admin(raw)


async def test_A1_an_endpoint_for_other_services_is_so_under_another_route_too() -> None:
    svc = ServiceBuilder("a")
    svc.get("/own", private=True, name="own")(admin(lambda: "reached"))
    endpoint = next(one.endpoint for one in svc.app.routes if getattr(one, "path", "") == "/own")  # type: ignore[attr-defined]
    svc.app.add_api_route("/alias", endpoint)
    async with running(svc) as env:
        root = env.client(svc, token=env.token("root", roles=["admin"]))
        assert (await root.get("/alias")).status_code == 403


async def test_A1_endpoints_in_an_app_of_nobodys_let_nobody_in() -> None:
    svc = ServiceBuilder("a")
    svc.get("/asks")(admin(lambda: "asks"))
    svc.get("/forgotten")(plain)
    app = FastAPI()
    app.include_router(svc.app.router)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://a") as client:
        for path in ("/asks", "/forgotten"):
            assert (await client.get(path)).status_code == 500, path
