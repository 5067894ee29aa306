"""P10: with one seat at all, calls of calls, gathers, cached answers and loaders that call others still end."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio
import pytest
from fastapi import Depends
from tests.unit.testing.peers import until

from evox import ServiceBuilder
from evox.core import data_io, proxy
from evox.testing import running

ONE = {"priority": {"total": 1, "high": 1, "medium": 1, "low": 1}}


async def asked() -> AsyncIterator[int]:
    """Return a number, of a dependency that makes the call go through the app."""
    yield 1


def services() -> list[ServiceBuilder]:
    a, b, c = ServiceBuilder("a"), ServiceBuilder("b"), ServiceBuilder("c")
    add_callers(a)
    add_middle(b)
    add_callees(c)
    return [a, b, c]


def add_callers(svc: ServiceBuilder) -> None:
    @svc.get("/nested")
    async def nested() -> int:
        return 1 + int(await proxy.b.nested())

    @svc.get("/gathered")
    async def gathered() -> int:
        calls = [call for one in range(20) for call in (proxy.c.number(one), proxy.c.through(one), proxy.c.kept(one))]
        return sum(await proxy.gather(*calls, concurrency=10))

    @svc.get("/cached")
    async def all_cached() -> int:
        return sum(await proxy.gather(*(proxy.c.kept(7) for _ in range(20)), concurrency=20))

    @svc.get("/streamed")
    async def streamed() -> list[int]:
        return [one async for one in proxy.c.stream()]


def add_middle(svc: ServiceBuilder) -> None:
    @svc.get("/nested")
    async def nested(one: Annotated[int, Depends(asked)]) -> int:
        return one + int(await proxy.c.number(1))

    @svc.get("/cached/{number}", cache="1m")
    async def cached(number: int) -> int:
        return int(await proxy.c.number(number))


def add_callees(svc: ServiceBuilder) -> None:
    @svc.get("/number/{number}")
    async def number(number: int) -> int:
        await anyio.sleep(0.001)
        return number

    @svc.get("/through/{number}")
    async def through(number: int, one: Annotated[int, Depends(asked)]) -> int:
        return number * one

    @svc.get("/kept/{number}", cache="1m")
    async def kept(number: int) -> int:
        return int(await proxy.b.cached(number))

    @svc.get("/stream")
    async def stream() -> AsyncIterator[int]:
        for one in range(3):
            yield one + 0 * int(await proxy.b.cached(one))


ANSWERS: dict[str, Any] = {"nested": 3, "gathered": 570, "cached": 140, "streamed": [0, 1, 2]}


@pytest.mark.parametrize("path", ANSWERS)
async def test_P10_what_calls_others_ends_with_one_seat(path: str) -> None:
    async with running(*services(), settings=ONE) as env:
        client = env.client("a", timeout=8)
        with anyio.fail_after(10):
            answer = await client.get(f"/{path}")
            assert (answer.status_code, answer.json()) == (200, ANSWERS[path])
        assert env.service("a").statistics().seats.in_use == 0
        assert env.service("a").statistics().seats.total == 1


async def test_P10_a_crowd_of_them_ends_with_one_seat() -> None:
    async with running(*services(), settings=ONE) as env:
        client = env.client("a", timeout=15)

        async def ask(path: str) -> None:
            answer = await client.get(f"/{path}")
            assert (answer.status_code, answer.json()) == (200, ANSWERS[path])

        with anyio.fail_after(15):
            for _ in range(3):
                async with anyio.create_task_group() as group:
                    for path in ANSWERS:
                        group.start_soon(ask, path)
        assert env.service("a").statistics().seats.in_use == 0


async def test_P10_a_loader_that_calls_another_service_ends_with_one_seat() -> None:
    a, c = ServiceBuilder("a"), ServiceBuilder("c")

    @c.get("/level/{number}", cache="1m")
    async def level(number: int) -> int:
        return number

    async def load(key: str) -> int:
        return int(await proxy.c.level(int(key)))

    def kept(number: int) -> Any:
        return data_io.read(str(number), loader=load)

    @a.get("/profile/{number}")
    async def profile(number: int) -> int:
        found = await proxy.gather(kept(number), kept(number), kept(number + 1), concurrency=3)
        return sum(found)

    async with running(a, c, settings=ONE) as env:
        with anyio.fail_after(10):
            assert (await env.client("a").get("/profile/3")).json() == 10


async def test_P10_a_stream_that_is_left_gives_its_seat_back() -> None:
    async with running(*services(), settings=ONE) as env:
        with anyio.fail_after(10):
            for _ in range(20):
                async for one in proxy.c.stream():
                    assert one == 0
                    break
                assert await proxy.c.through(2) == 2
            await until(lambda: env.service("c").statistics().seats.in_use == 0)
