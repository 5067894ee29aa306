"""What of a service asks who calls: found among its routes, and looked up again when there are others."""

import pytest
from fastapi import APIRouter
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from evox import Service, service
from evox.core import auth
from evox.services import protection


@pytest.fixture
def svc() -> Service:
    svc = service("shop")

    @svc.get("/prices")
    async def prices() -> int:
        return 9

    return svc


def asking(svc: Service) -> list[str]:
    return list(svc.asking)


@auth.require_roles("admin")
async def secret() -> int:
    return 7


def test_A1_nothing_asks_until_an_endpoint_does(svc: Service) -> None:
    assert not asking(svc)
    svc.get("/secret")(secret)
    assert asking(svc) == ["endpoint 'secret'"]


def test_A1_a_route_that_is_added_later_is_seen(svc: Service) -> None:
    assert not asking(svc)
    svc.app.add_api_route("/secret", secret)
    assert asking(svc) == ["route /secret"]


def test_A1_a_route_that_takes_the_place_of_another_is_seen(svc: Service) -> None:
    assert not asking(svc)
    routes = svc.app.router.routes
    kept = routes[-1]
    routes[-1] = auth.require_roles("admin")(Route("/prices", PlainTextResponse("9")))
    assert asking(svc) == ["route /prices"]
    routes[-1] = kept
    assert not asking(svc)


def test_A1_a_route_of_an_included_router_is_seen_at_any_depth_and_time(svc: Service) -> None:
    outer, inner = APIRouter(prefix="/outer"), APIRouter(prefix="/inner")
    outer.include_router(inner)
    svc.app.include_router(outer)
    assert not asking(svc)
    inner.add_api_route("/secret", secret)
    assert asking(svc) == ["route /outer/inner/secret"]


def test_routes_that_are_as_they_were_are_not_looked_through_again(
    svc: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    svc.get("/secret")(secret)
    before = svc.asking
    monkeypatch.setattr(protection, "_asking", lambda app: pytest.fail("they were looked through"))
    assert svc.asking is before
