"""Calls of a service that crashes, restarts, drains or ends meanwhile: they end at once, and later ones go through."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio
import pytest
from fastapi import Depends
from tests.unit.service_proxy.scripted import AtOnce
from tests.unit.testing.peers import until

from evox import ServiceBuilder
from evox.core import proxy
from evox.errors import CallUnavailable
from evox.runtime import State
from evox.testing import Env, running


class Users:
    """A service that crashes, or starts, when it is told."""

    def __init__(self, *, crashes: int = 1) -> None:
        self.crash, self.gate = anyio.Event(), anyio.Event()
        self.begun = self.ended = self.lives = 0
        svc = self.svc = ServiceBuilder("users").restart(max_restarts=3, backoff="0.05s")
        self.may_start = anyio.Event()
        self.may_start.set()

        self.add_endpoints(svc)
        self.add_life(svc, crashes)

    async def hold(self) -> int:
        """Wait for the gate."""
        self.begun += 1
        try:
            await self.gate.wait()
        finally:
            self.ended += 1
        return 1

    def add_endpoints(self, svc: ServiceBuilder) -> None:
        async def resource() -> AsyncIterator[int]:
            self.begun += 1
            try:
                yield 1
            finally:
                self.ended += 1

        @svc.get("/direct")
        async def direct() -> int:
            return await self.hold()

        @svc.post("/through")
        async def through(one: Annotated[int, Depends(resource)]) -> int:
            return one * await self.hold()

        @svc.get("/cached", cache="1m")
        async def cached() -> int:
            return await self.hold()

        @svc.get("/stream")
        async def stream() -> AsyncIterator[int]:
            yield 1
            yield await self.hold()

        @svc.get("/quick")
        async def quick() -> int:
            return self.lives

    def add_life(self, svc: ServiceBuilder, crashes: int) -> None:
        @svc.on_startup
        async def start() -> None:
            await self.may_start.wait()
            self.lives += 1

        @svc.background_task(on_error="fail_service")
        async def fail() -> None:
            if self.lives > crashes:
                await anyio.sleep_forever()
            await self.crash.wait()
            self.crash = anyio.Event()
            raise RuntimeError("sk_live_51H")


async def read(call: Any) -> list[int]:
    return [one async for one in call]


def crowd() -> list[Any]:
    """Return calls of every kind."""
    kinds = [proxy.users.direct, proxy.users.through, proxy.users.cached]
    return [*(kind() for kind in kinds for _ in range(10)), *(read(proxy.users.stream()) for _ in range(10))]


def patient(env: Env) -> None:
    env._board.line("users").random = AtOnce()


async def test_a_crash_ends_the_calls_that_run_at_once_and_later_ones_are_made_again() -> None:
    users = Users()
    async with running(ServiceBuilder("orders"), users.svc, raise_errors=False) as env:
        patient(env)
        ended: list[Any] = []

        async def call() -> None:
            calls = crowd()
            ended.extend(await proxy.gather(*calls, concurrency=len(calls), return_exceptions=True))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await until(lambda: users.begun >= 31)
            users.may_start = anyio.Event()
            users.crash.set()
            with anyio.fail_after(3):
                await until(lambda: len(ended) == 40)
        assert {type(one) for one in ended} == {CallUnavailable}
        assert not any("sk_live" in str(one) for one in ended)
        assert users.begun == users.ended
        with pytest.raises(CallUnavailable):
            await proxy.users.quick().with_timeout(0.3)
        assert await proxy.users.quick().with_fallback(9) == 9
        users.may_start.set()
        await until(lambda: env.host("users").lifecycle.state is State.READY)
        with anyio.fail_after(8):
            await until(lambda: env._board.line("users").statistics().breaker.opens_for == 0)
            assert await proxy.users.quick() == 2
        assert not env.service("users").calls
        assert env.service("users").statistics().seats.in_use == 0


async def test_a_service_that_drains_ends_what_it_has_begun() -> None:
    users = Users()
    async with running(ServiceBuilder("orders"), users.svc) as env:
        ended: list[Any] = []

        async def call() -> None:
            ended.append(await proxy.users.direct())

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await until(lambda: users.begun == 1)
            env.host("users").drain()
            users.gate.set()
        assert ended == [1]


async def test_calls_of_a_service_that_has_ended_are_refused_at_once() -> None:
    users = Users()
    async with running(ServiceBuilder("orders"), users.svc) as env:
        ended: list[Any] = []

        async def call() -> None:
            calls = crowd()
            ended.extend(await proxy.gather(*calls, concurrency=len(calls), return_exceptions=True))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await until(lambda: users.begun >= 31)
            env.host("users").stop()
            with anyio.fail_after(4):
                await until(lambda: len(ended) == 40)
        assert {type(one) for one in ended} == {CallUnavailable}
        await until(lambda: env.host("users").lifecycle.state is State.STOPPED)
        for call_of in (proxy.users.quick, proxy.users.through):
            with anyio.fail_after(3), pytest.raises(CallUnavailable):
                await call_of()
        with anyio.fail_after(3), pytest.raises(CallUnavailable):
            await read(proxy.users.stream())
        assert users.begun == users.ended


async def test_a_service_that_calls_while_it_drains_is_answered() -> None:
    orders, users = ServiceBuilder("orders"), Users()

    @orders.get("/order")
    async def order() -> int:
        return int(await proxy.users.direct()) + int(await proxy.users.quick())

    async with running(orders, users.svc) as env:
        answers: list[Any] = []

        async def ask() -> None:
            answers.append((await env.client("orders").get("/order")).json())

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await until(lambda: users.begun == 1)
            env.host("orders").drain()
            users.gate.set()
        assert answers == [2]
