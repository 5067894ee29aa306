"""Spans of calls between services, and what is below them: in the process, over a socket, again, in part, in vain."""

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from tests.integration.leaving import until
from tests.recorded import Recorded, about, recording

from evox import EvoxError, Header, HTTPException, Intent, ServiceBuilder, data_io
from evox.core import proxy
from evox.errors import CallRefused
from evox.testing import running, spread

TOPOLOGIES = pytest.mark.parametrize("topology", ["in-process", "loopback"])
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


@pytest.fixture
def told() -> Iterator[Recorded]:
    with recording() as found:
        yield found


def stock() -> ServiceBuilder:
    svc = ServiceBuilder("stock")

    async def load() -> int:
        return 7

    @svc.get("/left")
    async def left() -> int:
        return int(await data_io.read("left", loader=load))

    @svc.get("/named/{name}")
    async def named(name: str) -> str:
        return name

    @svc.get("/refuses")
    async def refuses() -> None:
        raise HTTPException(404, "there is none of sk-planted-4711")

    @svc.get("/fails")
    async def fails() -> None:
        raise ValueError("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlc2lnbmF0dXJl")

    @svc.get("/parts")
    async def parts() -> AsyncIterator[int]:
        for number in range(5):
            yield number

    return svc


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


async def test_X7_a_call_in_the_process_has_a_client_span_and_what_its_callee_does_is_below(told: Recorded) -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/")
    async def root() -> Any:
        return await proxy.stock.left()

    async with running(svc, stock()) as env:
        assert (await env.client(svc).get("/", headers=CLIENT)).json() == 7
    hop, load = told.one("evox.proxy stock.left"), told.one("evox.data.load")
    assert about(hop) == {
        "service.peer.name": "stock",
        "evox.proxy.operation": "left",
        "evox.proxy.kind": "local",
        "evox.proxy.attempts": 1,
        "http.request.method": "GET",
        "http.response.status_code": 200,
    }
    assert (hop.kind, hop.status.status_code, list(hop.events)) == (SpanKind.CLIENT, StatusCode.UNSET, [])
    assert about(load)["evox.service"] == "stock"
    assert told.above(load)[:3] == ["evox.proxy stock.left", "fastapi.endpoint", "GET /"]
    assert {trace_of(one) for one in told.all} == {TRACE}


async def test_X7_a_call_over_a_socket_has_the_request_it_makes_below_it(told: Recorded) -> None:
    svc, other = ServiceBuilder("shop"), stock()

    @svc.get("/")
    async def root() -> Any:
        return await proxy.stock.left()

    async with spread("loopback", svc, other) as env:
        await env.client(svc).get("/", headers=CLIENT)
    hop = told.one("evox.proxy stock.left")
    assert about(hop)["evox.proxy.kind"] == "remote"
    assert told.above(told.one("GET /left"))[:2] == ["evox.proxy stock.left", "fastapi.endpoint"]
    load = told.one("evox.data.load")
    assert told.above(load)[:4] == ["fastapi.endpoint", "GET /left", "evox.proxy stock.left", "fastapi.endpoint"]
    assert {trace_of(one) for one in told.all} == {TRACE}


@TOPOLOGIES
async def test_X7_a_callee_that_needs_a_request_has_it_below_the_call_wherever_it_is(
    topology: Any, told: Recorded
) -> None:
    svc, other = ServiceBuilder("shop"), ServiceBuilder("stock")

    @other.get("/kept", cache=60)
    async def kept() -> int:
        return 1

    @svc.get("/")
    async def root() -> Any:
        return await proxy.stock.kept()

    async with spread(topology, svc, other) as env:
        await env.client(svc).get("/", headers=CLIENT)
        await env.client(svc).get("/", headers=CLIENT)
    requests = told.named("GET /kept")
    assert [about(one)["evox.cache"] for one in requests] == ["miss", "hit"]
    assert all(told.above(one)[0] == "evox.proxy stock.kept" for one in requests)
    assert {trace_of(one) for one in told.all} == {TRACE}


@TOPOLOGIES
async def test_calls_of_a_gather_are_side_by_side_below_their_caller(topology: Any, told: Recorded) -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/")
    async def root() -> Any:
        return await proxy.gather(*(proxy.stock.named(name) for name in "abcde"))

    async with spread(topology, svc, stock()) as env:
        await env.client(svc).get("/", headers=CLIENT)
    hops = told.named("evox.proxy stock.named")
    assert [told.above(one)[:2] for one in hops] == [["fastapi.endpoint", "GET /"]] * 5
    assert {trace_of(one) for one in told.all} == {TRACE}


@TOPOLOGIES
@pytest.mark.parametrize(("name", "status"), [("refuses", 404), ("fails", 500)])
async def test_what_a_callee_answers_instead_is_told_by_its_status_alone(
    name: str, status: int, topology: Any, told: Recorded
) -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/")
    async def root() -> None:
        with pytest.raises(EvoxError):
            await getattr(proxy.stock, name)().with_timeout(5)

    async with spread(topology, svc, stock()) as env:
        await env.client(svc).get("/")
    hop = told.one(f"evox.proxy stock.{name}")
    assert (about(hop)["http.response.status_code"], about(hop)["error.type"]) == (status, str(status))
    assert (hop.status.status_code, hop.status.description) == (StatusCode.ERROR, None)
    assert "sk-planted" not in told.written()
    assert "eyJ" not in told.written()


@TOPOLOGIES
async def test_a_call_whose_caller_is_cancelled_is_told_as_cancelled(topology: Any, told: Recorded) -> None:
    svc, other = ServiceBuilder("shop"), ServiceBuilder("stock")
    began = anyio.Event()

    @other.get("/waits")
    async def waits() -> None:
        began.set()
        await anyio.sleep(math.inf)

    @svc.get("/")
    async def root() -> None:
        await proxy.stock.waits()

    async with spread(topology, svc, other) as env, anyio.create_task_group() as group:
        group.start_soon(env.client(svc).get, "/")
        await began.wait()
        group.cancel_scope.cancel()
    await until(lambda: len(told.named("evox.proxy stock.waits")) == 1)
    hop = told.one("evox.proxy stock.waits")
    assert about(hop)["evox.cancelled"] is True
    assert "error.type" not in about(hop)


@TOPOLOGIES
async def test_a_stream_is_told_of_until_its_end(topology: Any, told: Recorded) -> None:
    svc, ended = ServiceBuilder("shop"), list[int]()

    @svc.get("/")
    async def root() -> list[int]:
        found = []
        async for one in proxy.stock.parts():
            ended.append(len(told.named("evox.proxy stock.parts")))
            found.append(one)
        ended.append(len(told.named("evox.proxy stock.parts")))
        return found

    async with spread(topology, svc, stock()) as env:
        assert (await env.client(svc).get("/", headers=CLIENT)).json() == [0, 1, 2, 3, 4]
        await until(lambda: len(told.named("GET /parts")) == 1)
    hop, request = told.one("evox.proxy stock.parts"), told.one("GET /parts")
    assert ended[0] == 0
    assert ended[-1] == 1
    assert (hop.kind, hop.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert told.above(request)[:2] == ["evox.proxy stock.parts", "fastapi.endpoint"]
    assert {trace_of(one) for one in told.all} == {TRACE}


@TOPOLOGIES
async def test_a_stream_that_is_passed_on_and_left_early_ends_its_span_and_no_context_is_left(
    topology: Any, told: Recorded
) -> None:
    """Its parts are read in the task that sends the answer, and closed in whichever comes by."""
    svc, other = ServiceBuilder("shop"), ServiceBuilder("stock")

    @other.get("/endless")
    async def endless() -> AsyncIterator[int]:
        while True:
            yield 1
            await anyio.lowlevel.checkpoint()

    @svc.get("/")
    async def root() -> AsyncIterator[int]:
        async with proxy.stock.endless().stream() as parts:
            async for one in parts:
                yield one

    @svc.get("/some")
    async def some() -> int:
        async with proxy.stock.endless().stream() as parts:
            return int(await anext(parts))

    async with spread(topology, svc, other) as env:
        assert (await env.client(svc).get("/some")).json() == 1
        assert len(told.named("evox.proxy stock.endless")) == 1
        async with env.client(svc).stream("GET", "/") as answer, aclosing(answer.aiter_raw()) as raw:
            await anext(raw)
        await until(lambda: len(told.named("evox.proxy stock.endless")) == 2)
    assert all(one.status.status_code is StatusCode.UNSET for one in told.named("evox.proxy stock.endless"))


@TOPOLOGIES
async def test_a_stream_that_does_not_begin_is_told_as_a_call_that_failed(topology: Any, told: Recorded) -> None:
    svc, other = ServiceBuilder("shop"), ServiceBuilder("stock")

    @other.get("/none")
    async def none() -> None:
        raise HTTPException(404)

    @svc.get("/")
    async def root() -> None:
        with pytest.raises(CallRefused):
            async for _ in proxy.stock.none():
                pass

    async with spread(topology, svc, other) as env:
        await env.client(svc).get("/")
    hop = told.one("evox.proxy stock.none")
    assert about(hop)["error.type"] == "404"


@TOPOLOGIES
async def test_without_a_provider_nothing_is_told_and_a_request_in_the_process_gets_no_header(topology: Any) -> None:
    svc, other, seen = ServiceBuilder("shop"), ServiceBuilder("stock"), list[str | None]()

    @other.get("/kept", cache=60)
    @Intent(vary_on=["traceparent"])
    async def kept(traceparent: Annotated[str | None, Header()] = None) -> int:
        seen.append(traceparent)
        return 1

    @svc.get("/")
    async def root() -> Any:
        return await proxy.stock.kept()

    async with spread(topology, svc, other) as env:
        await env.client(svc).get("/")
    with recording() as told:
        assert told.all == []
    assert [one is None for one in seen] == [topology == "in-process"]


@TOPOLOGIES
async def test_a_trace_that_is_not_sampled_is_handed_on_as_such_and_nothing_is_kept(
    topology: Any, told: Recorded
) -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/")
    async def root() -> Any:
        svc.start_soon(proxy.stock.left().outcome, name="eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlc2lnbmE")
        parts = [one async for one in proxy.stock.parts()]
        return await proxy.stock.left() + len(parts)

    async with spread(topology, svc, stock()) as env:
        unsampled = CLIENT["traceparent"].removesuffix("01") + "00"
        assert (await env.client(svc).get("/", headers={"traceparent": unsampled})).json() == 12
        await until(lambda: bool(told.ours()))
    [job] = [one for one in told.all if one.parent is None]
    assert job.name == "evox.task shop/***"
    assert {trace_of(one) for one in told.all} == {trace_of(job)}
