"""The loop: which one is chosen and why, and how asyncio-only code shows itself under trio."""

import asyncio
import importlib.util
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import anyio
import pytest
import trio

from evox.runtime import Choice, asyncio_only_imports, choose, is_asyncio_only_error, run

UVLOOP = importlib.util.find_spec("uvloop") is not None
both_loops: list[Literal["trio", "asyncio"]] = ["trio", "asyncio"]


def test_auto_means_trio() -> None:
    assert choose("auto") == Choice("trio", "auto: nothing asks for asyncio")


def test_auto_means_asyncio_for_the_first_reason_there_is() -> None:
    choice = choose("auto", asyncio_because=["items imports asyncpg", "users was a FastAPI app"])
    assert choice == Choice("asyncio", "auto: items imports asyncpg", uvloop=UVLOOP)


@pytest.mark.parametrize("reasons", [[], ["items imports asyncpg"]])
def test_trio_by_name_is_trio_whatever_speaks_for_asyncio(reasons: list[str]) -> None:
    assert choose("trio", source="EVOX_BACKEND", asyncio_because=reasons) == Choice("trio", "EVOX_BACKEND")


@pytest.mark.parametrize("reasons", [[], ["items imports asyncpg"]])
def test_asyncio_by_name_is_asyncio_because_it_was_named(reasons: list[str]) -> None:
    choice = choose("asyncio", source="evox.toml", asyncio_because=reasons)
    assert (choice.backend, choice.why) == ("asyncio", "evox.toml")


def test_R7_uvloop_is_used_under_asyncio_where_it_is_installed() -> None:
    assert choose("asyncio").uvloop is UVLOOP


def test_uvloop_is_not_used_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "uvloop" else found(name))
    assert choose("asyncio").uvloop is False


def test_the_reasons_are_asked_for_one_at_a_time_and_may_be_made_on_the_way() -> None:
    assert choose("auto", asyncio_because=(reason for reason in ["one"])).why == "auto: one"


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        (Choice("trio", "the default"), "trio (the default)"),
        (Choice("asyncio", "evox.toml"), "asyncio (evox.toml)"),
        (Choice("asyncio", "auto: x imports asyncpg", uvloop=True), "asyncio with uvloop (auto: x imports asyncpg)"),
    ],
)
def test_a_choice_reads_as_loop_and_reason(choice: Choice, text: str) -> None:
    assert str(choice) == text


@pytest.mark.parametrize("name", ["asyncpg", "redis.asyncio", "aiohttp", "motor", "sqlalchemy.ext.asyncio"])
def test_libraries_known_to_be_asyncio_only_are_recognised_by_their_import(name: str) -> None:
    assert asyncio_only_imports(["os", name, f"{name}.inner"]) == [name]


@pytest.mark.parametrize("name", ["redis", "sqlalchemy", "sqlalchemy.ext", "asyncio", "asyncpg_stubs", "anyio"])
def test_libraries_that_run_on_trio_too_are_not(name: str) -> None:
    assert asyncio_only_imports([name]) == []


def test_without_a_list_the_imports_of_this_process_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", sys)
    assert "asyncpg" in asyncio_only_imports()


@pytest.mark.parametrize("backend", both_loops)
def test_R7_what_is_run_runs_on_the_chosen_loop_and_its_value_comes_back(
    backend: Literal["trio", "asyncio"],
) -> None:
    async def main() -> bool:
        await anyio.lowlevel.checkpoint()
        return trio.lowlevel.in_trio_run()

    assert run(Choice(backend, "test"), main) is (backend == "trio")


@pytest.mark.parametrize("uvloop", [False, True] if UVLOOP else [False])
def test_R7_uvloop_is_the_loop_when_chosen_and_only_then(uvloop: bool) -> None:
    async def main() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert run(Choice("asyncio", "test", uvloop=uvloop), main).startswith("uvloop") is uvloop


@pytest.mark.parametrize("backend", both_loops)
def test_an_error_of_what_is_run_comes_out_as_it_is(backend: Literal["trio", "asyncio"]) -> None:
    async def main() -> None:
        raise LookupError("the real error")

    with pytest.raises(LookupError, match="the real error"):
        run(Choice(backend, "test"), main)


async def await_a_future() -> None:
    loop = asyncio.new_event_loop()
    try:
        await loop.create_future()
    finally:
        loop.close()


async def create_task() -> None:
    job = asyncio.sleep(0)
    try:
        await asyncio.create_task(job)
    finally:
        job.close()


async def contended_lock() -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    await lock.acquire()


async def wait_for() -> None:
    job = asyncio.sleep(0)
    try:
        await asyncio.wait_for(job, 1)
    finally:
        job.close()


async def timeout() -> None:
    async with asyncio.timeout(1):
        await anyio.lowlevel.checkpoint()


async def task_group() -> None:
    async with asyncio.TaskGroup():
        pass


async def current_task() -> None:
    asyncio.current_task()


async def running_loop() -> None:
    asyncio.get_running_loop()


ASYNCIO_ONLY: dict[str, Callable[[], Awaitable[Any]]] = {
    "await asyncio.sleep(1)": lambda: asyncio.sleep(1),
    "await asyncio.sleep(0)": lambda: asyncio.sleep(0),
    "await a future": await_a_future,
    "asyncio.create_task": create_task,
    "asyncio.Event().wait()": lambda: asyncio.Event().wait(),
    "asyncio.Queue().get()": lambda: asyncio.Queue[int]().get(),
    "asyncio.Lock under contention": contended_lock,
    "asyncio.wait_for": wait_for,
    "asyncio.timeout": timeout,
    "asyncio.TaskGroup": task_group,
    "asyncio.current_task": current_task,
    "asyncio.get_running_loop": running_loop,
    "asyncio.to_thread": lambda: asyncio.to_thread(int),
    "asyncio.open_connection": lambda: asyncio.open_connection("127.0.0.1", 1),
}


def error_under_trio(action: Callable[[], Awaitable[Any]]) -> Exception:
    async def main() -> Exception:
        try:
            await action()
        except Exception as error:  # noqa: BLE001  what is raised is what is tested
            return error
        raise AssertionError("nothing was raised")

    return trio.run(main)


@pytest.mark.parametrize("name", ASYNCIO_ONLY)
def test_R7_asyncio_only_code_is_recognised_by_what_it_raises_under_trio(name: str) -> None:
    assert is_asyncio_only_error(error_under_trio(ASYNCIO_ONLY[name]))


def raising(error: Exception) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error

    return fail


async def missing_attribute() -> None:
    None.create_future()  # type: ignore[attr-defined]


async def not_awaitable() -> None:
    await 5  # type: ignore[misc]


async def misuse_of_trio() -> None:
    trio.run(anyio.sleep, 0)


OTHERS: dict[str, Callable[[], Awaitable[Any]]] = {
    "a RuntimeError": raising(RuntimeError("the event loop of the washing machine is broken")),
    "a TypeError": raising(TypeError("unsupported operand")),
    "a ValueError": raising(ValueError("no running event loop")),
    "a missing attribute": missing_attribute,
    "awaiting what cannot be awaited": not_awaitable,
    "a nested trio.run": misuse_of_trio,
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_errors_are_not_taken_for_it(name: str) -> None:
    assert not is_asyncio_only_error(error_under_trio(OTHERS[name]))


def test_an_error_that_was_never_raised_is_not_taken_for_it() -> None:
    assert not is_asyncio_only_error(AttributeError("x"))
