"""Gateway: which service a path goes to, and what becomes of the path."""

from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from evox import Param, Request, ServiceBuilder
from evox.orchestrator import Gateway
from evox.testing import running
from evox.testing.clients import AppTransport


class Thing(BaseModel):
    name: str


def things(name: str) -> ServiceBuilder:
    svc = ServiceBuilder(name)

    @svc.get("/things/{thing:path}")
    async def read(request: Request, thing: str = Param()) -> dict[str, Any]:
        return {
            "service": name,
            "thing": thing,
            "path": request.url.path,
            "root": request.scope["root_path"],
            "query": request.url.query,
        }

    @svc.post("/things")
    async def create(thing: Thing) -> Thing:
        return thing

    @svc.get("/")
    async def root() -> str:
        return f"root of {name}"

    return svc


class Opened:
    """Two services and a client of the gateway before them."""

    def __init__(self, env: Any) -> None:
        hosts = [env.host("users"), env.host("items")]
        self.hosts = hosts
        self.gateway = Gateway(hosts)
        self.client = httpx2.AsyncClient(
            base_url="http://gateway", transport=AppTransport(self.gateway, env._nursery), follow_redirects=False
        )


async def answers(*paths: str) -> list[httpx2.Response]:
    async with running(things("users"), things("items")) as env:
        opened = Opened(env)
        async with opened.client as client:
            return [await client.get(path) for path in paths]


async def test_the_first_part_of_the_path_chooses_the_service() -> None:
    users, items = await answers("/users/things/1", "/items/things/1")
    assert users.json()["service"] == "users"
    assert items.json()["service"] == "items"


async def test_the_service_sees_its_name_as_its_root_path() -> None:
    (answer,) = await answers("/users/things/a/b?c=d")
    assert answer.json() == {
        "service": "users",
        "thing": "a/b",
        "path": "/users/things/a/b",
        "root": "/users",
        "query": "c=d",
    }


@pytest.mark.parametrize("path", ["/users", "/users/"])
async def test_a_services_root_answers_with_and_without_the_slash(path: str) -> None:
    (answer,) = await answers(path)
    assert (answer.status_code, answer.json()) == (200, "root of users")


async def test_a_name_inside_the_path_chooses_nothing() -> None:
    (answer,) = await answers("/users/things/items/things/1")
    assert (answer.json()["service"], answer.json()["thing"]) == ("users", "items/things/1")


@pytest.mark.parametrize("path", ["/", "/nobody", "/usersx/things/1", "/user", "/USERS/things/1"])
async def test_a_path_of_no_service_is_404_and_names_those_that_are(path: str) -> None:
    (answer,) = await answers(path)
    assert answer.status_code == 404
    assert "/users, /items" in answer.json()["detail"]


async def test_health_fails_as_soon_as_one_service_is_not_ready() -> None:
    async with running(things("users"), things("items")) as env:
        opened = Opened(env)
        async with opened.client as client:
            before = await client.get("/health")
            opened.hosts[1].drain()
            after = await client.get("/health")
    assert (before.status_code, before.json()["status"]) == (200, "pass")
    assert (after.status_code, after.json()["status"]) == (503, "fail")
    assert after.json()["checks"] == {"users": [{"status": "pass"}], "items": [{"status": "fail"}]}


async def test_a_websocket_of_no_service_is_closed() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async with running(things("users"), things("items")) as env:
        await Opened(env).gateway({"type": "websocket", "path": "/nobody/talk", "headers": []}, receive, send)
    assert [one["type"] for one in sent] == ["websocket.close"]


async def test_the_joined_document_leaves_each_services_own_as_it_was() -> None:
    async with running(things("users"), things("items")) as env:
        opened = Opened(env)
        own = opened.hosts[0].service.app.openapi()
        joined = opened.gateway.openapi()
    assert set(own["paths"]) == {"/things/{thing}", "/things", "/"}
    assert "Thing" in own["components"]["schemas"]
    assert {"users.Thing", "items.Thing"} <= set(joined["components"]["schemas"])


async def test_the_joined_document_of_services_without_models_has_no_components() -> None:
    plain = ServiceBuilder("plain")

    @plain.get("/")
    async def root() -> str:
        return "plain"

    async with running(plain) as env:
        document = Gateway([env.host("plain")]).openapi()
    assert list(document["paths"]) == ["/plain/"]
    assert "components" not in document
