"""Calls whose callers leave at any moment: nothing of them is left, here, there, or in between."""

import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

import anyio
import pytest
from fastapi import Body, Depends, Request
from tests.faults.raw_peer import answer, raw_peer
from tests.unit.testing.peers import descriptors, until

from evox import ServiceBuilder
from evox.core import proxy
from evox.errors import CallTimeout
from evox.testing import Env, running

CROWD = 1000


class Stock:
    """A service of every kind of endpoint, and what of its runs has begun and ended."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.gate = anyio.Event()
        svc = self.svc = ServiceBuilder("stock")

        async def run(pause: float) -> float:
            self.begun += 1
            try:
                await (anyio.sleep(pause) if pause >= 0 else self.gate.wait())
            finally:
                self.ended += 1
            return pause

        async def resource() -> AsyncIterator[int]:
            self.begun += 1
            try:
                yield 1
            finally:
                self.ended += 1

        @svc.get("/direct")
        async def direct(pause: float) -> float:
            return await run(pause)

        @svc.get("/depending")
        async def depending(pause: float, one: Annotated[int, Depends(resource)], request: Request) -> float:
            assert request is not None
            return one * await run(pause)

        @svc.get("/cached", cache="1m")
        async def cached(pause: float, number: int) -> float:
            del number
            return await run(pause)

        @svc.post("/large")
        async def large(body: Annotated[str, Body()]) -> str:
            return body

        @svc.get("/numbers")
        async def numbers(pause: float) -> AsyncIterator[int]:
            self.begun += 1
            try:
                for number in range(3):
                    yield number
                    await anyio.sleep(pause)
            finally:
                self.ended += 1

    def some(self, chance: random.Random, number: int) -> Any:
        """Return one call of any kind."""
        pause = chance.uniform(0.0, 0.02)
        kind = chance.randrange(5)
        if kind == 0:
            return proxy.stock.direct(pause)
        if kind == 1:
            return proxy.stock.depending(pause)
        if kind == 2:
            return proxy.stock.cached(pause, number % 50)
        if kind == 3:
            return proxy.stock.large("a" * chance.randrange(300_000))
        return read(proxy.stock.numbers(pause))


async def read(call: Any) -> list[int]:
    async with call.stream() as stream:
        return [one async for one in stream]


async def leave(stock: Stock, chance: random.Random, number: int) -> None:
    """Make a call, and leave it before it can end, or soon after."""
    with anyio.move_on_after(chance.uniform(0.0, 0.03)), suppress(CallTimeout):  # it notices first, or the call does
        await stock.some(chance, number)


async def crowd(stock: Stock, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(5):
        async with anyio.create_task_group() as group:
            for number in range(CROWD // 5):
                group.start_soon(leave, stock, chance, number)
            if chance.random() < 0.3:
                await anyio.sleep(0.01)
                group.cancel_scope.cancel()


async def all_at_once(stock: Stock, connections: int) -> None:
    """Have the pool serve as many calls at once as it may."""
    before = stock.begun
    stock.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        for _ in range(connections):
            group.start_soon(read_one, proxy.stock.direct(-1.0))
        await until(lambda: stock.begun >= before + connections)
        stock.gate.set()


async def read_one(call: Any) -> None:
    assert await call == -1.0


def seats(env: Env) -> int:
    held: int = env.service("stock").statistics().seats.in_use
    return held


@pytest.mark.parametrize("seed", range(2))
async def test_a_thousand_calls_left_at_any_moment_leave_nothing_in_the_process(seed: int) -> None:
    stock = Stock()
    async with running(ServiceBuilder("orders"), stock.svc) as env:
        with anyio.fail_after(15):
            await crowd(stock, seed)
            await until(lambda: stock.begun == stock.ended)
            await until(lambda: not env.service("stock").calls)
            await until(lambda: seats(env) == 0)
            assert env._board.line("stock").statistics().breaker.state == "closed"
            await all_at_once(stock, 20)


@pytest.mark.parametrize("seed", range(2))
async def test_a_thousand_calls_left_at_any_moment_leave_nothing_over_sockets(seed: int) -> None:
    stock = Stock()
    async with running(stock.svc, sockets=True) as there:
        settings = {"peers": {"stock": there.url("stock")}, "proxy": {"connections": 8, "timeout": 5.0}}
        before = descriptors()
        async with running(ServiceBuilder("orders"), settings=settings, declared=[stock.svc]) as env:
            with anyio.fail_after(18):
                await crowd(stock, seed)
                await all_at_once(stock, 8)
                await until(lambda: stock.begun == stock.ended)
                await until(lambda: seats(there) == 0)
            assert env._board.line("stock").statistics().breaker.state == "closed"
        with anyio.fail_after(5):
            await until(lambda: len(descriptors()) <= len(before))


async def left_at(moment: str, reached: anyio.Event) -> None:
    """Make a call, and leave it once the peer has come so far."""
    call = read(proxy.stock.numbers(1.0)) if moment == "stream" else proxy.stock.direct(1.0).outcome()

    async def make() -> None:
        await call

    async with anyio.create_task_group() as group:
        group.start_soon(make)
        await reached.wait()
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()


@pytest.mark.parametrize("moment", ["sending", "head", "body", "stream"])
async def test_a_call_left_at_one_moment_frees_its_connection_at_once(moment: str) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\ncontent-length: 100\r\n\r\n"
    said = {"head": head[:20], "body": head + b"1\n", "stream": head + b"1\n"}.get(moment, b"")
    reached = anyio.Event()

    async def part(stream: Any) -> None:
        if said:
            await stream.send(said)
        reached.set()
        await stream.receive()  # until the caller ends it

    svc = Stock().svc
    async with raw_peer(part, answer(b"1.0")) as peer:
        settings = {"peers": {"stock": peer.url}, "proxy": {"connections": 1, "attempts": 1}}
        async with running(ServiceBuilder("orders"), settings=settings, declared=[svc]) as env:
            for _ in range(30):
                peer.answers[:], reached = [part, answer(b"1.0")], anyio.Event()
                await left_at(moment, reached)
                with anyio.fail_after(3):
                    assert await proxy.stock.direct(1.0) == 1.0
            with anyio.fail_after(3):
                await until(lambda: peer.open <= 1)
            assert env._board.line("stock").statistics().breaker.state == "closed"
