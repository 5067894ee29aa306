"""`svc.start_soon`: work that outlives the request that started it, is waited for, and whose error is seen."""

import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from evox import Service, ServiceBuilder, WebSocket
from evox.errors import OutsideRuntime
from evox.testing import Env, run_virtual, running

PLACES = [
    "async handler",
    "sync handler",
    "websocket",
    "start-up hook",
    "sync start-up hook",
    "lifespan",
    "background task",
    "sync background task",
    "shutdown hook",
    "sync shutdown hook",
    "job",
    "test body",
]


class Job:
    """A job that can be held, and that notes its arguments."""

    def __init__(self) -> None:
        self.ran_with: list[Any] = []
        self.go, self.done = anyio.Event(), anyio.Event()

    async def __call__(self, *args: Any) -> None:
        await self.go.wait()
        self.ran_with.append(args)
        self.done.set()


async def fails() -> None:
    raise ValueError("the real error")


def starting(job: Callable[..., Any], *args: Any) -> Service:
    """Make a service whose one handler starts a job."""
    svc = ServiceBuilder("a")

    @svc.get("/go")
    async def go() -> str:
        svc.start_soon(job, *args)
        return "started"

    return svc


async def test_a_job_outlives_the_request_that_started_it() -> None:
    job = Job()
    async with running(starting(job, 1, "two")) as env:
        assert (await env.client("a").get("/go")).json() == "started"
        assert job.ran_with == []
        job.go.set()
        with anyio.fail_after(5):
            await job.done.wait()
    assert job.ran_with == [(1, "two")]


async def test_a_job_is_waited_for_when_the_service_stops() -> None:
    svc, ended = ServiceBuilder("a"), list[str]()

    async def job() -> None:
        await svc.wait_draining()
        await anyio.lowlevel.checkpoint()
        ended.append("job")

    svc.on_shutdown(lambda: ended.append("hook"))
    async with running(svc):
        svc.start_soon(job)
    assert ended == ["job", "hook"]


async def test_a_job_still_has_the_services_instances_while_the_service_drains() -> None:
    svc, seen = ServiceBuilder("a"), list[bool]()

    async def job() -> None:
        await svc.wait_draining()
        seen.append(svc.is_draining)

    async with running(svc):
        svc.start_soon(job)
    assert seen == [True]


def test_a_job_that_does_not_end_is_cut_after_the_limit_and_named(caplog: pytest.LogCaptureFixture) -> None:
    cleaned = []

    async def endless() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append(anyio.current_time())

    async def main() -> float:
        async with running(starting(endless), settings={"runtime": {"shutdown_timeout": "5s"}}) as env:
            await env.client("a").get("/go")
            began = anyio.current_time()
        assert anyio.current_time() - began == pytest.approx(5.0)
        return began

    began = run_virtual(main)
    assert cleaned == [pytest.approx(began + 5.0)]
    assert "endless" in caplog.text


async def test_the_error_of_a_job_is_logged_once_and_hurts_nothing(caplog: pytest.LogCaptureFixture) -> None:
    other = Job()
    svc = starting(fails)
    async with running(svc, raise_errors=False) as env:
        svc.start_soon(other)
        assert (await env.client("a").get("/go")).status_code == 200
        await failed(env)
        assert (await env.client("a").get("/go")).status_code == 200
        assert (await env.client("a").get("/health")).json()["status"] == "pass"
        other.go.set()
        await other.done.wait()
    records = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert records
    assert records[0].name == "evox.jobs"
    assert "a/fails" in records[0].getMessage()
    assert len(records) == 2  # one for each of the two that failed


async def failed(env: Env) -> None:
    """Wait until a job has failed."""
    with anyio.fail_after(5):
        while env.service("a").statistics().jobs.failed == 0:
            await anyio.lowlevel.checkpoint()


async def test_in_a_test_the_error_of_a_job_is_raised_as_it_is() -> None:
    async def run() -> None:
        async with running(starting(fails)) as env:
            await env.client("a").get("/go")
            await anyio.sleep_forever()

    with pytest.raises(ValueError, match="the real error"):
        await run()


async def test_jobs_are_counted_and_named() -> None:
    job, svc = Job(), ServiceBuilder("a")
    async with running(svc) as env:
        svc.start_soon(job, name="mine")
        svc.start_soon(job.__call__)
        assert env.service(svc).statistics().jobs.running == ("mine", "Job.__call__")
        job.go.set()
        with anyio.fail_after(5):
            while env.service(svc).statistics().jobs.running:
                await anyio.lowlevel.checkpoint()
        assert (env.service(svc).statistics().jobs.finished, job.ran_with) == (2, [(), ()])


async def test_a_sync_job_runs_in_a_thread() -> None:
    done, threads = anyio.Event(), list[int]()
    svc = ServiceBuilder("a")

    def sync(token: str) -> None:
        threads.append(threading.get_ident())
        anyio.from_thread.run_sync(done.set)

    async with running(svc):
        svc.start_soon(sync, "x")
        with anyio.fail_after(5):
            await done.wait()
    assert threads != [threading.get_ident()]


def started_in(place: str, svc: Service, start: Callable[[], None]) -> Any:
    """Let ``start`` be called in one place of a service; return what provokes it, if anything must."""

    async def start_async() -> None:
        start()

    @asynccontextmanager
    async def around() -> AsyncIterator[None]:
        start()
        yield

    async def ws(socket: WebSocket) -> None:
        await socket.accept()
        start()

    declare: dict[str, Callable[[], Any]] = {
        "async handler": lambda: svc.get("/x")(start_async),
        "sync handler": lambda: svc.get("/x")(start),
        "websocket": lambda: svc.websocket("/ws")(ws),
        "start-up hook": lambda: svc.on_startup(start_async),
        "sync start-up hook": lambda: svc.on_startup(start),
        "lifespan": lambda: svc.lifespan(around),
        "background task": lambda: svc.background_task(start_async),
        "sync background task": lambda: svc.background_task(start),
        "shutdown hook": lambda: svc.on_shutdown(start_async),
        "sync shutdown hook": lambda: svc.on_shutdown(start),
    }
    declare.get(place, lambda: None)()
    return start_async


@pytest.mark.parametrize("place", PLACES)
async def test_a_job_can_be_started_in(place: str) -> None:
    svc, job = ServiceBuilder("a"), Job()
    job.go.set()
    start_async = started_in(place, svc, lambda: svc.start_soon(job))
    async with running(svc) as env:
        if place.endswith("handler"):
            assert (await env.client(svc).get("/x")).status_code == 200
        elif place == "websocket":
            async with env.websocket(svc, "/ws"):
                pass
        elif place == "job":
            svc.start_soon(start_async)
        elif place == "test body":
            await start_async()
        if "shutdown" not in place:
            with anyio.fail_after(5):
                await job.done.wait()
    assert job.ran_with == [()]


async def test_after_the_service_stopped_no_job_is_taken() -> None:
    svc = ServiceBuilder("a")
    async with running(svc) as env:
        life = env.service(svc)
    with pytest.raises(OutsideRuntime, match="start_soon"):
        svc.start_soon(fails)
    with pytest.raises(OutsideRuntime, match="start_soon"):
        life.start_soon(fails)
