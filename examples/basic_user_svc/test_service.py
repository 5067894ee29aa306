"""The whole behaviour of the service. Each test runs it anew, on trio and on asyncio, and sees only its own users."""

from typing import Any

import anyio
import httpx2
import pytest

from evox import inject
from evox.testing import run_virtual, running

from .service import Outbox, UserStore, svc

ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "age": 36}
GRACE = {"name": "Grace Hopper", "email": "grace@example.org", "age": 85}


async def create(client: httpx2.AsyncClient, user: dict[str, Any]) -> str:
    reply = await client.post("/users", json=user)
    assert reply.status_code == 201
    user_id: str = reply.json()["id"]
    return user_id


async def names(client: httpx2.AsyncClient, **filters: str | int) -> list[str]:
    reply = await client.get("/users", params=filters)
    assert reply.status_code == 200
    return [user["name"] for user in reply.json()]


async def test_a_created_user_can_be_read() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        user_id = await create(client, ADA)
        reply = await client.get(f"/users/{user_id}")
        assert (reply.status_code, reply.json()) == (200, {"id": user_id, **ADA})


async def test_an_update_changes_only_the_fields_that_are_given() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        user_id = await create(client, ADA)
        changed = {"id": user_id, **ADA, "age": 37}
        reply = await client.put(f"/users/{user_id}", json={"age": 37})
        assert (reply.status_code, reply.json()) == (200, changed)
        assert (await client.get(f"/users/{user_id}")).json() == changed


async def test_a_deleted_user_is_returned_once_more_and_then_gone() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        user_id = await create(client, ADA)
        reply = await client.delete(f"/users/{user_id}")
        assert (reply.status_code, reply.json()) == (200, {"id": user_id, **ADA})
        assert (await client.get(f"/users/{user_id}")).status_code == 404
        assert await names(client) == []


async def test_an_id_is_not_used_again() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        first = await create(client, ADA)
        await client.delete(f"/users/{first}")
        assert await create(client, ADA) != first


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_unknown_user_is_a_404(method: str) -> None:
    async with running(svc) as env:
        reply = await env.client(svc).request(method, "/users/7", json={"age": 1} if method == "PUT" else None)
        assert (reply.status_code, reply.json()) == (404, {"error": "User not found"})


@pytest.mark.parametrize(
    ("field", "value"), [("name", ""), ("email", "nowhere"), ("age", -1), ("age", "old"), ("age", None)]
)
async def test_a_new_user_that_does_not_fit_is_refused_and_the_field_named(field: str, value: object) -> None:
    async with running(svc) as env:
        client = env.client(svc)
        reply = await client.post("/users", json={**ADA, field: value})
        assert reply.status_code == 422
        assert [error["loc"] for error in reply.json()["detail"]] == [["body", field]]
        assert await names(client) == []


async def test_an_update_that_does_not_fit_changes_nothing() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        user_id = await create(client, ADA)
        assert (await client.put(f"/users/{user_id}", json={"name": "Ada King", "age": 999})).status_code == 422
        assert (await client.get(f"/users/{user_id}")).json() == {"id": user_id, **ADA}


async def test_an_update_without_a_body_is_refused() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        user_id = await create(client, ADA)
        assert (await client.put(f"/users/{user_id}")).status_code == 422


async def test_the_list_is_filtered_by_name_and_age() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        await create(client, ADA)
        await create(client, GRACE)
        assert await names(client) == ["Ada Lovelace", "Grace Hopper"]
        assert await names(client, name="hopper") == ["Grace Hopper"]
        assert await names(client, min_age=36) == ["Ada Lovelace", "Grace Hopper"]
        assert await names(client, max_age=84) == ["Ada Lovelace"]
        assert await names(client, name="ada", min_age=37) == []


async def test_a_filter_that_is_no_number_is_refused() -> None:
    async with running(svc) as env:
        reply = await env.client(svc).get("/users", params={"min_age": "old"})
        assert (reply.status_code, reply.json()["detail"][0]["loc"]) == (422, ["query", "min_age"])


async def test_offers_are_those_of_the_items_service() -> None:
    kettle = {"id": "9", "name": "Kettle", "price": 9.5}
    async with running(svc) as env:
        client = env.client(svc)
        user_id = await create(client, ADA)
        with env.fake("advanced-items-service", list_items=[kettle]) as fake:
            assert (await client.get(f"/users/{user_id}/offers")).json() == ["Kettle, 9.5 for you, Ada Lovelace"]
            assert (await client.get("/users/7/offers")).status_code == 404
        assert fake.calls == [("list_items", (), {"max_price": 50})]


async def test_there_are_no_offers_while_the_items_service_is_away() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        user_id = await create(client, ADA)
        with env.fake("advanced-items-service", list_items=TimeoutError):
            assert (await client.get(f"/users/{user_id}/offers")).json() == []


async def test_a_new_user_is_sent_a_welcome_mail() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        await create(client, ADA)
        mails: list[str] = []
        with anyio.fail_after(5):
            while not mails:
                mails = (await client.get("/outbox")).json()
        assert mails == ["To ada@example.org: Welcome, Ada Lovelace!"]


async def test_a_shutdown_waits_for_welcome_mails() -> None:
    async with running(svc) as env:
        outbox = inject(Outbox)
        await create(env.client(svc), ADA)
    assert len(outbox.mails) == 1


def test_each_minute_the_outbox_is_cut_to_the_last_hundred_mails() -> None:
    async def main() -> None:
        async with running(svc):
            outbox = inject(Outbox)
            outbox.mails = [str(number) for number in range(150)]
            await anyio.sleep(61)
            assert outbox.mails == [str(number) for number in range(50, 150)]

    run_virtual(main)  # trio, on a clock that jumps: the minute takes no time


async def test_the_store_is_open_while_the_service_runs() -> None:
    async with running(svc) as env:
        store = inject(UserStore)
        health = await env.client(svc).get("/health")
        assert health.status_code == 200
        assert health.json()["checks"] == {"store": [{"status": "pass"}]}
    assert not store.is_open


async def test_a_closed_store_fails_readiness_but_not_liveness() -> None:
    async with running(svc) as env:
        inject(UserStore).is_open = False
        client = env.client(svc)
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/health/live")).status_code == 200


async def test_openapi_has_each_method_of_the_one_handler_and_the_users_model() -> None:
    async with running(svc) as env:
        document = (await env.client(svc).get("/openapi.json")).json()
        assert set(document["paths"]["/users/{user_id}"]) == {"get", "put", "delete"}
        shown = document["paths"]["/users/{user_id}"]["get"]["responses"]["200"]["content"]["application/json"]
        assert shown["schema"] == {"$ref": "#/components/schemas/User"}
