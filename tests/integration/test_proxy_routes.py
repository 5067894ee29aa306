"""Calls of routes that are no endpoints of ours: routers, existing apps; a token is good for one of them."""

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from tests.integration.peers import users

from evox import Service, ServiceBuilder
from evox.auth import Internal
from evox.core import auth, proxy
from evox.errors import CallDenied
from evox.testing import TOPOLOGIES, running, spread

NEAR = TOPOLOGIES[:2]


def routed() -> ServiceBuilder:
    svc, router = ServiceBuilder("routed"), APIRouter(prefix="/shop")

    @router.get("/items/{item_id}")
    @auth.require_roles("clerk")
    async def get_item(item_id: int) -> list[Any]:
        return [item_id, auth.current().subject, list(auth.current().chain)]

    svc.include_router(router, prefix="/v1")
    return svc


def existing() -> Service:
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def get_item(item_id: int) -> int:
        return item_id

    return Service.from_fastapi(app, name="existing")


def caller(name: str) -> ServiceBuilder:
    svc = ServiceBuilder("caller")

    @svc.get("/items/{item_id}")
    @auth.public
    async def items(item_id: int) -> Any:
        try:
            return await getattr(proxy, name).get_item(item_id)
        except CallDenied as error:
            return error.code

    return svc


@pytest.mark.parametrize("topology", NEAR)
async def test_A6_a_route_of_a_router_knows_the_user_that_a_service_works_for(topology: Any) -> None:
    svc = caller("routed")
    async with spread(topology, svc, routed()) as env:
        ada = env.client(svc, token=env.token("ada", roles=["clerk"]))
        assert (await ada.get("/items/7")).json() == [7, "ada", ["caller"]]
        eve = env.client(svc, token=env.token("eve", roles=["customer"]))
        assert (await eve.get("/items/7")).json() == 403
        assert (await env.client(svc).get("/items/7")).json() == 403


@pytest.mark.parametrize(
    "operation", ["GET /shop/items/{item_id}", "POST /v1/shop/items/{item_id}", "GET /v1/shop/items/7"]
)
async def test_A6_a_token_for_another_route_is_refused(operation: str) -> None:
    svc = routed()
    async with running(svc) as env:
        tokens = env.service(svc).authority.internal_tokens()
        assert tokens is not None
        user = auth.Principal("user", "ada", frozenset({"clerk"}), "evox")
        for asked, status in ((operation, 401), ("GET /v1/shop/items/{item_id}", 200)):
            token = tokens.issue(Internal("caller", user, ("caller",)), audience="routed", operation=asked)
            reply = await env.client(svc, headers={"authorization": f"Evox-Internal {token}"}).get("/v1/shop/items/7")
            assert reply.status_code == status


@pytest.mark.parametrize("topology", NEAR)
async def test_an_existing_app_is_called_by_the_names_of_its_routes(topology: Any) -> None:
    svc = caller("existing")
    async with spread(topology, svc, existing()) as env:
        assert (await env.client(svc).get("/items/7")).json() == 7


async def test_an_existing_app_elsewhere_describes_itself() -> None:
    app, svc = existing(), caller("existing")
    async with running(app, sockets=True) as there:
        paths = (await there.client(app).get("/openapi.json")).json()["paths"]
        assert list(paths) == ["/items/{item_id}"]  # nothing of ours is in its document
        async with running(svc, settings={"peers": {"existing": there.url(app)}}) as env:
            assert (await env.client(svc).get("/items/7")).json() == 7


async def test_a_description_has_private_endpoints_for_services_alone() -> None:
    async with running(users) as env:
        names = [one["name"] for one in (await env.client(users).get("/_evox/operations")).json()["operations"]]
        assert names == ["get_user", "pid", "headers"]
        tokens = env.service(users).authority.internal_tokens()
        assert tokens is not None
        token = tokens.issue(Internal("caller"), audience="user-service", operation="GET /_evox/operations")
        client = env.client(users, headers={"authorization": f"Evox-Internal {token}"})
        names = [one["name"] for one in (await client.get("/_evox/operations")).json()["operations"]]
        assert names == ["get_user", "pid", "headers", "who"]
