"""Spans of what runs beside requests: background tasks and jobs. And what is never in any span."""

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from fastapi.responses import JSONResponse
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from starlette.background import BackgroundTask
from tests.integration.leaving import until
from tests.recorded import Recorded, about, recording

from evox import ServiceBuilder, data_io
from evox.core import proxy
from evox.testing import run_virtual, running

PASSWORD = "hunter2-planted"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlc2lnbmF0dXJl"


@pytest.fixture
def told() -> Iterator[Recorded]:
    with recording() as found:
        yield found


def links(span: ReadableSpan) -> list[int]:
    return [int(one.context.span_id) for one in span.links]


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def test_R4_each_run_of_a_background_task_is_a_trace_of_its_own(told: Recorded) -> None:
    svc, runs = ServiceBuilder("shop"), list[int]()

    async def load() -> int:
        return 1

    @svc.background_task(interval=10)
    async def tidy() -> None:
        runs.append(int(await data_io.read(f"key{len(runs)}", loader=load)))

    async def main() -> None:
        async with running(svc):
            await anyio.sleep(25)

    run_virtual(main)
    found = told.named("evox.task shop/tidy")
    assert len(found) == len(runs) == 3
    assert len({one.context.trace_id for one in found if one.context}) == 3
    assert [(one.parent, links(one), about(one)) for one in found] == [(None, [], {"evox.service": "shop"})] * 3
    assert [told.above(one) for one in told.named("evox.data.load")] == [["evox.task shop/tidy"]] * 3


def test_R4_a_run_that_fails_says_so_and_not_what_it_said(told: Recorded) -> None:
    svc = ServiceBuilder("shop")

    @svc.background_task(interval=10, on_error="log")
    def tidy() -> None:
        raise ValueError(f"postgresql://ada:{PASSWORD}@db/shop said no to {TOKEN}")

    async def main() -> None:
        async with running(svc, raise_errors=False):
            await anyio.sleep(5)

    run_virtual(main)
    span = told.one("evox.task shop/tidy")
    assert about(span) == {"evox.service": "shop", "error.type": "ValueError"}
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert PASSWORD not in told.written()


async def test_a_run_that_is_cut_when_its_service_stops_is_told_as_cancelled(told: Recorded) -> None:
    svc, began = ServiceBuilder("shop"), anyio.Event()

    @svc.background_task(grace=0)
    async def listen() -> None:
        began.set()
        await anyio.sleep_forever()

    async with running(svc):
        await began.wait()
    span = told.one("evox.task shop/listen")
    assert about(span) == {"evox.service": "shop", "evox.cancelled": True}
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("way", ["async", "thread"])
async def test_a_job_is_a_trace_of_its_own_with_a_link_to_the_request_that_started_it(way: str, told: Recorded) -> None:
    svc, go, seen = ServiceBuilder("shop"), anyio.Event(), list[str]()

    async def welcome() -> None:
        await go.wait()
        seen.append(trace.format_span_id(trace.get_current_span().get_span_context().span_id))
        await proxy.shop.leaf()

    @svc.get("/leaf")
    async def leaf() -> None: ...

    @svc.get("/async")
    async def begins() -> None:
        svc.start_soon(welcome)

    @svc.get("/thread")
    def begins_in_a_thread() -> None:
        svc.start_soon(welcome)

    async with running(svc) as env:
        await env.client(svc).get(f"/{way}")
        request, endpoint = told.one(f"GET /{way}"), told.one("fastapi.endpoint")
        go.set()
        await until(lambda: len(told.ours()) == 2)
    [job] = [one for one in told.ours() if one.name.startswith("evox.task")]
    assert job.name.startswith("evox.task shop/")
    assert job.parent is None
    assert links(job) == [id_of(endpoint)]
    assert [one.context.trace_id for one in job.links] == [request.context and request.context.trace_id]
    assert seen == [trace.format_span_id(id_of(job))]
    assert told.above(told.one("evox.proxy shop.leaf")) == [job.name]


async def test_what_a_call_in_the_process_wants_done_after_its_answer_is_a_job_of_its_own(told: Recorded) -> None:
    svc, other, done = ServiceBuilder("shop"), ServiceBuilder("stock"), anyio.Event()

    async def finish() -> None:
        done.set()

    @other.get("/left")
    async def left() -> Any:
        return JSONResponse(1, background=BackgroundTask(finish))

    @svc.get("/")
    async def root() -> Any:
        return await proxy.stock.left()

    async with running(svc, other) as env:
        assert (await env.client(svc).get("/")).json() == 1
        await done.wait()
        await until(lambda: len(told.ours()) == 2)
    job, hop = told.one("evox.task stock/background tasks of a call"), told.one("evox.proxy stock.left")
    assert (job.parent, links(job)) == (None, [id_of(hop)])


async def test_a_job_that_fails_and_one_that_is_cut_are_told_apart(told: Recorded) -> None:
    svc, began = ServiceBuilder("shop"), anyio.Event()

    async def fails() -> None:
        raise LookupError(TOKEN)

    async def waits() -> None:
        began.set()
        await anyio.sleep_forever()

    async with running(svc, raise_errors=False) as env:
        svc.start_soon(fails, name="fails")
        svc.start_soon(waits, name="waits")
        await began.wait()
        env.service(svc).nursery.cancel()  # type: ignore[union-attr]
        await until(lambda: len(told.ours()) == 2)
    assert about(told.one("evox.task shop/fails"))["error.type"] == "LookupError"
    assert about(told.one("evox.task shop/waits"))["evox.cancelled"] is True
    assert TOKEN not in told.written()


async def test_no_span_of_ours_holds_arguments_bodies_or_what_errors_say(told: Recorded) -> None:
    svc, other = ServiceBuilder("shop"), ServiceBuilder("stock")

    async def load(key: str) -> None:
        raise RuntimeError(f"https://ada:{PASSWORD}@stock/{key} {TOKEN}")

    @other.post("/orders/{name}")
    async def order(name: str, body: dict[str, str]) -> None:
        await data_io.read(f"key-{name}", loader=load)

    @other.get("/kept/{name}", cache=60)
    async def kept(name: str) -> str:
        raise RuntimeError(f"{name} {TOKEN}")

    @svc.get("/")
    async def root() -> None:
        await proxy.gather(
            proxy.stock.order(f"name-{PASSWORD}", {"body": f"body-{PASSWORD}"}).with_fallback(None),
            proxy.stock.kept("planted").with_fallback(None),
            return_exceptions=True,
        )

    async with running(svc, other, raise_errors=False) as env:
        await env.client(svc).get("/")
    assert {one.name for one in told.ours()} >= {"evox.proxy stock.order", "evox.data.load", "evox.proxy stock.kept"}
    written = "\n".join(one.to_json() for one in told.ours())
    for planted in (PASSWORD, "planted", "body-", "key-", TOKEN, TOKEN[:20]):
        assert planted not in written
    assert TOKEN[:20] not in told.written()
