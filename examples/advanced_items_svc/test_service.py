"""The whole behaviour of the service. Each test runs it anew, on trio and on asyncio, and sees only its own items."""

from typing import Any

import anyio
import httpx2
import pytest

from evox import inject
from evox.testing import run_virtual, running

from .service import ItemStore, svc

CHAIR = {"name": "Chair", "description": "four legs", "price": 60.0, "category": "home"}
LAMP = {"id": "1", "name": "Lamp", "description": "for the desk", "price": 25.0, "category": "home"}


async def create(client: httpx2.AsyncClient, item: dict[str, Any]) -> str:
    reply = await client.post("/v1/items", json=item)
    assert reply.status_code == 201
    item_id: str = reply.json()["id"]
    return item_id


async def names(client: httpx2.AsyncClient, **filters: str | float) -> list[str]:
    reply = await client.get("/v1/items", params=filters)
    assert reply.status_code == 200
    return [item["name"] for item in reply.json()]


async def test_the_service_starts_with_two_items() -> None:
    async with running(svc) as env:
        assert await names(env.client(svc)) == ["Lamp", "Kettle"]


async def test_a_created_item_can_be_read() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        item_id = await create(client, CHAIR)
        reply = await client.get(f"/v1/items/{item_id}")
        assert (reply.status_code, reply.json()) == (200, {"id": item_id, **CHAIR})


async def test_the_list_shows_every_write_at_once() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        item_id = await create(client, CHAIR)
        assert await names(client) == ["Lamp", "Kettle", "Chair"]
        await client.patch(f"/v1/items/{item_id}", json={"name": "Stool"})
        assert await names(client) == ["Lamp", "Kettle", "Stool"]
        await client.delete(f"/v1/items/{item_id}")
        assert await names(client) == ["Lamp", "Kettle"]


async def test_put_replaces_the_whole_item() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        desk = {"name": "Desk", "price": 90.0, "category": "office"}
        reply = await client.put("/v1/items/1", json=desk)
        assert (reply.status_code, reply.json()) == (200, {"id": "1", "description": "", **desk})
        assert (await client.get("/v1/items/1")).json() == reply.json()


async def test_patch_changes_only_the_fields_that_are_given() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        reply = await client.patch("/v1/items/1", json={"price": 20})
        assert (reply.status_code, reply.json()) == (200, {**LAMP, "price": 20.0})
        assert (await client.get("/v1/items/1")).json() == reply.json()


async def test_a_deleted_item_is_returned_once_more_and_then_gone() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        reply = await client.delete("/v1/items/1")
        assert (reply.status_code, reply.json()) == (200, LAMP)
        assert (await client.get("/v1/items/1")).status_code == 404
        assert await names(client) == ["Kettle"]


async def test_an_id_is_not_used_again() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        first = await create(client, CHAIR)
        await client.delete(f"/v1/items/{first}")
        assert await create(client, CHAIR) != first


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PUT", CHAIR), ("PATCH", {"price": 1}), ("DELETE", None)])
async def test_an_unknown_item_is_a_404(method: str, body: dict[str, Any] | None) -> None:
    async with running(svc) as env:
        reply = await env.client(svc).request(method, "/v1/items/77", json=body)
        assert (reply.status_code, reply.json()) == (404, {"error": "Item 77 not found"})


@pytest.mark.parametrize(("field", "value"), [("name", ""), ("price", -1), ("price", "free"), ("category", None)])
async def test_a_new_item_that_does_not_fit_is_refused_and_the_field_named(field: str, value: object) -> None:
    async with running(svc) as env:
        client = env.client(svc)
        reply = await client.post("/v1/items", json={**CHAIR, field: value})
        assert reply.status_code == 422
        assert [error["loc"] for error in reply.json()["detail"]] == [["body", field]]
        assert await names(client) == ["Lamp", "Kettle"]


@pytest.mark.parametrize(("method", "body"), [("PUT", {"name": "Desk"}), ("PATCH", {"price": -1}), ("PATCH", None)])
async def test_a_change_that_does_not_fit_is_refused_and_changes_nothing(method: str, body: dict[str, Any]) -> None:
    async with running(svc) as env:
        client = env.client(svc)
        assert (await client.request(method, "/v1/items/1", json=body)).status_code == 422
        assert (await client.get("/v1/items/1")).json() == LAMP


async def test_the_list_is_filtered_by_category_and_price() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        await create(client, CHAIR)
        assert await names(client, category="home") == ["Lamp", "Chair"]
        assert await names(client, min_price=40) == ["Kettle", "Chair"]
        assert await names(client, max_price=59.5) == ["Lamp", "Kettle"]
        assert await names(client, category="home", min_price=30, max_price=100) == ["Chair"]
        assert await names(client, category="garden") == []


async def test_a_filter_that_is_no_number_is_refused() -> None:
    async with running(svc) as env:
        reply = await env.client(svc).get("/v1/items", params={"min_price": "cheap"})
        assert (reply.status_code, reply.json()["detail"][0]["loc"]) == (422, ["query", "min_price"])


async def test_the_list_answers_with_and_without_a_trailing_slash() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        with_slash, without = await client.get("/v1/items/"), await client.get("/v1/items")
        assert (with_slash.status_code, with_slash.json()) == (200, without.json())


async def test_the_summary_is_there_once_the_background_task_has_run() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        summary: dict[str, Any] = {}
        with anyio.fail_after(5):
            while not summary:
                summary = (await client.get("/v1/summary")).json()
        assert summary == {
            "home": {"items": 1, "average_price": 25.0},
            "kitchen": {"items": 1, "average_price": 40.0},
        }


def test_the_summary_is_at_most_five_seconds_old() -> None:
    async def main() -> None:
        async with running(svc) as env:
            client = env.client(svc)
            await create(client, CHAIR)
            await anyio.sleep(5.1)
            summary = (await client.get("/v1/summary")).json()
            assert summary["home"] == {"items": 2, "average_price": 42.5}

    run_virtual(main)  # trio, on a clock that jumps: the five seconds take no time


async def test_the_store_is_open_while_the_service_runs() -> None:
    async with running(svc) as env:
        store = inject(ItemStore)
        health = await env.client(svc).get("/health")
        assert health.status_code == 200
        assert health.json()["checks"] == {"store": [{"status": "pass"}]}
    assert not store.is_open


async def test_a_store_of_ones_own_can_be_put_in_its_place() -> None:
    async with running(svc) as env:
        with env.override(ItemStore, ItemStore()):
            reply = await env.client(svc).get("/health/ready")
        assert reply.status_code == 503


async def test_openapi_has_every_operation_of_the_controllers_under_its_tag() -> None:
    async with running(svc) as env:
        paths = (await env.client(svc).get("/openapi.json")).json()["paths"]
        assert set(paths["/v1/items"]) == {"get", "post"}
        assert set(paths["/v1/items/{item_id}"]) == {"get", "put", "patch", "delete"}
        assert paths["/v1/items"]["get"]["tags"] == ["items"]
        assert paths["/v1/summary"]["get"]["tags"] == ["reports"]
