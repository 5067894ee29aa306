"""Spans of requests: how long they waited, what their cache gave, and what was loaded for them."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import anyio
import pytest
from fastapi import FastAPI
from opentelemetry.trace import StatusCode
from tests.integration.leaving import until
from tests.recorded import Recorded, about, recording

from evox import Depends, Header, HTTPException, Intent, Service, ServiceBuilder, data_io
from evox.scheduling import Priority
from evox.testing import Env, run_virtual, running


@pytest.fixture
def told() -> Iterator[Recorded]:
    with recording() as found:
        yield found


class Refused(Exception):
    pass


def queued(env: Env, svc: Service, count: int) -> bool:
    return env.service(svc).scheduler.statistics().level("medium").queued == count


async def test_a_call_that_waits_for_a_seat_has_a_span_of_its_wait_below_its_request(told: Recorded) -> None:
    svc = ServiceBuilder("shop").concurrency(total=1)

    @svc.get("/x")
    async def x() -> None: ...

    async with running(svc) as env, anyio.create_task_group() as group:
        seat = env.service(svc).scheduler.enter(Priority.MEDIUM)
        group.start_soon(env.client(svc).get, "/x")
        await until(lambda: queued(env, svc, 1))
        seat.release()
    wait, request = told.one("evox.queue.wait"), told.one("GET /x")
    assert about(wait) == {
        "evox.priority": "medium",
        "evox.queue.outcome": "admitted",
        "evox.service": "shop",
    }
    assert told.above(wait) == ["GET /x"]
    assert about(request)["evox.priority"] == "medium"
    times = [request.start_time or 0, wait.start_time or 0, wait.end_time or 0, request.end_time or 0]
    assert times == sorted(times)
    assert times[0] > 0
    assert told.above(told.one("fastapi.endpoint")) == ["GET /x"]


async def test_a_call_that_does_not_wait_says_its_priority_and_has_no_span_more(told: Recorded) -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/x", priority="high")
    async def x() -> None: ...

    async with running(svc) as env:
        await env.client(svc).get("/x")
        await env.client(svc).get("/health")
    assert told.ours() == []
    assert about(told.one("GET /x"))["evox.priority"] == "high"
    assert "evox.priority" not in about(told.one("GET /health"))


async def test_a_full_queue_and_a_client_that_leaves_are_told_apart(told: Recorded) -> None:
    svc = ServiceBuilder("shop").concurrency(total=1, queue=1)

    @svc.get("/x")
    async def x() -> None: ...

    async with running(svc) as env:
        client = env.client(svc)
        seat = env.service(svc).scheduler.enter(Priority.MEDIUM)
        async with anyio.create_task_group() as group:
            group.start_soon(client.get, "/x")
            await until(lambda: queued(env, svc, 1))
            assert (await client.get("/x")).status_code == 503
            group.cancel_scope.cancel()
        seat.release()
    outcomes = [about(one)["evox.queue.outcome"] for one in told.named("evox.queue.wait")]
    assert outcomes == ["queue_full", "cancelled"]
    assert all(told.above(one) == ["GET /x"] for one in told.named("evox.queue.wait"))


def test_a_wait_that_takes_too_long_is_told_as_such(told: Recorded) -> None:
    svc = ServiceBuilder("shop").concurrency(total=1, max_wait="2s")

    @svc.get("/x")
    async def x() -> None: ...

    async def main() -> None:
        async with running(svc) as env:
            seat = env.service(svc).scheduler.enter(Priority.MEDIUM)
            assert (await env.client(svc).get("/x")).status_code == 503
            seat.release()

    run_virtual(main)
    assert about(told.one("evox.queue.wait"))["evox.queue.outcome"] == "time_out"


def test_a_cached_answer_says_whether_it_was_kept_and_how_old_it_is(told: Recorded) -> None:
    svc, fails = ServiceBuilder("shop"), list[int]()

    @svc.get("/x", cache=60, fallback="aggressive", max_stale=60)
    async def x() -> int:
        if fails:
            raise Refused
        return 1

    async def main() -> None:
        async with running(svc, raise_errors=False) as env:
            client = env.client(svc)
            await client.get("/x")
            await anyio.sleep(10)
            await client.get("/x")
            await anyio.sleep(60)
            fails.append(1)
            await client.get("/x")

    run_virtual(main)
    seen = [about(one) for one in told.named("GET /x")]
    assert [one.get("evox.priority") for one in seen] == ["medium", None, "medium"]
    assert [one["evox.cache"] for one in seen] == ["miss", "hit", "stale"]
    assert "evox.cache.age" not in seen[0]
    assert [one["evox.cache.age"] for one in seen[1:]] == pytest.approx([10, 70], abs=0.5)
    fresh, failed = told.named("evox.data.load")
    assert about(fresh) == {"evox.service": "shop", "evox.cache": "miss"}
    assert about(failed)["evox.cache"] == "stale"
    assert about(failed)["error.type"].endswith(".Refused")
    assert failed.status.status_code is StatusCode.ERROR
    assert told.above(fresh) == told.above(failed) == ["GET /x"]
    assert told.above(told.named("fastapi.endpoint")[0]) == ["evox.data.load", "GET /x"]


async def test_an_answer_behind_dependencies_is_told_of_on_the_span_of_its_request(told: Recorded) -> None:
    svc = ServiceBuilder("shop")

    async def user(x_user: Annotated[str, Header()]) -> str:
        if x_user == "eve":
            raise HTTPException(403)
        return x_user

    @svc.get("/x", cache=60)
    @Intent(vary_on=["user"])
    async def x(user: Annotated[str, Depends(user)]) -> str:
        return user

    async with running(svc) as env:
        for name in ("ada", "ada", "eve"):
            await env.client(svc).get("/x", headers={"x-user": name})
    assert [about(one).get("evox.cache") for one in told.named("GET /x")] == ["miss", "hit", None]
    assert all("evox.cache" not in about(one) for one in told.named("fastapi.endpoint"))


async def test_twenty_who_want_the_same_have_one_load_below_the_one_who_came_first(told: Recorded) -> None:
    svc, go = ServiceBuilder("shop"), anyio.Event()

    async def load() -> int:
        await go.wait()
        return 1

    @svc.get("/x")
    async def x() -> int:
        return int(await data_io.read("number", loader=load))

    async with running(svc) as env, anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(env.client(svc).get, "/x")
        await until(lambda: env.service(svc).data.flights.statistics().joined == 19)
        go.set()
    assert told.above(told.one("evox.data.load")) == ["fastapi.endpoint", "GET /x"]
    assert len(told.named("GET /x")) == 20


async def test_a_load_is_told_to_its_end_when_who_began_it_has_left(told: Recorded) -> None:
    svc, began, go = ServiceBuilder("shop"), anyio.Event(), anyio.Event()

    async def load() -> int:
        began.set()
        await go.wait()
        return 1

    @svc.get("/x")
    async def x() -> int:
        return int(await data_io.read("number", loader=load))

    async with running(svc) as env, anyio.create_task_group() as others:
        first = anyio.CancelScope()

        async def leaves() -> None:
            with first:
                await env.client(svc).get("/x")

        others.start_soon(leaves)
        await began.wait()
        others.start_soon(env.client(svc).get, "/x")
        await until(lambda: env.service(svc).data.flights.statistics().joined == 1)
        first.cancel()
        await until(lambda: len(told.named("GET /x")) == 1)
        assert told.named("evox.data.load") == []
        go.set()
    loaded = told.one("evox.data.load")
    assert "evox.cancelled" not in about(loaded)
    assert told.above(loaded)[-1] == "GET /x"


async def test_a_load_that_nobody_waits_for_any_more_is_told_as_cancelled(told: Recorded) -> None:
    svc, began = ServiceBuilder("shop"), anyio.Event()

    async def load() -> None:
        began.set()
        await anyio.sleep_forever()

    @svc.get("/x")
    async def x() -> None:
        await data_io.read("number", loader=load)

    async with running(svc) as env:
        async with anyio.create_task_group() as group:
            group.start_soon(env.client(svc).get, "/x")
            await began.wait()
            group.cancel_scope.cancel()
        await until(lambda: len(told.named("evox.data.load")) == 1)
    loaded = told.one("evox.data.load")
    assert about(loaded)["evox.cancelled"] is True
    assert "error.type" not in about(loaded)
    assert loaded.status.status_code is StatusCode.UNSET


def test_a_refresh_that_nobody_waits_for_is_a_trace_of_its_own_with_a_link(told: Recorded) -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/x", cache=60)
    @Intent(eager=0.5)
    async def x() -> int:
        return 1

    async def main() -> None:
        async with running(svc) as env:
            await env.client(svc).get("/x")
            await anyio.sleep(40)
            await env.client(svc).get("/x")
            await anyio.sleep(1)

    run_virtual(main)
    first, eager = told.named("evox.data.load")
    request = told.named("GET /x")[1]
    assert told.above(first) == ["GET /x"]
    assert (eager.parent, about(eager)["evox.cache"]) == (None, "hit")
    assert [one.context.span_id for one in eager.links] == [request.context and request.context.span_id]


async def test_an_app_of_fastapi_as_it_is_has_the_spans_of_fastapi_and_of_what_it_does(told: Recorded) -> None:
    app = FastAPI()

    @app.get("/x")
    async def x() -> int:
        return int(await data_io.read("number", loader=lambda: 1))

    svc = Service.from_fastapi(app, name="shop")
    async with running(svc, sockets=True) as env:
        await env.client(svc).get("/x")
    assert told.above(told.one("evox.data.load")) == ["fastapi.endpoint", "GET /x"]
    assert "evox.priority" not in about(told.one("GET /x"))


async def test_a_stream_over_a_socket_leaves_no_context_behind(told: Recorded) -> None:
    svc = ServiceBuilder("shop").concurrency(total=1)

    @svc.get("/x")
    async def x() -> AsyncIterator[int]:
        for number in range(3):
            yield int(await data_io.read(f"number{number}", loader=lambda: 1))

    async with running(svc, sockets=True) as env:
        client = env.client(svc)
        for _ in range(2):
            assert (await client.get("/x")).status_code == 200
    assert len(told.named("GET /x")) == 2
    assert len(told.named("evox.data.load")) == 3
