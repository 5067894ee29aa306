"""Streams that are left, cut, odd, or large: what is wrong raises, and nothing of them remains."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
from fastapi.sse import EventSourceResponse
from tests.unit.testing.peers import until

from evox import HTTPException, ServiceBuilder
from evox.core import proxy
from evox.errors import CallError, CallNotFound, CallTimeout, CallUnavailable
from evox.testing import Env, running


class Feed:
    """A service with streams, and how many of them run."""

    def __init__(self) -> None:
        self.open = 0
        svc = self.svc = ServiceBuilder("feed")

        @svc.get("/numbers")
        async def numbers() -> AsyncIterator[int]:
            self.open += 1
            try:
                number = 0
                while True:
                    yield number
                    number += 1
                    await anyio.sleep(0.001)
            finally:
                self.open -= 1

        @svc.get("/waiting")
        async def waiting() -> AsyncIterator[int]:
            self.open += 1
            try:
                yield 0
                await anyio.sleep_forever()
            finally:
                self.open -= 1

        @svc.get("/broken")
        async def broken() -> AsyncIterator[int]:
            yield 1
            yield 2
            raise RuntimeError("sk_live_51H")

        @svc.get("/large")
        async def large() -> AsyncIterator[str]:
            yield "a"
            yield "b" * 5_000_000
            yield "c"

        @svc.get("/events", response_class=EventSourceResponse)
        async def events() -> AsyncIterator[dict[str, str]]:
            yield {"a": "b\r\n\nc"}
            yield {}

        @svc.get("/missing")
        async def missing() -> int:
            raise HTTPException(404, "nothing")

        @svc.get("/one")
        async def one() -> list[int]:
            return [1, 2]


@pytest.fixture(params=["in one process", "over sockets"])
def where(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def both(feed: Feed, where: str) -> AsyncIterator[Env]:
    """Run the service, here or elsewhere."""
    if where == "in one process":
        async with running(ServiceBuilder("orders"), feed.svc, raise_errors=False) as env:
            yield env
        return
    async with running(feed.svc, sockets=True, raise_errors=False) as there:
        settings = {"peers": {"feed": there.url("feed")}, "proxy": {"connections": 4}}
        async with running(ServiceBuilder("orders"), settings=settings, declared=[feed.svc]) as env:
            yield env


async def items(call: Any) -> list[Any]:
    return [one async for one in call]


async def into(read: list[Any], call: Any) -> None:
    """Keep what comes, until an error does."""
    async for one in call:
        read += [one]


async def test_a_stream_that_is_left_in_a_block_ends_at_once(where: str) -> None:
    feed = Feed()
    async with both(feed, where):
        for _ in range(50):
            async with proxy.feed.numbers().stream() as stream:
                async for number in stream:
                    if number == 3:
                        break
        with anyio.fail_after(5):
            await until(lambda: feed.open == 0)


async def test_streams_that_are_left_without_a_block_do_not_remain(where: str) -> None:
    feed = Feed()
    async with both(feed, where):
        for _ in range(200):
            async for number in proxy.feed.waiting():
                assert number == 0
                break
        gc.collect()
        with anyio.fail_after(5):
            await until(lambda: feed.open == 0)
            assert await proxy.feed.one() == [1, 2]


async def test_streams_that_are_opened_and_never_read_do_not_remain(where: str) -> None:
    feed = Feed()
    async with both(feed, where):
        for _ in range(1000):
            proxy.feed.numbers().stream()
        for _ in range(20):
            async with proxy.feed.numbers().stream():
                pass
        with anyio.fail_after(5):
            await until(lambda: feed.open == 0)


async def test_a_stream_whose_reader_is_cancelled_while_it_waits_ends(where: str) -> None:
    feed = Feed()
    async with both(feed, where):
        for _ in range(20):
            with anyio.move_on_after(0.02), suppress(CallTimeout):  # it notices first, or the call does
                await items(proxy.feed.waiting())
        with anyio.fail_after(5):
            await until(lambda: feed.open == 0)


async def test_an_error_in_the_middle_of_a_stream_is_raised_after_what_came_before(where: str) -> None:
    read: list[int] = []
    async with both(Feed(), where):
        with pytest.raises(CallUnavailable) as caught:
            await into(read, proxy.feed.broken())
        assert "sk_live" not in str(caught.value)
        assert read == [1, 2]


async def test_an_item_of_five_megabytes_is_the_same_everywhere(where: str) -> None:
    async with both(Feed(), where):
        with anyio.fail_after(10):
            assert [len(one) for one in await items(proxy.feed.large())] == [1, 5_000_000, 1]


async def test_events_keep_what_is_in_them(where: str) -> None:
    async with both(Feed(), where):
        assert await items(proxy.feed.events()) == [{"a": "b\r\n\nc"}, {}]


async def test_a_stream_of_what_fails_raises_as_the_call_would_and_of_what_is_none_has_its_bytes(where: str) -> None:
    async with both(Feed(), where):
        with pytest.raises(CallNotFound):
            await items(proxy.feed.missing())
        assert b"".join(await items(proxy.feed.one())) == b"[1,2]"


async def test_a_stream_is_read_once(where: str) -> None:
    async with both(Feed(), where):
        call = proxy.feed.events()
        assert len(await items(call)) == 2
        with pytest.raises(TypeError, match="awaited before"):
            await items(call)
        stream = proxy.feed.events().stream()
        await stream.aclose()
        assert await items(stream) == []


async def test_a_stream_whose_service_ends_raises_and_the_next_one_does_too(where: str) -> None:
    feed = Feed()
    stream: Any = None
    async with both(feed, where):
        stream = proxy.feed.waiting().stream()
        assert await anext(stream) == 0
    with pytest.raises((CallError, StopAsyncIteration)):
        await anext(stream)
    assert feed.open == 0
