"""D5: an hour without a source: fresh answers, stale ones, then the error; and it comes back without a stampede."""

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest

from evox import HTTPException, ServiceBuilder, data_intent, data_io
from evox.testing import running, virtual_trio

MINUTE = 60.0


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return virtual_trio()


class Source:
    """Counts how often it is asked, and fails when told to."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.fails: Callable[[], Exception] | tuple[Any, int] | None = None
        self.value = 1

    async def answer(self) -> Any:
        self.asked.append(anyio.current_time())
        await anyio.sleep(0.01)
        if callable(self.fails):
            raise self.fails()
        return self.fails or {"value": self.value}

    def pauses(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.asked, self.asked[1:], strict=False)]


def made(source: Source, **options: Any) -> ServiceBuilder:
    svc = ServiceBuilder("shop")

    @svc.get("/price", cache="1m", fallback="aggressive", max_stale="30m", **options)
    async def price() -> Any:
        return await source.answer()

    return svc


async def look(client: httpx2.AsyncClient) -> tuple[int, str]:
    reply = await client.get("/price")
    status = reply.headers.get("cache-status", "")
    return reply.status_code, "stale" if "stale" in status else "hit" if "hit" in status else "miss" if status else "-"


async def test_D5_an_hour_without_its_source() -> None:
    source = Source()
    svc = made(source)
    async with running(svc, raise_errors=False) as env:
        client = env.client(svc)
        assert await look(client) == (200, "miss")
        source.fails = RuntimeError
        seen: list[tuple[float, tuple[int, str]]] = []
        began = anyio.current_time()
        while anyio.current_time() - began < 60 * MINUTE:
            seen.append((anyio.current_time() - began, await look(client)))
            await anyio.sleep(5)
        fresh = [what for when, what in seen if when < 1 * MINUTE - 1]
        stale = [what for when, what in seen if 1 * MINUTE < when < 31 * MINUTE - 1]
        gone = [what for when, what in seen if when > 31 * MINUTE]
        assert set(fresh) == {(200, "hit")}
        assert set(stale) == {(200, "stale")}
        assert {status for status, _ in gone} == {500}
        assert min(source.pauses()) >= 30
        source.fails, source.asked = None, []
        await anyio.sleep(30)
        async with anyio.create_task_group() as group:
            for _ in range(200):
                group.start_soon(look, client)
        assert len(source.asked) == 1
        assert await look(client) == (200, "hit")


@pytest.mark.parametrize(
    "failure",
    [RuntimeError, partial(HTTPException, 503), ({"error": 1}, 500), ({"error": 1}, 502), ({"error": 1}, 504)],
)
async def test_D5_what_counts_as_a_failure_is_answered_with_an_old_answer(failure: Any) -> None:
    source = Source()
    svc = made(source)
    async with running(svc, raise_errors=False) as env:
        client = env.client(svc)
        await look(client)
        source.fails = failure
        await anyio.sleep(2 * MINUTE)
        assert await look(client) == (200, "stale")


@pytest.mark.parametrize("failure", [partial(HTTPException, 404), partial(HTTPException, 422), ({"error": "x"}, 404)])
async def test_D5_a_4xx_is_an_answer_and_no_failure(failure: Any) -> None:
    source = Source()
    svc = made(source)
    async with running(svc) as env:
        client = env.client(svc)
        await look(client)
        source.fails = failure
        await anyio.sleep(2 * MINUTE)
        expected = failure[1] if isinstance(failure, tuple) else failure.args[0]
        assert (await look(client))[0] == expected
        source.fails = None
        assert (await look(client))[0] == 200


async def test_D5_a_handler_that_takes_too_long_has_failed() -> None:
    svc, slow = ServiceBuilder("shop"), False

    @svc.get("/price", cache="1m", fallback="aggressive", max_stale="30m", timeout=2)
    async def price() -> int:
        if slow:
            await anyio.sleep(10)
        return 1

    async with running(svc) as env:
        client = env.client(svc)
        await look(client)
        slow = True
        await anyio.sleep(2 * MINUTE)
        assert await look(client) == (200, "stale")


async def test_D5_P7_a_stale_answer_is_served_instead_of_a_rejection() -> None:
    source = Source()
    svc = made(source).concurrency(total=1, queue=0)
    release = anyio.Event()

    @svc.get("/slow")
    async def slow() -> None:
        await release.wait()

    async with running(svc) as env:
        client = env.client(svc)
        await look(client)
        await anyio.sleep(2 * MINUTE)
        async with anyio.create_task_group() as group:
            group.start_soon(client.get, "/slow")
            await anyio.wait_all_tasks_blocked()
            assert await look(client) == (200, "stale")
            release.set()
        assert len(source.asked) == 1


async def test_D5_a_loader_that_fails_leaves_the_old_value_for_max_stale() -> None:
    profile = data_intent.define("outage_profile", ttl="1m", fallback="aggressive", max_stale="10m")
    svc, source = ServiceBuilder("shop"), Source()
    async with running(svc):
        assert await data_io.read(profile, "a", loader=source.answer) == {"value": 1}
        source.fails = ConnectionError
        await anyio.sleep(5 * MINUTE)
        for _ in range(100):
            assert await data_io.read(profile, "a", loader=source.answer) == {"value": 1}
        assert len(source.asked) == 2
        await anyio.sleep(7 * MINUTE)
        with pytest.raises(ConnectionError):
            await data_io.read(profile, "a", loader=source.answer)
        source.fails, source.value = None, 2
        await anyio.sleep(MINUTE)
        assert await data_io.read(profile, "a", loader=source.answer) == {"value": 2}


async def test_D5_a_slow_source_is_waited_for_no_longer_than_the_soft_timeout() -> None:
    profile = data_intent.define("slow_profile", ttl="1m", fallback="aggressive", soft_timeout=0.5)
    svc, value, pause = ServiceBuilder("shop"), 1, 0.0

    async def load() -> int:
        await anyio.sleep(pause)
        return value

    async with running(svc):
        assert await data_io.read(profile, "a", loader=load) == 1
        value, pause = 2, 3.0
        await anyio.sleep(2 * MINUTE)
        began = anyio.current_time()
        assert await data_io.read(profile, "a", loader=load) == 1
        assert anyio.current_time() - began == pytest.approx(0.5)
        await anyio.sleep(3)
        assert await data_io.read(profile, "a", loader=load) == 2
