"""The behaviour of the service. Each test runs it anew, on trio and on asyncio; where time passes it is virtual."""

from typing import Any

import anyio
import httpx2

from evox import inject
from evox.testing import run_virtual, running

from .service import Supplier, svc

LAMP = {"id": "lamp", "name": "Lamp", "price": 25.0}
ORDER = {"id": "o1", "product": "lamp", "quantity": 2}


async def switch(client: httpx2.AsyncClient, on: bool) -> None:
    assert (await client.put("/supplier", json={"on": on})).json() == {"on": on}


async def test_an_order_is_kept_until_it_is_cancelled() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        assert (await client.post("/orders", json=ORDER)).status_code == 201
        assert (await client.get("/orders/o1")).json() == ORDER
        assert (await client.delete("/orders/o1")).json() == {"deleted": True}
        assert (await client.get("/orders/o1")).status_code == 404


async def test_the_ledger_hears_of_orders() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        for number in range(3):
            await client.post("/orders", json=ORDER | {"id": f"o{number}"})
        await anyio.wait_all_tasks_blocked()
        assert (await client.get("/ledger")).json() == {"lamp": 6}


async def test_the_supplier_is_asked_once_for_a_product_however_many_want_it() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(client.get, "/products/lamp")
        assert (await client.get("/products/lamp")).json() == LAMP
        assert inject(Supplier).asked == 1


async def test_a_forgotten_product_is_asked_for_again() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        await client.get("/products/lamp")
        assert (await client.post("/products/lamp/forget")).json() == {"copies": 1}
        await client.get("/products/lamp")
        assert inject(Supplier).asked == 2


async def test_a_visit_is_read_as_it_was_noted() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        await client.put("/visits/ada", json={"product": "sofa"})
        assert (await client.get("/visits/ada")).json() == {"visitor": "ada", "product": "sofa"}


def test_old_answers_are_served_for_a_day_while_the_supplier_is_off() -> None:
    async def main() -> list[Any]:
        seen: list[Any] = []
        async with running(svc, raise_errors=False) as env:
            client = env.client(svc)

            async def look() -> None:
                rates, product = await client.get("/rates"), await client.get("/products/lamp")
                status = rates.headers.get("cache-status", "")
                seen.append((rates.status_code, "stale" in status, product.status_code))

            await look()
            await switch(client, on=False)
            for hours in (1, 22, 2):
                await anyio.sleep(3600 * hours)
                await look()
            await switch(client, on=True)
            await anyio.sleep(60)
            await look()
        return seen

    fresh, stale, gone = (200, False, 200), (200, True, 200), (500, False, 500)
    assert run_virtual(main) == [fresh, stale, stale, gone, fresh]
