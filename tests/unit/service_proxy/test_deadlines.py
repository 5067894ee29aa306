"""X3: the time of a call: ten seconds, or what its caller has left, for all attempts, waits and queues together."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import anyio
import pytest
from tests.unit.service_proxy.scripted import OK, Late, Scripted, refused, status

from evox import Depends, ServiceBuilder
from evox.core import proxy
from evox.errors import CallTimeout, CallUnavailable
from evox.testing import Env, run_virtual, running

SETTINGS: dict[str, Any] = {"priority": {"total": 1, "high": 1, "medium": 1, "low": 1, "max_wait": 100}}


def within(
    main: Callable[[Env, Scripted], Awaitable[Any]], *answers: Any, settings: dict[str, Any] | None = None
) -> Scripted:
    """Run a test with a service that calls, and a target that is called; return the target."""
    target = Scripted(list(answers or [OK]))

    async def run() -> None:
        async with running(ServiceBuilder("orders"), settings=settings) as env:
            env._board.fake(target)
            await main(env, target)

    run_virtual(run)
    return target


def left(target: Scripted) -> list[float]:
    """Return how many seconds each attempt had."""
    return [round(sending.deadline - when, 6) for when, sending in target.sent]


async def timed_out(call: Any) -> float:
    """Return after how many seconds a call was over."""
    began = anyio.current_time()
    with pytest.raises(CallTimeout):
        await call
    return anyio.current_time() - began


def test_X3_a_call_has_ten_seconds_by_itself() -> None:
    async def main(env: Env, target: Scripted) -> None:
        assert await timed_out(proxy.users.read()) == pytest.approx(10)

    target = within(main, Late(1000))
    assert left(target) == [10.0]
    assert target.running == 0


def test_X3_the_settings_say_otherwise() -> None:
    async def main(env: Env, target: Scripted) -> None:
        assert await timed_out(proxy.users.read()) == pytest.approx(2.5)

    within(main, Late(1000), settings={"proxy": {"timeout": "2.5s"}})


@pytest.mark.parametrize(("limit", "expected"), [("2s", 2.0), (0.25, 0.25), (60, 60.0)])
def test_X3_a_call_says_otherwise(limit: str | float, expected: float) -> None:
    async def main(env: Env, target: Scripted) -> None:
        assert await timed_out(proxy.users.read().with_timeout(limit)) == pytest.approx(expected)

    within(main, Late(1000))


def test_X3_no_call_has_more_time_than_a_cancel_scope_round_it() -> None:
    async def main(env: Env, target: Scripted) -> None:
        began = anyio.current_time()
        with pytest.raises(TimeoutError), anyio.fail_after(3):
            await proxy.users.read().with_timeout(60)
        assert anyio.current_time() - began == pytest.approx(3)
        assert env._board.line("users").breaker.statistics(began + 3).calls == 0

    target = within(main, Late(1000))
    assert left(target) == [3.0]
    assert target.sent[0][1].hurried


def test_X3_attempts_and_the_waits_between_them_share_the_time() -> None:
    async def main(env: Env, target: Scripted) -> None:
        assert await timed_out(proxy.users.read()) == pytest.approx(10)

    busy = Late(3, status(503, retry_after="2"))
    target = within(main, busy, Late(2, refused()), Late(1000))
    assert left(target)[0] == 10.0
    assert left(target)[1] == 5.0
    assert 2.8 <= left(target)[2] <= 3.0
    assert len({sending.deadline for _, sending in target.sent}) == 1


def test_X3_time_that_the_caller_used_up_before_is_gone() -> None:
    async def main(env: Env, target: Scripted) -> None:
        with anyio.move_on_after(3):
            await anyio.sleep(1)
            await proxy.users.read()
            await anyio.sleep(0.5)
            await proxy.users.read()

    assert left(within(main)) == [2.0, 1.5]


def calling(env: Any, timeout: float | None, *, spent: float = 0.0) -> ServiceBuilder:
    """Return a service whose endpoint takes a while, and then calls."""
    svc = ServiceBuilder("orders")
    options = {} if timeout is None else {"timeout": timeout}

    @svc.get("/order", **options)
    async def order() -> Any:
        await anyio.sleep(spent)
        return await proxy.users.read()

    @svc.get("/dependent", **options)
    async def dependent(found: Annotated[int, Depends(order)]) -> Any:
        return found

    return svc


@pytest.mark.parametrize(
    ("timeout", "header", "expected"),
    [
        (None, None, 10.0),
        (4.0, None, 3.0),
        (None, "2.5", 1.5),
        (4.0, "2.5", 1.5),
        (4.0, "1e9", 3.0),
        (4.0, "nan", 3.0),
        (4.0, "-5", 3.0),
        (60.0, "60", 10.0),
    ],
)
@pytest.mark.parametrize("path", ["/order", "/dependent"])
def test_X3_a_call_inherits_what_is_left_of_the_request_that_it_serves(
    timeout: float | None, header: str | None, expected: float, path: str
) -> None:
    target = Scripted([OK])

    async def main() -> None:
        svc = calling(None, timeout, spent=1.0)
        async with running(svc) as env:
            env._board.fake(target)
            headers = {} if header is None else {"x-evox-deadline": header}
            answer = await env.client(svc).get(path, headers=headers)
            assert answer.status_code == 200

    run_virtual(main)
    assert left(target) == [expected]


def test_X3_a_chain_has_what_its_first_caller_has_left() -> None:
    target = Scripted([Late(1000)])
    a, b = ServiceBuilder("a"), ServiceBuilder("orders")

    @a.get("/first", timeout=6)
    async def first() -> Any:
        await anyio.sleep(1)
        return await proxy.orders.second()

    @b.get("/second", timeout=60)
    async def second() -> Any:
        await anyio.sleep(2)
        return await proxy.users.read()

    async def main() -> None:
        async with running(a, b) as env:
            env._board.fake(target)
            began = anyio.current_time()
            answer = await env.client(a).get("/first")
            assert answer.status_code == 504
            assert anyio.current_time() - began == pytest.approx(6)
            assert env._board.line("orders").breaker.statistics(began + 6).calls == 0

    run_virtual(main)
    assert left(target) == [3.0]


@pytest.mark.parametrize("body", [False, True])
def test_X2_X3_an_endpoint_called_in_its_process_has_no_more_time_than_it_gives_itself(body: bool) -> None:
    """Its timeout= was passed over where no HTTP was between."""
    users, orders = ServiceBuilder("users"), ServiceBuilder("orders")
    ended: list[float] = []

    @users.get("/slow", timeout=0.5)
    @users.post("/slower", timeout=0.5)
    async def slow() -> int:
        try:
            await anyio.sleep(1000)
        finally:
            ended.append(anyio.current_time())
        return 1

    async def main() -> None:
        async with running(orders, users) as env:
            began = anyio.current_time()
            with pytest.raises(CallUnavailable) as caught:
                await (proxy.users.slow.post() if body else proxy.users.slow.get())
            assert caught.value.code == 504
            assert not isinstance(caught.value, CallTimeout)
            assert ended[0] - began == pytest.approx(0.5)
            assert caught.value.attempts == len(ended) == (1 if body else 3)
            assert (await env.client(users).get("/slow")).status_code == 504

    run_virtual(main)


def test_X3_the_time_in_the_queue_of_the_callee_is_of_the_calls_time() -> None:
    users, orders = ServiceBuilder("users"), ServiceBuilder("orders")

    @users.get("/hold")
    async def hold() -> int:
        await anyio.sleep(1000)
        return 1

    async def main() -> None:
        async with running(orders, users, settings=SETTINGS) as env, anyio.create_task_group() as group:
            group.start_soon(env.client(users).get, "/hold")
            await anyio.sleep(1)
            began = anyio.current_time()
            with pytest.raises(CallUnavailable):
                await proxy.users.hold().with_timeout(4)
            assert anyio.current_time() - began <= 4.0
            group.cancel_scope.cancel()

    run_virtual(main)
