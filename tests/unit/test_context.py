"""Context: the current service follows tasks and threads, and outside of any there is an error that says so."""

from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import pytest

from evox.context import current_service, enter_service, leave_service, maybe_service
from evox.errors import OutsideRuntime


@dataclass(frozen=True)
class Scope:
    """A running service as this floor sees one."""

    name: str
    runtime: Any = None
    data: Any = None
    authority: Any = None

    def resolve(self, thing: Any) -> Any:
        return thing


def test_outside_any_service_there_is_none() -> None:
    assert maybe_service() is None


def test_asking_for_the_service_outside_any_says_what_was_wanted_and_what_to_do() -> None:
    with pytest.raises(OutsideRuntime) as caught:
        current_service("inject(Repository)")
    assert "inject(Repository)" in caught.value.what
    assert "evox.testing.running" in caught.value.fix


def test_the_service_that_was_entered_is_the_current_one_until_it_is_left() -> None:
    scope = Scope("users")
    token = enter_service(scope)
    inside = (current_service("x"), maybe_service())
    leave_service(token)
    assert inside == (scope, scope)
    assert maybe_service() is None


def test_leaving_brings_back_the_service_before() -> None:
    outer, inner = Scope("outer"), Scope("inner")
    first = enter_service(outer)
    second = enter_service(inner)
    leave_service(second)
    found = current_service("x")
    leave_service(first)
    assert found is outer


def test_entering_none_hides_the_service() -> None:
    first = enter_service(Scope("outer"))
    second = enter_service(None)
    found = maybe_service()
    leave_service(second)
    leave_service(first)
    assert found is None


async def test_tasks_started_by_a_service_belong_to_it() -> None:
    found: list[str] = []

    async def child() -> None:
        found.append(current_service("x").name)

    token = enter_service(Scope("users"))
    async with anyio.create_task_group() as group:
        group.start_soon(child)
    leave_service(token)
    assert found == ["users"]


async def test_worker_threads_of_a_service_belong_to_it() -> None:
    token = enter_service(Scope("users"))
    found = await anyio.to_thread.run_sync(maybe_service)
    leave_service(token)
    assert found == Scope("users")


async def test_what_a_task_enters_does_not_reach_its_siblings_or_its_parent() -> None:
    found: dict[str, str] = {}
    entered = anyio.Event()

    async def other() -> None:
        await entered.wait()
        found["other"] = repr(maybe_service())

    async def enters() -> None:
        enter_service(Scope("mine"))
        entered.set()

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        group.start_soon(enters)
    assert (found["other"], maybe_service()) == ("None", None)
