"""X1, P12: calls are lazy and used once; gather makes many of them, some at a time, and leaves nothing behind."""

import gc
import warnings
from collections.abc import Iterator
from copy import copy

import anyio
import anyio.lowlevel
import pytest
from tests.unit.service_proxy.scripted import OK, AtOnce, Scripted, status

from evox import HTTPException, ServiceBuilder
from evox.core import proxy
from evox.errors import CallNotFound, InvalidCall, OutsideRuntime, UnknownOperation, UnknownService
from evox.testing import running


class Counted:
    """A service whose calls are counted while they run.

    Attributes:
        began: Its arguments, in the order in which calls began.
        running: How many run now; ``most`` is the most of all times.
        cancelled: Those that were cancelled.
    """

    def __init__(self, *, fails: int | None = None, held: bool = False) -> None:
        self.began: list[int] = []
        self.cancelled: list[int] = []
        self.running = self.most = 0
        self.service = ServiceBuilder("users")

        @self.service.get("/users/{user_id}")
        async def get_user(user_id: int) -> int:
            self.began.append(user_id)
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                for _ in range(user_id % 7 + 1):
                    await anyio.lowlevel.checkpoint()
                if user_id == fails:
                    raise HTTPException(404)
                if held:
                    await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                self.cancelled.append(user_id)
                raise
            finally:
                self.running -= 1
            return user_id


@pytest.fixture
def no_warnings() -> Iterator[None]:
    """Let a coroutine that nobody awaits fail the test."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(one.message) for one in found] == []


@pytest.mark.parametrize("concurrency", [1, 5, 100])
async def test_P12_gather_runs_so_many_at_a_time_and_keeps_the_order(concurrency: int) -> None:
    counted = Counted()
    async with running(ServiceBuilder("orders"), counted.service):
        calls = [proxy.users.get_user(number) for number in range(100)]
        assert counted.began == []
        assert await proxy.gather(*calls, concurrency=concurrency) == list(range(100))
    assert counted.most <= concurrency
    assert counted.most >= min(concurrency, 5)
    assert sorted(counted.began) == list(range(100))
    assert counted.running == 0


async def test_P12_gather_inside_a_handler_keeps_to_its_concurrency_too() -> None:
    counted, orders = Counted(), ServiceBuilder("orders")

    @orders.get("/")
    async def all_of_them() -> list[int]:
        return await proxy.gather(*(proxy.users.get_user(number) for number in range(100)), concurrency=5)

    one = {"priority": {"total": 1, "high": 1, "medium": 1, "low": 1}}
    async with running(orders, counted.service, settings=one) as env:
        answer = await env.client(orders).get("/")
        assert answer.json() == list(range(100))
        assert counted.most == 5


async def test_P12_the_first_error_ends_the_others_and_is_raised_itself(no_warnings: None) -> None:
    counted = Counted(fails=3, held=True)
    async with running(ServiceBuilder("orders"), counted.service) as env:
        calls = [proxy.users.get_user(number) for number in range(100)]
        with pytest.raises(CallNotFound):
            await proxy.gather(*calls, concurrency=5)
        assert sorted(counted.began) == [0, 1, 2, 3, 4]
        assert sorted(counted.cancelled) == [0, 1, 2, 4]
        assert counted.running == 0
        assert not env.service("users").calls
        known = env._board.line("users").statistics()
        assert (known.calls, known.breaker.calls) == (5, 0)
        counted.cancelled.clear()
        with anyio.move_on_after(5) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(wait_for, counted, group.cancel_scope)
                await calls[50]
        assert not scope.cancelled_caught
        assert counted.cancelled == [50]


async def wait_for(counted: Counted, scope: anyio.CancelScope) -> None:
    """Cancel once a call runs."""
    while not counted.running:
        await anyio.lowlevel.checkpoint()
    scope.cancel()


async def test_P12_errors_take_the_place_of_values_where_that_is_asked_for() -> None:
    counted = Counted(fails=3)
    async with running(ServiceBuilder("orders"), counted.service):
        calls = [proxy.users.get_user(number) for number in range(10)]
        found = await proxy.gather(*calls, concurrency=5, return_exceptions=True)
    assert isinstance(found[3], CallNotFound)
    assert [one for one in found if isinstance(one, int)] == [0, 1, 2, 4, 5, 6, 7, 8, 9]


async def test_P12_a_gather_that_is_cancelled_leaves_nothing_running(no_warnings: None) -> None:
    counted = Counted(held=True)
    async with running(ServiceBuilder("orders"), counted.service) as env:
        async with anyio.create_task_group() as group:
            group.start_soon(wait_for, counted, group.cancel_scope)
            await proxy.gather(*(proxy.users.get_user(number) for number in range(100)), concurrency=5)
        assert counted.running == 0
        assert sorted(counted.cancelled) == sorted(counted.began)
        assert not env.service("users").calls


async def test_X1_a_call_is_made_once(no_warnings: None) -> None:
    counted = Counted()
    async with running(ServiceBuilder("orders"), counted.service):
        call = proxy.users.get_user(1)
        assert repr(call) == "<call of users.get_user, not made yet>"
        assert await call == 1
        assert repr(call) == "<call of users.get_user, made>"
        for again in (lambda: call, call.outcome, lambda: proxy.gather(call)):
            with pytest.raises(InvalidCall, match="awaited before"):
                await again()
        with pytest.raises(InvalidCall, match="awaited before"):
            async for _ in call:
                pass
        with pytest.raises(ValueError, match="given before"):
            await proxy.gather(*[proxy.users.get_user(2)] * 2)
    assert counted.began == [1]


async def test_X1_a_call_that_failed_is_used_up_too() -> None:
    target = Scripted([status(404), OK])
    async with running(ServiceBuilder("orders")) as env:
        env._board.fake(target)
        call = proxy.users.read()
        with pytest.raises(CallNotFound):
            await call
        with pytest.raises(InvalidCall):
            await call
    assert len(target.sent) == 1


async def test_X1_nothing_happens_before_a_call_is_awaited_and_one_that_never_is_does_not_warn(
    no_warnings: None,
) -> None:
    counted = Counted()
    made = [proxy.nobody.nothing(1).with_fallback(None).with_timeout(1)]  # outside of any runtime, too
    async with running(ServiceBuilder("orders"), counted.service) as env:
        made += [proxy.users.get_user(1).with_timeout("1s").with_key("k") for _ in range(10)]
        made += [proxy.users.get_user.put(1), proxy.nobody.nothing(1)]
        made.clear()
        gc.collect()
        assert env._board.statistics().lines == ()
    assert counted.began == []


async def test_X1_outside_of_a_runtime_a_call_says_how_to_start_one() -> None:
    with pytest.raises(OutsideRuntime):
        await proxy.users.get_user(1)


@pytest.mark.parametrize("name", ["_private", "__wrapped__", "__len__", "_repr_html_", "__deepcopy__", "_ipython_"])
def test_X1_names_that_begin_with_an_underscore_are_nothing(name: str) -> None:
    for thing in (proxy, proxy.users, proxy.users.get_user, proxy.users.get_user(1)):
        assert not hasattr(thing, name)


def test_X1_operations_have_the_methods_of_http_and_no_other_attribute() -> None:
    assert repr(proxy.users.get_user.put) == "<operation users.get_user.put>"
    for name in ("PUT", "fetch", "put_", "name"):
        assert not hasattr(proxy.users.get_user, name)
    assert not hasattr(proxy.users.get_user.put, "get")


async def test_X1_names_that_nobody_knows_list_those_that_are_close() -> None:
    counted = Counted()
    async with running(ServiceBuilder("order-service"), counted.service):
        for call, close in ((proxy.user.get_user(1), "users"), (proxy.order_servise.x(), "order_service")):
            with pytest.raises(UnknownService, match=f"did you mean {close}"):
                await call
        with pytest.raises(UnknownOperation, match="did you mean get_user"):
            await proxy.users.getuser(1)
        with pytest.raises(UnknownOperation, match=r"get_user\.put.*did you mean get_user\.get"):
            await proxy.users.get_user.put(1)
        with pytest.raises(UnknownService) as caught:
            await proxy.zzz.get_user(1)
        assert "did you mean" not in str(caught.value)
        assert "order_service, users" in str(caught.value)


async def test_X1_names_are_looked_up_anew_each_time() -> None:
    counted = Counted()
    handle = proxy.users
    async with running(ServiceBuilder("orders")):
        with pytest.raises(UnknownService):
            await handle.get_user(1)
    async with running(ServiceBuilder("orders"), counted.service):
        made = handle.get_user
        assert await made(1) == 1
    async with running(ServiceBuilder("orders"), Counted().service):
        assert await made(2) == 2
    assert counted.began == [1]


async def test_P12_retries_of_one_call_hold_up_no_other() -> None:
    target = Scripted([status(503), OK])
    async with running(ServiceBuilder("orders")) as env:
        env._board.fake(target)
        env._board.line("users").random = AtOnce()
        assert await proxy.gather(*(proxy.users.read() for _ in range(100)), concurrency=5) == [1] * 100
    assert target.most <= 5
    assert len(target.sent) == 101


def test_X1_handles_can_be_copied_and_shown() -> None:
    assert repr(copy(proxy.users)) == "<service 'users'>"
    assert repr(proxy) == "<proxy>"
