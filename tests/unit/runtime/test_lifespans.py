"""Lifespans: every form a context manager can have, round the whole life of a service."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import pytest
from fastapi import FastAPI

from evox import Request, ServiceBuilder
from evox.errors import StartupFailed
from evox.runtime import State
from evox.testing import running

Log = list[Any]
Form = Callable[[Log], Callable[..., Any]]


def async_manager(log: Log) -> Callable[..., Any]:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[dict[str, Any]]:
        log.append("enter")
        yield {"pool": "made"}
        log.append("exit")

    return lifespan


def async_manager_with_app(log: Log) -> Callable[..., Any]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        log.extend([app, "enter"])
        yield {"pool": "made"}
        log.append("exit")

    return lifespan


def async_generator(log: Log) -> Callable[..., Any]:
    async def lifespan() -> AsyncIterator[dict[str, Any]]:
        log.append("enter")
        yield {"pool": "made"}
        log.append("exit")

    return lifespan


def async_generator_with_app(log: Log) -> Callable[..., Any]:
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        log.extend([app, "enter"])
        yield {"pool": "made"}
        log.append("exit")

    return lifespan


def sync_manager(log: Log) -> Callable[..., Any]:
    @contextmanager
    def lifespan() -> Iterator[dict[str, Any]]:
        log.append("enter")
        yield {"pool": "made"}
        log.append("exit")

    return lifespan


def sync_manager_with_app(log: Log) -> Callable[..., Any]:
    @contextmanager
    def lifespan(app: FastAPI) -> Iterator[dict[str, Any]]:
        log.extend([app, "enter"])
        yield {"pool": "made"}
        log.append("exit")

    return lifespan


def manager_class(log: Log) -> Callable[..., Any]:
    class Pool:
        async def __aenter__(self) -> dict[str, Any]:
            log.append("enter")
            return {"pool": "made"}

        async def __aexit__(self, *_: object) -> None:
            log.append("exit")

    return Pool


def bound_method(log: Log) -> Callable[..., Any]:
    class Owner:
        @asynccontextmanager
        async def lifespan(self, app: FastAPI) -> AsyncIterator[dict[str, Any]]:
            log.extend([app, "enter"])
            yield {"pool": "made"}
            log.append("exit")

    return Owner().lifespan


FORMS: list[Form] = [
    async_manager,
    async_manager_with_app,
    async_generator,
    async_generator_with_app,
    sync_manager,
    sync_manager_with_app,
    manager_class,
    bound_method,
]
every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)


@every_form
async def test_R3_a_lifespan_of_any_form_is_entered_before_and_left_after_the_requests(form: Form) -> None:
    log: Log = []
    svc = ServiceBuilder("users")
    svc.lifespan(form(log))

    @svc.get("/")
    async def read() -> dict[str, str]:
        log.append("request")
        return {}

    async with running(svc) as env:
        await env.client("users").get("/")
    assert [entry for entry in log if isinstance(entry, str)] == ["enter", "request", "exit"]
    assert [entry for entry in log if not isinstance(entry, str)] in ([], [svc.app])


@every_form
async def test_what_a_lifespan_of_any_form_yields_is_the_state_of_each_request(form: Form) -> None:
    svc = ServiceBuilder("users")
    svc.lifespan(form([]))

    @svc.get("/")
    async def read(request: Request) -> str:
        return str(request.state.pool)

    async with running(svc) as env:
        assert (await env.client("users").get("/")).json() == "made"


async def test_R3_lifespans_and_hooks_stand_in_the_order_of_their_lines_and_end_in_reverse() -> None:
    log: Log = []
    svc = ServiceBuilder("users")

    def named(name: str) -> Callable[..., Any]:
        @asynccontextmanager
        async def lifespan() -> AsyncIterator[None]:
            log.append(f"{name} in")
            yield
            log.append(f"{name} out")

        return lifespan

    svc.lifespan(named("first"))
    svc.on_startup(lambda: log.append("up"))
    svc.on_shutdown(lambda: log.append("down"))
    svc.lifespan(named("second"))
    async with running(svc):
        pass
    assert log == ["first in", "up", "second in", "second out", "down", "first out"]


async def test_a_lifespan_may_hold_a_task_group_of_its_own() -> None:
    svc = ServiceBuilder("users")
    log: Log = []

    async def lifespan() -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            yield
            group.cancel_scope.cancel()
        log.append("closed")

    svc.lifespan(lifespan)
    async with running(svc) as env:
        assert env.host("users").lifecycle.state is State.READY
    assert log == ["closed"]


async def test_R3_a_lifespan_that_fails_to_enter_leaves_those_before_it() -> None:
    log: Log = []
    svc = ServiceBuilder("users")
    svc.lifespan(manager_class(log))

    @svc.lifespan
    async def bad() -> AsyncIterator[None]:
        if log:
            raise ValueError("the real error")
        yield

    with pytest.raises(StartupFailed, match="bad"):
        async with running(svc):
            pass
    assert log == ["enter", "exit"]


async def test_a_plain_generator_is_refused_and_told_what_is_missing() -> None:
    svc = ServiceBuilder("users")

    @svc.lifespan
    def forgotten() -> Iterator[None]:
        yield

    with pytest.raises(StartupFailed, match="put @asynccontextmanager on it"):
        async with running(svc):
            pass


async def test_R3_a_lifespan_that_fails_to_leave_keeps_no_other_service_from_shutting_down() -> None:
    log: Log = []
    first, bad, last = (ServiceBuilder(name) for name in ("first", "bad", "last"))
    first.on_shutdown(lambda: log.append("first down"))
    last.on_shutdown(lambda: log.append("last down"))

    @bad.lifespan
    async def leaves() -> AsyncIterator[None]:
        yield
        raise ValueError("the real error")

    with pytest.raises(ValueError, match="the real error"):
        async with running(first, bad, last):
            pass
    assert log == ["last down", "first down"]


async def test_R3_a_lifespan_is_entered_anew_for_each_run_of_the_same_service() -> None:
    log: Log = []
    svc = ServiceBuilder("users")
    svc.lifespan(async_generator(log))
    for _ in range(2):
        async with running(svc):
            pass
    assert log == ["enter", "exit"] * 2
