"""Deadlines (P9): a call is ended when its time is over, its wait included; a caller may shorten that time."""

import inspect
import math
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from fastapi import Depends
from hypothesis import given, settings
from hypothesis import strategies as st

from evox import ServiceBuilder, service
from evox.services import Call, Endpoint
from evox.services.admission import LONGEST, take_hints
from evox.testing import running, virtual_trio


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_trio()


ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class Handler:
    """A handler that takes ten seconds unless it is ended."""

    def __init__(self, svc: ServiceBuilder, method: str = "GET", **options: Any) -> None:
        self.began, self.ended, self.finished = 0.0, 0.0, False
        svc.endpoint("/slow", methods=[method], **options)(self.slow)

    async def slow(self) -> str:
        self.began = anyio.current_time()
        try:
            await anyio.sleep(10)
            self.finished = True
        finally:
            self.ended = anyio.current_time()
        return "done"

    @property
    def took(self) -> float:
        return self.ended - self.began


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_P9_a_handler_is_ended_when_its_time_is_over_and_its_client_gets_504(method: str) -> None:
    svc = service("a")
    handler = Handler(svc, method, timeout="2s")
    async with running(svc) as env:
        answer = await env.client(svc).request(method, "/slow")
        assert env.service(svc).scheduler.statistics().in_use == 0
    assert not handler.finished
    assert handler.took == pytest.approx(2)
    assert answer.status_code == 504
    assert answer.headers["content-type"] == "application/problem+json"
    assert "retry-after" not in answer.headers
    body = answer.json()
    assert body.pop("request_id")
    assert body == {
        "type": "urn:evox:error:EVX-605",
        "title": "DeadlineExceeded",
        "status": 504,
        "detail": "'slow' was ended: its time was over",
    }


@ON_ASYNCIO
async def test_P9_a_handler_is_ended_on_asyncio_too(anyio_backend: str) -> None:
    svc = service("a")
    handler = Handler(svc, timeout=0.01)
    async with running(svc) as env:
        assert (await env.client(svc).get("/slow")).status_code == 504
    assert not handler.finished


async def test_P9_a_handler_that_is_quick_enough_is_left_alone() -> None:
    svc = service("a")
    handler = Handler(svc, timeout=11)
    async with running(svc) as env:
        answer = await env.client(svc).get("/slow")
    assert (answer.json(), handler.finished) == ("done", True)


async def test_P9_a_caller_shortens_the_time_and_does_not_lengthen_it() -> None:
    svc = service("a")
    handler = Handler(svc, timeout=5)
    async with running(svc) as env:
        client = env.client(svc)
        await client.get("/slow", headers={"x-evox-deadline": "1.5"})
        assert handler.took == pytest.approx(1.5)
        await client.get("/slow", headers={"x-evox-deadline": "9"})
        assert handler.took == pytest.approx(5)


async def test_P9_a_caller_gives_a_time_where_the_endpoint_has_none() -> None:
    svc = service("a")
    handler = Handler(svc)
    async with running(svc) as env:
        answer = await env.client(svc).get("/slow", headers={"x-evox-deadline": "3"})
    assert answer.status_code == 504
    assert handler.took == pytest.approx(3)


@pytest.mark.parametrize("header", ["nan", "inf", "-inf", "-1", "-0.001", "1e300", "86401", "soon", "", "1,2", "0x1"])
async def test_P9_what_is_no_time_is_ignored(header: str) -> None:
    svc = service("a")
    handler = Handler(svc)
    async with running(svc) as env:
        answer = await env.client(svc).get("/slow", headers={"x-evox-deadline": header})
    assert (answer.status_code, handler.finished) == (200, True)


async def test_P9_of_several_times_the_shortest_counts() -> None:
    svc = service("a")
    handler = Handler(svc)
    async with running(svc) as env:
        await env.client(svc).get("/slow", headers=[("x-evox-deadline", one) for one in ("7", "2", "x", "5")])
    assert handler.took == pytest.approx(2)


async def test_P9_a_request_whose_time_is_over_is_not_begun() -> None:
    svc = service("a")
    handler = Handler(svc)
    async with running(svc) as env:
        answer = await env.client(svc).get("/slow", headers={"x-evox-deadline": "0"})
        assert sum(one.arrived for one in env.service(svc).scheduler.statistics().levels) == 0
    assert (answer.status_code, handler.began) == (504, 0)
    assert answer.json()["detail"] == "'slow' was not begun: its time was over before that"


async def test_P9_the_wait_for_a_seat_is_part_of_the_time() -> None:
    svc = service("a").concurrency(total=1, medium=1, max_wait=60)
    handler = Handler(svc, timeout=20)
    async with running(svc) as env, anyio.create_task_group() as group:
        client = env.client(svc)
        held = env.service(svc).scheduler.enter(svc.endpoints[0].priority)
        began = anyio.current_time()
        group.start_soon(client.get, "/slow")
        await anyio.sleep(4)
        held.release()
    assert handler.began - began == pytest.approx(4)
    assert handler.finished


async def test_P7_a_quarter_of_the_time_is_as_long_as_a_request_waits() -> None:
    svc = service("a").concurrency(total=1, medium=1)
    handler = Handler(svc, timeout=8)
    async with running(svc) as env:
        held = env.service(svc).scheduler.enter(svc.endpoints[0].priority)
        began = anyio.current_time()
        answer = await env.client(svc).get("/slow")
        waited = anyio.current_time() - began
        held.release()
    assert waited == pytest.approx(2)
    assert (answer.status_code, answer.json()["reason"]) == (503, "time_out")
    assert handler.began == 0


async def test_P7_without_a_deadline_max_wait_is_as_long_as_a_request_waits() -> None:
    svc = service("a").concurrency(total=1, medium=1, max_wait="3s")
    Handler(svc)
    async with running(svc) as env:
        held = env.service(svc).scheduler.enter(svc.endpoints[0].priority)
        began = anyio.current_time()
        answer = await env.client(svc).get("/slow")
        waited = anyio.current_time() - began
        held.release()
    assert waited == pytest.approx(3)
    assert (answer.status_code, answer.json()["reason"]) == (503, "time_out")


async def test_P9_dependencies_use_up_the_time_and_the_handler_is_not_begun_after_it() -> None:
    svc, notes = service("a"), list[str]()

    async def slow() -> None:
        await anyio.sleep(3)
        notes.append("slow is done")

    @svc.get("/x", timeout=2, dependencies=[Depends(slow)])
    async def x() -> None:
        notes.append("called")

    async with running(svc) as env:
        answer = await env.client(svc).get("/x")
    assert (answer.status_code, notes) == (504, ["slow is done"])
    assert answer.json()["detail"] == "'x' was not begun: its time was over before that"


async def test_P9_what_dependencies_hold_open_is_left_in_order_when_the_handler_is_ended() -> None:
    svc, notes = service("a"), list[str]()

    async def outer() -> AsyncIterator[None]:
        with anyio.CancelScope():
            yield
        notes.append("never: what ended the handler comes out of here")

    async def inner() -> AsyncIterator[None]:
        with anyio.CancelScope():
            try:
                yield
            except TimeoutError:
                notes.append("it saw why")
                raise
            finally:
                await anyio.sleep(1)
                notes.append("inner")

    @svc.get("/x", timeout=2, dependencies=[Depends(outer), Depends(inner)])
    async def x() -> None:
        await anyio.sleep(10)
        notes.append("never")

    async with running(svc) as env:
        assert (await env.client(svc).get("/x")).status_code == 504
    assert notes == ["it saw why", "inner"]


async def test_P9_a_stream_that_has_begun_is_not_ended() -> None:
    svc = service("a")

    @svc.get("/stream", timeout=2)
    async def stream() -> AsyncIterator[int]:
        for part in range(5):
            yield part
            await anyio.sleep(1)

    async with running(svc) as env:
        answer = await env.client(svc).get("/stream")
    assert answer.status_code == 200
    assert answer.text.split() == ["0", "1", "2", "3", "4"]


async def test_P9_a_handler_that_fails_as_it_is_ended_shows_its_own_error() -> None:
    svc = service("a")

    @svc.get("/x", timeout=1)
    async def x() -> None:
        try:
            await anyio.sleep(10)
        finally:
            raise KeyError("while it was ended")

    async with running(svc) as env:
        with pytest.raises(KeyError, match="while it was ended"):
            await env.client(svc, raise_errors=True).get("/x")


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_P9_a_handler_in_a_thread_answers_late_and_keeps_its_seat_meanwhile(backend: str) -> None:
    import threading

    svc = service("a").concurrency(total=1)
    go, entered = threading.Event(), threading.Event()

    @svc.get("/thread", timeout=0.02)
    def thread() -> str:
        entered.set()
        go.wait(5)
        return "late"

    found: list[Any] = []

    async def main() -> None:
        async with running(svc) as env, anyio.create_task_group() as group:
            answers: list[Any] = []

            async def call() -> None:
                answers.append(await env.client(svc).get("/thread"))

            group.start_soon(call)
            await anyio.to_thread.run_sync(entered.wait)
            await anyio.sleep(0.05)
            held = env.service(svc).scheduler.statistics().in_use
            go.set()
            while not answers:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            found.extend((held, answers[0].text, answers[0].status_code))

    anyio.run(main, backend=backend)
    assert found == [1, '"late"', 200]


@given(st.binary(max_size=40), st.none() | st.floats(0.001, 1e6))
@settings(deadline=None)
def test_P9_no_header_whatever_gives_more_time_than_the_endpoint(value: bytes, timeout: float | None) -> None:
    now = 0.0

    async def ask() -> float:
        nonlocal now
        now = anyio.current_time()
        row = Endpoint("asked", "/", ("GET",), timeout=timeout, handler=ask, signature=inspect.Signature())
        call = Call(row, "http", "users", "GET")
        take_hints(call, {"headers": [(b"x-evox-deadline", value)]})
        return call.deadline

    deadline = anyio.run(ask, backend="asyncio")
    assert not math.isnan(deadline)
    if timeout is not None:
        assert now <= deadline <= now + timeout + 1
    elif deadline != math.inf:
        assert now <= deadline <= now + LONGEST + 1
