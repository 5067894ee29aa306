"""Isolation: caller and callee share nothing but what is sent, in one process as over a socket (X2)."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from fastapi import Body, Depends
from pydantic import BaseModel, Field, SecretStr

from evox import Service, ServiceBuilder
from evox.core import proxy
from evox.errors import CallFailed, InvalidCall
from evox.testing import running

MARK: ContextVar[str] = ContextVar("mark", default="nothing")


class Part(BaseModel):
    label: str = "part"
    codes: list[int] = []


class Order(BaseModel):
    id: UUID = Field(default_factory=uuid4)
    note: str | None = None
    count: int = 1
    parts: list[Part] = []
    labels: dict[str, str] = {}


@dataclass
class Keys:
    first: str
    second: SecretStr = field(default_factory=lambda: SecretStr("default"))


class Login(BaseModel):
    user: str
    password: SecretStr


SHARED: dict[str, Any] = {"list": [1], "model": Part(codes=[1])}


def store() -> Service:
    svc = ServiceBuilder("store")
    SHARED["list"], SHARED["model"] = [1], Part(codes=[1])
    add_marks(svc)
    add_orders(svc)
    add_secrets(svc)
    return svc


def add_marks(svc: Service) -> None:

    async def marked() -> AsyncIterator[str]:
        MARK.set("dependency")
        yield MARK.get()

    @svc.post("/mark")
    async def mark() -> str:
        before = MARK.get()
        MARK.set("callee")
        return before

    @svc.post("/threaded")
    def threaded() -> str:
        before = MARK.get()
        MARK.set("thread")
        return before

    @svc.post("/depending")
    async def depending(found: str = Depends(marked)) -> str:
        MARK.set("callee")
        return found

    @svc.post("/failing")
    async def failing() -> None:
        MARK.set("callee")
        raise RuntimeError

    @svc.get("/marks")
    async def marks() -> AsyncIterator[str]:
        yield MARK.get()
        MARK.set("stream")
        yield MARK.get()


def add_orders(svc: Service) -> None:
    @svc.post("/change")
    async def change(order: Order, more: list[int]) -> Order:
        order.parts.append(Part())
        order.labels["callee"] = "was here"
        more.append(5)
        return order

    @svc.get("/shared")
    async def shared() -> list[int]:
        found: list[int] = SHARED["list"]
        return found

    @svc.get("/model")
    async def model() -> Part:
        found: Part = SHARED["model"]
        return found

    @svc.get("/cached", cache=60)
    async def cached() -> Part:
        return Part(codes=[1])

    @svc.patch("/orders/{number}")
    async def patch(number: int, order: Order) -> dict[str, Any]:
        return {"number": number, "set": sorted(order.model_fields_set), "order": order}

    @svc.patch("/several")
    async def several(orders: list[Order], named: dict[str, Part]) -> list[list[str]]:
        return [sorted(one.model_fields_set) for one in (*orders, *named.values())]


def add_secrets(svc: Service) -> None:
    @svc.post("/login")
    async def login(login: Login) -> str:
        return login.password.get_secret_value()

    @svc.post("/keys")
    async def keys(keys: Keys) -> str:
        return keys.first

    @svc.post("/any")
    async def anything(value: Annotated[Any, Body()]) -> Any:
        return value

    @svc.get("/secret")
    async def secret(key: SecretStr) -> str:
        return key.get_secret_value()


@asynccontextmanager
async def reachable(way: str) -> AsyncIterator[None]:
    """Make the store one that can be called: in this process, or over a socket."""
    caller, svc = ServiceBuilder("caller"), store()
    if way == "process":
        async with running(caller, svc):
            yield
        return
    async with running(svc, sockets=True) as there:
        peers = {"store": there.url(svc)}
        async with running(caller, declared=[svc], settings={"peers": peers}):
            yield


both_ways = pytest.mark.parametrize("way", ["process", "socket"])


@both_ways
@pytest.mark.parametrize("operation", ["mark", "threaded", "depending"])
async def test_X2_what_a_callee_sets_in_context_variables_is_not_seen_by_its_caller(way: str, operation: str) -> None:
    async with reachable(way):
        MARK.set("caller")
        await getattr(proxy.store, operation)()
        assert MARK.get() == "caller"
        await proxy.gather(getattr(proxy.store, operation)(), proxy.store.mark())
        assert MARK.get() == "caller"


@both_ways
async def test_X2_nor_is_what_one_sets_that_fails(way: str) -> None:
    async with reachable(way):
        MARK.set("caller")
        with pytest.raises(CallFailed):
            await proxy.store.failing()
        assert MARK.get() == "caller"


@both_ways
async def test_X2_nor_is_what_a_stream_sets_between_its_items(way: str) -> None:
    async with reachable(way):
        MARK.set("caller")
        async for _ in proxy.store.marks():
            assert MARK.get() == "caller"


async def test_X2_context_variables_of_the_caller_are_seen_within_the_process() -> None:
    async with reachable("process"):
        MARK.set("caller")
        assert await proxy.store.mark() == "caller"
        assert await proxy.store.threaded() == "caller"
        async with proxy.store.marks().stream() as marks:
            assert await anext(marks) == "caller"


@both_ways
async def test_X2_a_callee_changes_its_own_arguments_alone(way: str) -> None:
    async with reachable(way):
        order, more = Order(count=2, labels={"a": "b"}), [1]
        before = order.model_copy(deep=True)
        answer = await proxy.store.change(order, more)
        assert order == before
        assert order.model_fields_set == before.model_fields_set
        assert more == [1]
        assert answer.labels == {"a": "b", "callee": "was here"}
        assert answer.labels is not order.labels


@both_ways
@pytest.mark.parametrize("operation", ["shared", "model", "cached"])
async def test_X2_a_caller_changes_its_own_answer_alone(way: str, operation: str) -> None:
    async with reachable(way):
        for _ in range(3):
            answer = await getattr(proxy.store, operation)()
            numbers = answer if operation == "shared" else answer.codes
            assert numbers == [1]
            numbers.append(2)
        assert (SHARED["list"], SHARED["model"].codes) == ([1], [1])


@both_ways
async def test_X2_a_callee_sees_which_fields_its_caller_has_set(way: str) -> None:
    async with reachable(way):
        for order in (
            Order(id=UUID(int=1)),
            Order(id=UUID(int=1), note=None),
            Order(id=UUID(int=1), count=1, parts=[]),
        ):
            answer = await proxy.store.patch(3, order)
            assert answer["set"] == sorted(order.model_fields_set)
            assert answer["number"] == 3
        named = {"a": Part(), "b": Part(label="part")}
        orders = [Order(id=UUID(int=1), note="n"), Order(id=UUID(int=2))]
        assert await proxy.store.several(orders, named) == [["id", "note"], ["id"], [], ["label"]]


@both_ways
async def test_X2_what_a_caller_has_changed_in_place_arrives(way: str) -> None:
    async with reachable(way):
        order = Order(id=UUID(int=1), parts=[Part()])
        order.labels["new"] = "label"
        order.parts[0].codes.append(7)
        answer = (await proxy.store.patch(1, order))["order"]
        assert answer["labels"] == {"new": "label"}
        assert answer["parts"] == [{"label": "part", "codes": [7]}]


@both_ways
async def test_X2_what_a_default_factory_has_made_for_the_caller_arrives(way: str) -> None:
    async with reachable(way):
        order = Order()
        assert (await proxy.store.patch(1, order))["order"]["id"] == str(order.id)


@both_ways
async def test_X2_secrets_are_refused_rather_than_sent_as_stars(way: str) -> None:
    async with reachable(way):
        with pytest.raises(InvalidCall, match="secret"):
            await proxy.store.login(Login(user="ada", password=SecretStr("x")))
        with pytest.raises(InvalidCall, match="secret"):
            await proxy.store.login({"user": "ada", "password": SecretStr("x")})
        with pytest.raises(InvalidCall, match="secret"):
            await proxy.store.secret(SecretStr("x"))
        for keys in (Keys("a", SecretStr("x")), Keys("a")):
            with pytest.raises(InvalidCall, match="secret"):
                await proxy.store.keys(keys)
        values: list[Any] = [[{"a": (SecretStr("x"),)}], {SecretStr("x")}, deque([SecretStr("x")])]
        for value in values:
            with pytest.raises(InvalidCall, match="secret"):
                await proxy.store.anything(value)
        assert await proxy.store.login({"user": "ada", "password": "x"}) == "x"
        assert await proxy.store.secret("x") == "x"
