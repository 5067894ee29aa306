"""The same tests with both services in one process, over HTTP, and in processes of their own."""

import httpx2
import pytest

from evox.testing import TOPOLOGIES, Topology, running, spread

from .orders import svc as orders
from .users import svc as users

LAMP = {"user_id": 1, "product": "lamp", "price": 30}
every_topology = pytest.mark.parametrize("topology", TOPOLOGIES)


async def order(client: httpx2.AsyncClient, **changes: object) -> httpx2.Response:
    return await client.post("/orders", json=LAMP | changes)


@every_topology
async def test_an_order_is_charged_to_its_user(topology: Topology) -> None:
    async with spread(topology, orders, users) as env:
        client = env.client(orders)
        reply = await order(client)
        assert (reply.status_code, reply.json()) == (201, {"id": 1, **LAMP, "user": "Ada"})
        assert (await order(client, price=60)).status_code == 201
        reply = await order(client, price=30)
        assert (reply.status_code, reply.json()) == (409, {"error": "Ada has 10 left"})
        assert [one["price"] for one in (await client.get("/orders")).json()] == [30, 60]


@every_topology
async def test_a_user_that_is_not_there_cannot_order(topology: Topology) -> None:
    async with spread(topology, orders, users) as env:
        reply = await order(env.client(orders), user_id=9)
        assert (reply.status_code, reply.json()) == (422, {"error": "there is no user 9"})


@every_topology
async def test_a_charge_whose_answer_is_lost_is_made_once(topology: Topology) -> None:
    async with spread(topology, orders, users) as env:
        client = env.client(orders)
        with env.faults("user-service", cut=True, times=1) as faults:
            assert (await order(client)).status_code == 201
            assert faults.hit == 1
        assert (await order(client, price=70)).status_code == 201  # 100 - 30 - 70: it was charged once


@every_topology
async def test_orders_are_listed_without_names_while_the_user_service_is_away(topology: Topology) -> None:
    async with spread(topology, orders, users) as env:
        client = env.client(orders)
        await order(client)
        with env.faults("user-service", refuse=True):
            assert [one["user"] for one in (await client.get("/orders")).json()] == [None]
        assert [one["user"] for one in (await client.get("/orders")).json()] == ["Ada"]


async def test_the_order_service_alone_is_tested_with_a_fake() -> None:
    async with running(orders) as env:
        bob = {"id": 7, "name": "Bob", "credit": 0}
        with env.fake("user-service", charge=bob, get_user=bob) as fake:
            reply = await order(env.client(orders), user_id=7)
            assert reply.json()["user"] == "Bob"
        assert fake.calls == [("charge", (7,), {"amount": 30})]
