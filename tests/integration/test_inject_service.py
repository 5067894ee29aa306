"""``inject.service(name)``: the handle of another service, wherever it is asked for, and replaced in tests."""

from typing import Annotated, Any

import pytest
from tests.integration.peers import User, users

from evox import ServiceBuilder, inject
from evox.core import proxy
from evox.errors import UnknownOperation
from evox.testing import running

people = inject.service("user-service")


class Greeter:
    def __init__(self, callee: Any = people) -> None:
        self.callee = callee


def orders() -> ServiceBuilder:
    svc = ServiceBuilder("order-service")

    @svc.get("/module/{user_id}")
    async def module(user_id: int) -> str:
        return str((await people.get_user(user_id)).name)

    @svc.get("/function/{user_id}")
    async def function(user_id: int) -> str:
        return str((await inject.service("user_service").get_user(user_id)).name)

    @svc.get("/default/{user_id}")
    async def default(user_id: int, callee: Any = people) -> str:
        return str((await callee.get_user(user_id)).name)

    @svc.get("/annotated/{user_id}")
    async def annotated(user_id: int, callee: Annotated[Any, people]) -> str:
        return str((await callee.get_user(user_id)).name)

    @svc.get("/constructor/{user_id}")
    async def constructor(user_id: int) -> str:
        return str((await inject(Greeter).callee.get_user(user_id)).name)

    return svc


FORMS = ["module", "function", "default", "annotated", "constructor"]


@pytest.mark.parametrize("form", FORMS)
async def test_a_service_is_injected(form: str) -> None:
    svc = orders()
    async with running(svc, users) as env:
        assert (await env.client(svc).get(f"/{form}/1")).json() == "Ada"
        assert "callee" not in str((await env.client(svc).get("/openapi.json")).json())


@pytest.mark.parametrize("form", FORMS)
async def test_a_fake_answers_for_it_in_every_form(form: str) -> None:
    svc = orders()
    async with running(svc, users) as env:
        client = env.client(svc)
        with env.fake("user-service", get_user=User(id=1, name="Bob")) as fake:
            assert (await client.get(f"/{form}/7")).json() == "Bob"
        assert fake.calls == [("get_user", (7,), {})]
        assert (await client.get(f"/{form}/7")).json() == "Ada"


@pytest.mark.parametrize("form", ["function", "default", "annotated", "constructor"])
async def test_it_is_replaced_as_all_that_is_injected(form: str) -> None:
    class Instead:
        async def get_user(self, user_id: int) -> User:
            return User(id=user_id, name="Eve")

    svc = orders()
    async with running(svc, users) as env:
        with env.override(people, Instead()):
            assert (await env.client(svc).get(f"/{form}/1")).json() == "Eve"
        assert (await env.client(svc).get(f"/{form}/1")).json() == "Ada"


async def test_what_is_not_faked_is_answered_by_the_service_and_what_it_has_not_cannot_be() -> None:
    async with running(ServiceBuilder("order-service"), users) as env:
        with env.fake("user-service", get_user=KeyError):
            assert isinstance(await proxy.user_service.pid(), int)
            assert (await proxy.user_service.get_user(1).with_fallback(None)) is None
        with pytest.raises(UnknownOperation, match="did you mean get_user"):
            env.fake("user-service", get_usr=1)


async def test_the_latest_fake_stands_and_each_is_taken_away_by_itself() -> None:
    async with running(ServiceBuilder("order-service")) as env:
        first, second = env.fake("nowhere", ask=1), env.fake("nowhere", ask=2)
        assert await proxy.nowhere.ask("anything", at="all") == 2
        first.undo()
        assert await proxy.nowhere.ask() == 2
        second.undo()
        second.undo()
