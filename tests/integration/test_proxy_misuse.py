"""Calls made by mistake, or from odd places: each is made, or says what is wrong with it."""

import copy
import inspect
import pickle
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from fastapi import BackgroundTasks
from starlette.testclient import TestClient

from evox import ServiceBuilder
from evox.core import proxy
from evox.errors import CallError, InvalidCall, OutsideRuntime, ProxyError, UnknownOperation, UnknownService
from evox.testing import running


def users(name: str = "users") -> ServiceBuilder:
    svc = ServiceBuilder(name)

    @svc.get("/users/{user_id}")
    async def get_user(user_id: int) -> int:
        return user_id

    @svc.get("/lost/{user_id}")
    async def lost() -> int:
        return 1

    @svc.get("/class", name="class")
    async def reserved() -> str:
        return "class"

    return svc


async def test_X1_a_call_is_made_once_however_it_is_awaited() -> None:
    async with running(ServiceBuilder("orders"), users()):
        call = proxy.users.get_user(1)
        assert await call == 1
        with pytest.raises(InvalidCall, match="awaited before"):
            await call
        twice = proxy.users.get_user(2)
        with pytest.raises(ValueError, match="given before"):
            await proxy.gather(twice, twice)


async def test_a_call_outside_any_runtime_says_how_to_start_one() -> None:
    with pytest.raises(OutsideRuntime):
        await proxy.users.get_user(1)
    with pytest.raises(OutsideRuntime):
        await proxy.gather(proxy.users.get_user(1))
    with pytest.raises(OutsideRuntime):
        proxy.statistics()


async def test_a_call_is_made_from_a_thread_by_way_of_the_loop() -> None:
    svc = ServiceBuilder("orders")

    @svc.get("/sync")
    def sync() -> int:
        async def call() -> int:
            found: int = await proxy.users.get_user(3)
            return found

        return anyio.from_thread.run(call)

    async with running(svc, users()) as env:
        assert (await env.client("orders").get("/sync")).json() == 3
        assert (
            await anyio.to_thread.run_sync(lambda: repr(proxy.users.get_user(1)))
            == "<call of users.get_user, not made yet>"
        )


async def test_calls_are_made_from_jobs_hooks_background_tasks_and_after_answers() -> None:
    svc = ServiceBuilder("orders").depends_on("users")
    seen: list[str] = []
    done = anyio.Event()

    async def call(where: str) -> None:
        assert await proxy.users.get_user(1) == 1
        seen.append(where)
        if len(seen) == 4:
            done.set()

    @svc.on_startup
    async def begin() -> None:
        await call("startup")

    @svc.on_shutdown
    async def end() -> None:
        await call("shutdown")

    @svc.background_task(interval="1h")
    async def tick() -> None:
        await call("background")

    @svc.get("/after")
    async def after(tasks: BackgroundTasks) -> None:
        tasks.add_task(call, "after")

    async with running(svc, users()) as env:
        env.service("orders").start_soon(call, "job")
        await env.client("orders").get("/after")
        with anyio.fail_after(5):
            await done.wait()
    assert sorted(seen) == ["after", "background", "job", "shutdown", "startup"]


@pytest.mark.parametrize("keys", [False, True], ids=["in one process", "with a deadline"])
async def test_services_that_call_each_other_in_a_circle_end_with_a_clear_error(*, keys: bool) -> None:
    a, b = ServiceBuilder("a"), ServiceBuilder("b")
    ran = 0

    @a.get("/go")
    async def go() -> Any:
        return await proxy.b.go()

    @b.get("/go", name="go")
    async def go_on() -> Any:
        nonlocal ran
        ran += 1
        return await proxy.a.go()

    async with running(a, b):
        with anyio.fail_after(10):
            with pytest.raises(CallError):
                await (proxy.a.go().with_timeout("2s") if keys else proxy.a.go())
        assert 1 <= ran <= 16


async def test_a_hundred_services_call_each_other_in_a_row_as_far_as_a_chain_may_be_long() -> None:
    made = [ServiceBuilder(f"s-{number}") for number in range(100)]
    for number, svc in enumerate(made):

        @svc.get("/depth/{left}")
        async def depth(left: int, number: int = number) -> int:
            if not left:
                return number
            found: int = await getattr(proxy, f"s_{number + 1}").depth(left - 1, number + 1)
            return found

    async with running(*made):
        assert await proxy.s_0.depth(13, 0) == 13
        with pytest.raises(CallError):
            await proxy.s_0.depth(99, 0)


async def test_ten_thousand_calls_at_once_are_all_made() -> None:
    async with running(ServiceBuilder("orders"), users()) as env:
        calls = [proxy.users.get_user(number) for number in range(10_000)]
        with anyio.fail_after(15):
            assert await proxy.gather(*calls, concurrency=10_000) == list(range(10_000))
        assert not env.service("users").calls
        assert env.service("users").statistics().seats.in_use == 0


async def test_names_of_services_and_operations_are_found_as_code_writes_them() -> None:
    async with running(ServiceBuilder("orders"), users("user-service")):
        assert await proxy.user_service.get_user(1) == 1
        assert await getattr(proxy, "user-service").get_user(1) == 1
        assert await getattr(proxy.user_service, "class")() == "class"
        for handle in (
            proxy.größe,
            getattr(proxy, ""),
            getattr(proxy, "a" * 10_000),
            getattr(proxy, "x.y"),
        ):
            with pytest.raises(UnknownService) as caught:
                await handle.get_user(1)
            assert caught.value.status == 500
        for name in ("get_usr", "größe", "", "get user"):
            with pytest.raises(UnknownOperation):
                await getattr(proxy.user_service, name)(1)


async def test_an_argument_of_the_path_that_the_handler_does_not_take_is_a_clear_error() -> None:
    async with running(ServiceBuilder("orders"), users()):
        with pytest.raises(InvalidCall, match="user_id"):
            await proxy.users.lost()


def test_handles_bear_what_tools_do_to_them() -> None:
    for thing in (proxy, proxy.users, proxy.users.get_user, proxy.users.get_user.put, proxy.users.get_user(1)):
        assert repr(thing).startswith("<")
        assert callable(thing) == (not repr(thing).startswith(("<service", "<call")))
        for name in ("_ipython_display_", "__len__", "__wrapped__", "_repr_html_", "__fspath__", "__array__", "_x"):
            assert not hasattr(thing, name)
        assert bool(thing)
        assert inspect.unwrap(thing) is thing  # type: ignore[arg-type]
        assert not inspect.iscoroutinefunction(thing)
        copy.copy(thing)
        copy.deepcopy(thing)
        dir(thing)
        inspect.getmembers(thing)
    assert list(inspect.signature(proxy.users.get_user).parameters) == ["args", "named"]
    for thing in (proxy.users, proxy.users.get_user):
        assert repr(pickle.loads(pickle.dumps(thing))) == repr(thing)
    with pytest.raises(AttributeError, match="HTTP methods"):
        proxy.x.y.z  # noqa: B018
    with pytest.raises(AttributeError):
        proxy.x.y.get.put  # noqa: B018
    with pytest.raises(TypeError):
        len(proxy.x)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        list(proxy.x)  # type: ignore[call-overload]


async def test_two_runtimes_in_one_process_call_their_own() -> None:
    svc = users()
    async with running(ServiceBuilder("orders"), svc):
        async with running(ServiceBuilder("bills"), svc, users("more")):
            assert await proxy.more.get_user(2) == 2
            assert await proxy.users.get_user(1) == 1
        assert await proxy.users.get_user(1) == 1
        with pytest.raises(ProxyError):
            await proxy.more.get_user(2)
        assert proxy.statistics().internal == 1


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_service_under_another_server_calls_others_or_says_that_nobody_knows_them(loop: Any) -> None:
    svc = ServiceBuilder("orders")

    @svc.get("/own")
    async def own() -> Any:
        return await proxy.orders.number()

    @svc.get("/number")
    async def number() -> int:
        return 7

    @svc.get("/other")
    async def other() -> Any:
        return await proxy.users.get_user(1)

    for started in (True, False):
        client = TestClient(svc.app, backend=loop, raise_server_exceptions=False)
        if started:
            with client:
                assert client.get("/own").json() == 7
                assert client.get("/other").status_code == 500
        else:
            assert client.get("/own").status_code in (200, 502, 503)
            assert client.get("/other").status_code == 500
