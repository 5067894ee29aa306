"""D5: copies that are refreshed before they are due, do not all expire at once, or say that there is nothing."""

import gc
import logging
import weakref
from itertools import pairwise
from typing import Any

import anyio
import pytest

from evox import HTTPException, Intent, ServiceBuilder, data_intent, data_io
from evox.testing import run_virtual, running, virtual_trio

MINUTE = 60.0


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return virtual_trio()


class Source:
    """Counts how often it is asked, takes a second, and fails when told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False

    async def load(self) -> int:
        self.asked += 1
        mine = self.asked
        await anyio.sleep(1)
        if self.fails:
            raise ConnectionError("the source is off")
        return mine


async def test_D5_a_copy_that_is_nearly_due_is_given_at_once_and_refreshed_by_itself() -> None:
    eager, source = data_intent.define("refreshing_eager", ttl="1m", eager=0.8), Source()
    async with running(ServiceBuilder("shop")):
        assert await data_io.read(eager, "a", loader=source.load) == 1
        for pause, expected in ((40, 1), (9, 1), (2, 2), (40, 2)):
            await anyio.sleep(pause)
            began = anyio.current_time()
            assert await data_io.read(eager, "a", loader=source.load) == expected
            assert anyio.current_time() == began
        assert source.asked == 2


async def test_D5_a_refresh_ahead_of_time_that_fails_takes_nothing_away() -> None:
    eager, source = data_intent.define("refreshing_fails", ttl="1m", eager=0.5), Source()
    async with running(ServiceBuilder("shop")):
        await data_io.read(eager, "a", loader=source.load)
        source.fails = True
        for _ in range(5):
            await anyio.sleep(5)
            assert await data_io.read(eager, "a", loader=source.load) == 1
        await anyio.sleep(6)
        assert await data_io.read(eager, "a", loader=source.load) == 1
        await anyio.sleep(2)
        for _ in range(10):
            assert await data_io.read(eager, "a", loader=source.load) == 1
        assert source.asked == 2


async def test_D5_endpoints_are_refreshed_ahead_of_time_too() -> None:
    svc, source = ServiceBuilder("shop"), Source()

    @svc.get("/price", cache="1m")
    @Intent(eager=0.5)
    async def price() -> int:
        return await source.load()

    async with running(svc) as env:
        client = env.client(svc)
        ages = []
        for _ in range(5):
            ages.append(int((await client.get("/price")).headers.get("age", -1)))
            await anyio.sleep(20)
        assert ages == [-1, 20, 40, 19, 39]
        assert source.asked == 3


async def test_D5_jitter_spreads_what_was_loaded_at_once() -> None:
    jittered = data_intent.define("refreshing_jitter", ttl="100s", jitter=0.5)
    async with running(ServiceBuilder("shop")):
        for number in range(200):
            await data_io.read(jittered, str(number), loader=lambda: 1)
        left = []
        for _ in range(11):
            found = [await data_io.read(jittered, str(number)) for number in range(200)]
            left.append(len([one for one in found if one is not None]))
            await anyio.sleep(10)
        assert left[:5] == [200] * 5
        assert all(earlier > later for earlier, later in pairwise(left[5:]))
        assert (left[5] > 150, left[-1]) == (True, 0)


async def test_D5_that_there_is_nothing_is_kept_for_a_time_of_its_own() -> None:
    svc, calls = ServiceBuilder("shop"), 0

    @svc.get("/price", cache="1h")
    @Intent(negative_ttl="1m")
    async def price() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise HTTPException(404)
        return calls

    async with running(svc) as env:
        client = env.client(svc)
        assert [(await client.get("/price")).status_code for _ in range(3)] == [404, 404, 404]
        await anyio.sleep(MINUTE + 1)
        assert [(await client.get("/price")).json() for _ in range(3)] == [2, 2, 2]
        await anyio.sleep(2 * MINUTE)
        assert (await client.get("/price")).headers["age"] == "120"


async def test_D5_an_endpoint_is_waited_for_no_longer_than_its_soft_timeout_while_there_is_an_old_answer() -> None:
    svc, source = ServiceBuilder("shop"), Source()

    @svc.get("/price", cache="1m", fallback="aggressive")
    @Intent(soft_timeout=0.25)
    async def price() -> int:
        return await source.load()

    async with running(svc) as env:
        client = env.client(svc)
        assert (await client.get("/price")).json() == 1
        await anyio.sleep(2 * MINUTE)
        began = anyio.current_time()
        stale = await client.get("/price")
        assert anyio.current_time() - began == pytest.approx(0.25)
        assert (stale.json(), stale.headers["age"]) == (1, "120")
        assert stale.headers["cache-status"] == "evox; hit; ttl=-60; detail=stale-while-revalidate"
        await anyio.sleep(1)
        assert (await client.get("/price")).json() == 2


class Held:
    """What a handler has in hand when it fails."""


def test_an_error_does_not_hold_what_its_handler_held_for_longer_than_the_source_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("evox.data"), "propagate", False)  # what pytest has captured holds it too
    svc, down = ServiceBuilder("shop"), False
    held: list[weakref.ref[Held]] = []

    @svc.get("/{key}", cache=10, fallback="aggressive")
    async def read(key: str) -> str:
        mine = Held()
        held.append(weakref.ref(mine))
        if down:
            raise ConnectionError(key)
        return key

    async def main() -> None:
        nonlocal down
        async with running(svc) as env:
            client = env.client(svc)
            for fails in (False, True):
                down = fails
                await client.get("/a")
                await client.get("/b")
                await anyio.sleep(31)
            await client.get("/b")
            gc.collect()
            assert [one() is None for one in held] == [True, True, True, True, False]

    run_virtual(main)
