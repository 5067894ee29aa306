"""Who may do what, and that they can. Each test runs the service anew, on trio and on asyncio."""

from pathlib import Path

import anyio
import httpx2
import pytest

from evox.auth import Internal
from evox.core import data_io
from evox.errors import NotAllowed
from evox.testing import Env, acting_as, authorization_matrix, run_virtual, running

from .service import USERS, Order, ProductName, Report, svc

LAMPS = {"product": "lamp", "quantity": 2}
ORDER = {**LAMPS, "id": "ada/1", "sent": False}
WHO_MAY = """\
operation                              (no token)  (no role)  clerk  customer  intent
POST /login                            yes         yes        yes    yes       public
GET /products                          yes         yes        yes    yes       public
GET /me                                -           yes        yes    yes       profile_read
PUT /orders/{number}                   -           -          -      yes       order_place
GET /orders/{number}                   -           -          -      yes       order_place
DELETE /orders/{number}                -           -          -      yes       order_place
POST /orders/{customer}/{number}/send  -           -          yes    -         order_send
GET /report                            -           -          yes    -         report_read
GET /stock/{product}                   -           -          -      -         other services"""


async def test_who_may_do_what() -> None:
    matrix = authorization_matrix(svc)
    assert str(matrix) == WHO_MAY
    async with running(svc) as env:
        assert await matrix.differences(env) == []


def customer(env: Env, name: str = "ada") -> httpx2.AsyncClient:
    return env.client(svc, token=env.token(name, roles=["customer"]))


def clerk(env: Env) -> httpx2.AsyncClient:
    return env.client(svc, token=env.token("grace", roles=["clerk"]))


async def test_a_login_gives_a_token_with_the_roles_of_the_user() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        reply = (await client.post("/login", json={"name": "grace", "password": "nanosecond"})).json()
        assert (reply["token_type"], reply["expires_in"]) == ("bearer", 900)
        me = await client.get("/me", headers={"authorization": f"Bearer {reply['access_token']}"})
        assert me.json() == {"name": "grace", "roles": ["clerk"]}


@pytest.mark.parametrize("name", ["ada", "nobody"])
async def test_a_wrong_password_and_a_wrong_name_are_answered_alike(name: str) -> None:
    async with running(svc) as env:
        reply = await env.client(svc).post("/login", json={"name": name, "password": "nanosecond"})
        assert (reply.status_code, reply.json()) == (401, {"detail": "name or password is wrong"})
        assert reply.headers["www-authenticate"] == "Bearer"


async def test_the_table_of_users_holds_no_password() -> None:
    assert all(len(user.scrypt) == 64 and len(user.salt) == 16 for user in USERS.values())


async def test_an_order_is_placed_read_and_cancelled_by_its_customer() -> None:
    async with running(svc) as env:
        ada = customer(env)
        assert (await ada.put("/orders/1", json=LAMPS)).json() == ORDER
        assert (await ada.get("/orders/1")).json() == ORDER
        assert (await ada.delete("/orders/1")).json() == ORDER
        assert (await ada.get("/orders/1")).status_code == 404


async def test_nobody_reaches_the_order_of_another() -> None:
    async with running(svc) as env:
        ada, alan = customer(env), customer(env, "alan")
        await ada.put("/orders/1", json=LAMPS)
        assert (await alan.get("/orders/1")).status_code == 404
        assert (await alan.delete("/orders/1")).status_code == 404
        await alan.put("/orders/1", json={"product": "sofa", "quantity": 1})
        assert (await ada.get("/orders/1")).json() == ORDER


async def test_what_a_clerk_has_sent_is_not_changed_any_more() -> None:
    async with running(svc) as env:
        ada, grace = customer(env), clerk(env)
        await ada.put("/orders/1", json=LAMPS)
        assert (await grace.post("/orders/ada/1/send")).json() == {**ORDER, "sent": True}
        replies = [
            await grace.post("/orders/ada/1/send"),
            await ada.put("/orders/1", json=LAMPS),
            await ada.delete("/orders/1"),
        ]
        assert [reply.status_code for reply in replies] == [409, 409, 409]
        assert (await ada.get("/orders/1")).json()["sent"] is True


async def test_what_does_not_fit_is_refused_only_to_those_who_may_call() -> None:
    async with running(svc) as env:
        reply = await customer(env).put("/orders/1", json={**LAMPS, "quantity": 0})
        assert (reply.status_code, reply.json()["detail"][0]["loc"]) == (422, ["body", "quantity"])
        assert (await clerk(env).put("/orders/1", json={**LAMPS, "quantity": 0})).status_code == 403


async def test_data_is_guarded_by_its_type_whoever_uses_it() -> None:
    async with running(svc):
        order = Order(id="ada/1", product=ProductName.LAMP, quantity=2)
        with acting_as("ada", roles=["customer"]):
            await data_io.write(Order, order)
            with pytest.raises(NotAllowed):
                await data_io.read(Report, "orders")
        with acting_as("eve"), pytest.raises(NotAllowed):
            await data_io.read(Order, "ada/1")
        assert await data_io.read(Order, "ada/1") == order  # a test works for the service itself


def test_the_report_is_written_by_the_service_itself() -> None:
    async def main() -> None:
        async with running(svc) as env:
            ada, grace = customer(env), clerk(env)
            for number in (1, 2):
                await ada.put(f"/orders/{number}", json=LAMPS)
            await grace.post("/orders/ada/2/send")
            await anyio.sleep(1.1)
            assert (await grace.get("/report")).json() == {"name": "orders", "waiting": 1, "sent": 1}

    run_virtual(main)  # trio, on a clock that jumps: the second takes no time


async def test_another_service_is_told_of_the_stock(tmp_path: Path) -> None:
    (tmp_path / "internal.key").write_text("Zx8k2LqPw5vN9rT3yB7mJ4hG6fD1sA0c-internal", encoding="utf-8")
    async with running(svc, settings={"auth": {"internal_keys": ["internal.key"]}}, root=tmp_path) as env:
        tokens = env.service(svc).authority.internal_tokens()
        assert tokens is not None
        token = tokens.issue(Internal("shipping"), audience=svc.name, operation="GET /stock/{product}")
        reply = await env.client(svc).get("/stock/sofa", headers={"authorization": f"Evox-Internal {token}"})
        assert reply.json() == {"product": "sofa", "left": 7}


async def test_openapi_says_who_may_and_what_else_may_be_answered() -> None:
    async with running(svc) as env:
        document = (await env.client(svc).get("/openapi.json")).json()
        paths = document["paths"]
        assert "/stock/{product}" not in paths
        assert paths["/orders/{number}"]["get"]["security"] == [{"bearerAuth": ["customer"]}]
        assert paths["/orders/{customer}/{number}/send"]["post"]["security"] == [{"bearerAuth": ["clerk"]}]
        assert paths["/products"]["get"]["security"] == []
        assert set(paths["/orders/{number}"]["delete"]["responses"]) == {"200", "401", "403", "404", "409", "422"}
        assert set(paths["/login"]["post"]["responses"]) == {"200", "400", "401", "422"}
