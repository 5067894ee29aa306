"""X4, X5: a service that is down is not buried under retries, is left alone, and is called again once it is back."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import anyio
import pytest
from tests.unit.service_proxy.scripted import AtOnce

from evox import HTTPException, ServiceBuilder
from evox.core import proxy
from evox.errors import CallError, CallFailed, CallUnavailable, CircuitOpen
from evox.testing import Env, run_virtual, running

DOWN: list[dict[str, Any]] = [{"error": 503}, {"refuse": True}, {"cut": True}]


def users() -> ServiceBuilder:
    svc = ServiceBuilder("users")

    @svc.get("/users/{user_id}")
    async def get_user(user_id: int) -> int:
        return user_id

    return svc


async def outcome(call: Any) -> str:
    """Return how a call ended."""
    try:
        await call
    except CircuitOpen:
        return "left alone"
    except CallFailed:
        return "failed"
    return "answered"


@pytest.mark.parametrize("down", DOWN, ids=str)
def test_X4_two_hundred_calls_of_a_service_that_is_down_add_a_fifth_and_three_at_most(down: dict[str, Any]) -> None:
    async def main() -> None:
        async with running(ServiceBuilder("orders"), users()) as env:
            with env.faults("users", **down) as faults:
                for made in range(1, 201):
                    await outcome(proxy.users.get_user(1))
                    assert faults.hit <= 1.2 * made + 3
                    await anyio.sleep(0.5)  # long enough for some probes
            known = env._board.line("users").statistics()
            assert (known.calls, known.failed) == (200, 200)
            assert known.retries <= 43
            assert faults.hit < 40

    run_virtual(main)


@pytest.mark.parametrize("down", DOWN, ids=str)
def test_X4_a_crowd_that_calls_at_once_adds_a_fifth_and_three_at_most(down: dict[str, Any]) -> None:
    async def main() -> None:
        async with running(ServiceBuilder("orders"), users()) as env:
            with env.faults("users", delay=0.05, **down) as faults:
                calls = [outcome(proxy.users.get_user(number)) for number in range(200)]
                ended = Counter(await proxy.gather(*calls, concurrency=200))
            assert ended["answered"] == 0
            assert 200 - ended["left alone"] <= faults.hit <= 243

    run_virtual(main)


@pytest.mark.parametrize("down", DOWN, ids=str)
def test_X5_it_is_left_alone_asked_once_and_called_again_once_it_is_back(down: dict[str, Any]) -> None:
    """A crowd asks each time; when the service is back, its one probe closes the breaker for all that come later."""

    async def crowd() -> Counter[str]:
        calls = [outcome(proxy.users.get_user(number)) for number in range(20)]
        return Counter(await proxy.gather(*calls, concurrency=20))

    async def main() -> None:
        async with running(ServiceBuilder("orders"), users()) as env:
            line = env._board.line("users")
            with env.faults("users", delay=0.05, **down) as faults:
                await crowd()
                assert line.statistics().breaker.state == "open"
                for pause in (5, 10, 20, 40, 60, 60):
                    opens = line.statistics().breaker.opens_for
                    assert pause - 1 <= opens <= pause + 0.001
                    before = faults.hit
                    await anyio.sleep(opens - 0.01)
                    assert await crowd() == {"left alone": 20}
                    await anyio.sleep(0.02)
                    assert await crowd() == {"left alone": 19, "failed": 1}
                    assert faults.hit == before + 1
            await anyio.sleep(60)
            with env.faults("users", delay=0.05):
                assert await crowd() == {"left alone": 19, "answered": 1}
                assert await crowd() == {"answered": 20}
            assert line.statistics().breaker.opens_for == 0

    run_virtual(main)


def test_X5_a_probe_whose_caller_leaves_makes_room_for_another() -> None:
    async def main() -> None:
        async with running(ServiceBuilder("orders"), users()) as env:
            line = env._board.line("users")
            with env.faults("users", error=500):
                for _ in range(10):
                    assert await outcome(proxy.users.get_user(1)) == "failed"
            await anyio.sleep(5)
            with env.faults("users", drop=True), anyio.move_on_after(1):
                await proxy.users.get_user(1)
            assert line.statistics().breaker.state == "open"
            assert await proxy.users.get_user(1) == 1
            assert line.statistics().breaker.state == "closed"

    run_virtual(main)


def test_X5_one_service_that_is_down_is_no_reason_to_leave_another_alone() -> None:
    async def main() -> None:
        async with running(ServiceBuilder("orders"), users(), ServiceBuilder("stock")) as env:
            with env.faults("stock", refuse=True):
                for _ in range(20):
                    assert await outcome(proxy.users.get_user(1)) == "answered"
            known = {one.service: one for one in env._board.statistics().lines}
            assert known["users"].breaker.state == "closed"

    run_virtual(main)


class Chain:
    """A calls B, B calls C, and C is down.

    Attributes:
        asked: How many requests C got.
        code: What it answers.
    """

    def __init__(self) -> None:
        self.asked, self.codes = 0, [503]
        self.a, self.b, self.c = ServiceBuilder("a"), ServiceBuilder("b"), ServiceBuilder("c")

        @self.a.get("/first")
        async def first() -> Any:
            return await proxy.b.second()

        @self.b.get("/second")
        async def second() -> Any:
            return await proxy.c.third()

        @self.c.get("/third")
        async def third() -> Any:
            code = self.codes[self.asked % len(self.codes)]
            self.asked += 1
            raise HTTPException(code, "down")

    @asynccontextmanager
    async def running(self, keys: Path | None) -> AsyncIterator[Env]:
        """Run it in one runtime, or in three that share keys, with sockets between; no attempt is waited for."""
        if keys is None:
            async with running(self.a, self.b, self.c) as env:
                for name in "bc":
                    env._board.line(name).random = AtOnce()
                yield env
            return
        shared = {"auth": {"internal_keys": [str(keys)]}}
        async with AsyncExitStack() as stack:
            c = await stack.enter_async_context(running(self.c, sockets=True, settings=shared))
            to_c = shared | {"peers": {"c": {"url": c.url("c"), "trust": "internal"}}}
            b = await stack.enter_async_context(running(self.b, sockets=True, settings=to_c, declared=[self.c]))
            to_b = shared | {"peers": {"b": {"url": b.url("b"), "trust": "internal"}}}
            env = await stack.enter_async_context(running(self.a, settings=to_b, declared=[self.b]))
            b._board.line("c").random = env._board.line("b").random = AtOnce()
            yield env


@pytest.fixture(params=[False, True], ids=["one process", "over sockets"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Return where keys go that services elsewhere share; None if there are none elsewhere."""
    if not request.param:
        return None
    path = tmp_path / "internal.key"
    path.write_text(token_urlsafe(40))
    return path


@pytest.mark.parametrize("codes", [[503], [500], [502, 503, 504], [500, 503, 503, 503], [429]], ids=str)
async def test_X4_a_chain_whose_end_is_down_asks_it_three_times_a_request_at_most(
    keys: Path | None, codes: list[int]
) -> None:
    chain = Chain()
    chain.codes = codes
    async with chain.running(keys) as env:
        client = env.client("a")
        for made in range(1, 21):
            before = chain.asked
            answer = await client.get("/first")
            assert answer.status_code in (502, 503)
            assert chain.asked - before <= 3
            assert chain.asked <= 1.2 * made + 3
        assert chain.asked >= 10


async def test_X4_trouble_is_tried_again_by_the_hop_next_to_it_alone(keys: Path | None) -> None:
    chain = Chain()
    async with chain.running(keys) as env:
        answer = await env.client("a").get("/first")
        assert (answer.status_code, chain.asked) == (503, 3)
        assert env._board.line("b").statistics().retries == 0
        with pytest.raises(CallUnavailable) as caught:
            await proxy.b.second()
        assert caught.value.attempts == 1


async def test_X4_connections_that_are_refused_are_counted_as_calls_and_the_target_is_left_alone() -> None:
    svc = users()
    async with running(svc, sockets=True) as there:
        url = there.url(svc)
    settings = {"peers": {"users": {"url": url, "trust": "internal"}}}
    async with running(ServiceBuilder("orders"), settings=settings, declared=[svc]) as env:
        line = env._board.line("users")
        line.random = AtOnce()
        ended = Counter([await outcome(proxy.users.get_user(1)) for _ in range(200)])
        known = line.statistics()
        assert known.breaker.state == "open"
        assert known.retries + ended["failed"] <= 10
        assert ended["left alone"] == 200 - ended["failed"]
        with pytest.raises(CallError) as caught:
            await proxy.users.get_user(1)
        assert not caught.value.may_have_run
