"""What is written for one request says so: service, request id and trace, through calls here and over HTTP."""

import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from tests.integration.peers import users

from evox import EvoxError, Header, Request, ServiceBuilder
from evox.core import proxy
from evox.orchestrator.logs import _belonging
from evox.services import current_call
from evox.testing import running, spread

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
GENERATED = "[0-9a-f]{16}"
Lines = list[dict[str, str]]


class Noting(logging.Handler):
    """Notes with each record what its line would say it belongs to, as a handler of ours writes it in the same task."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: Lines = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(_belonging() | {"said": record.getMessage().splitlines()[0]})


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Return what the lines so far belong to."""
    noting = Noting()
    logging.getLogger().addHandler(noting)
    yield noting.lines
    logging.getLogger().removeHandler(noting)


log = logging.getLogger("mine")


def stock() -> ServiceBuilder:
    svc = ServiceBuilder("stock")

    @svc.get("/direct/{number}")
    async def direct(number: int) -> int:
        log.warning("direct")
        if number < 0:
            raise RuntimeError("none left")
        return number

    @svc.get("/whole")
    async def whole(request: Request) -> dict[str, str]:  # a request is what it needs, so it is called through the app
        log.warning("whole")
        return dict(request.headers)

    @svc.get("/cached", cache="1h")
    async def cached() -> int:
        log.warning("cached")
        return 1

    return svc


def shop() -> ServiceBuilder:
    svc = ServiceBuilder("shop")

    @svc.middleware("http")
    async def around(request: Request, then: Any) -> Any:
        log.warning("before")
        response = await then(request)
        log.warning("after")
        return response

    @svc.get("/")
    async def root() -> str:
        log.warning("root")
        await proxy.stock.direct(1)
        await proxy.stock.whole()
        await proxy.stock.cached()
        with anyio.CancelScope():
            await anyio.to_thread.run_sync(log.warning, "thread")
        call = current_call()
        assert call is not None
        return call.request_id

    @svc.get("/kept", cache="1h")
    async def kept() -> int:
        log.warning("kept")
        return 1

    @svc.get("/fails")
    async def fails() -> None:
        raise EvoxError("it broke")

    @svc.get("/breaks")
    async def breaks() -> None:
        raise RuntimeError("it broke")

    @svc.get("/callee")
    async def callee() -> None:
        await proxy.stock.direct(-1)

    return svc


def only(lines: Lines, key: str) -> str:
    """Return what all lines have in common."""
    [value] = {one[key] for one in lines}
    return value


async def test_all_lines_of_a_request_have_its_id_and_trace_and_their_own_service(lines: Lines) -> None:
    svc, other = shop(), stock()
    async with running(svc, other) as env:
        reply = await env.client(svc).get("/")
    assert only(lines, "request_id") == reply.json()
    assert re.fullmatch(GENERATED, reply.json())
    assert re.fullmatch("[0-9a-f]{32}", only(lines, "trace_id"))
    served = {one["said"]: one["service"] for one in lines}
    assert served == dict.fromkeys(["before", "root", "thread", "after"], "shop") | dict.fromkeys(
        ["direct", "whole", "cached"], "stock"
    )


@pytest.mark.parametrize("given", ["a", "A.b_c~d-1", "x" * 128])
async def test_the_clients_own_id_is_taken_where_it_is_plain(given: str, lines: Lines) -> None:
    svc, other = shop(), stock()
    async with running(svc, other) as env:
        reply = await env.client(svc).get("/", headers={"X-Request-Id": given, "traceparent": PARENT})
    assert reply.json() == given == only(lines, "request_id")
    assert only(lines, "trace_id") == TRACE


@pytest.mark.parametrize("given", [[""], ["x" * 129], ["a b"], ['a"b'], ["a", "b"], ["a", "a"], ["a;b"], ["\u00e4"]])
async def test_another_is_made_where_it_is_not(given: list[str], lines: Lines) -> None:
    svc, other = shop(), stock()
    async with running(svc, other) as env:
        headers = [(b"x-request-id", one.encode("latin-1")) for one in given]
        reply = await env.client(svc).get("/", headers=headers)
    assert re.fullmatch(GENERATED, reply.json())
    assert only(lines, "request_id") == reply.json()


async def test_two_requests_of_one_connection_have_nothing_in_common(lines: Lines) -> None:
    svc, other = shop(), stock()
    async with running(svc, other, sockets=True) as env, env.client(svc) as client:
        first, second = [(await client.get("/")).json() for _ in range(2)]
    assert first != second
    assert {one["request_id"] for one in lines} == {first, second}
    assert len({one["trace_id"] for one in lines}) == 2


async def test_id_and_trace_go_on_to_services_elsewhere(lines: Lines) -> None:
    svc, other = shop(), stock()
    async with spread("loopback", svc, other) as env:
        reply = await env.client(svc).get("/", headers={"x-request-id": "mine"})
    assert reply.json() == "mine"
    assert {one["said"] for one in lines} >= {"direct", "whole", "cached", "root"}
    assert only(lines, "request_id") == "mine"
    only(lines, "trace_id")


async def test_a_callee_elsewhere_gets_one_header_and_one_in_the_process_needs_none() -> None:
    svc = ServiceBuilder("order-service")

    @svc.get("/")
    async def root() -> Any:
        return await proxy.user_service.headers()

    async with spread("loopback", svc, users) as env:
        sent = (await env.client(svc, headers={"x-request-id": "mine"}).get("/")).json()
    assert sent["x-request-id"] == "mine"
    async with running(svc, users) as env:
        sent = (await env.client(svc, headers={"x-request-id": "mine"}).get("/")).json()
    assert "x-request-id" not in sent


@pytest.mark.parametrize("topology", ["in-process", "loopback"])
async def test_an_operation_with_a_parameter_of_that_name_gets_what_its_caller_gives(topology: Any) -> None:
    svc, other = ServiceBuilder("shop"), ServiceBuilder("stock")

    @other.get("/named")
    async def named(x_request_id: str = Header()) -> str:
        return x_request_id

    @svc.get("/")
    async def root() -> str:
        return str(await proxy.stock.named(x_request_id="given"))

    async with spread(topology, svc, other) as env:
        assert (await env.client(svc).get("/", headers={"x-request-id": "mine"})).json() == "given"


async def test_a_kept_answer_that_a_flight_makes_is_written_of_as_the_request_that_began_it(lines: Lines) -> None:
    svc, other = shop(), stock()
    async with running(svc, other) as env:
        await env.client(svc).get("/kept", headers={"x-request-id": "mine"})
        await env.client(svc).get("/kept")
    [made] = [one for one in lines if one["said"] == "kept"]
    assert made["request_id"] == "mine"
    assert {one["request_id"] for one in lines if one["said"] == "before"} > {"mine"}
    assert made["trace_id"] == lines[0]["trace_id"]


@pytest.mark.parametrize("topology", ["in-process", "loopback"])
async def test_problems_from_500_on_say_by_what_the_log_tells_of_them(topology: Any, lines: Lines) -> None:
    svc, other = shop(), stock()
    async with spread(topology, svc, other) as env:
        client = env.client(svc)
        for path, said in (("/fails", "GET /fails failed"), ("/callee", "")):
            reply = await client.get(path)
            assert reply.status_code >= 500
            body = reply.json()
            assert {one["request_id"] for one in lines} == {body["request_id"]}
            assert {one["trace_id"] for one in lines} == {body["trace_id"]}
            assert "x-request-id" not in reply.headers
            assert not said or said in [one["said"] for one in lines]
            lines.clear()


async def test_problems_below_500_and_ordinary_answers_say_nothing_of_it() -> None:
    svc, other = shop(), stock()
    async with running(svc, other) as env:
        client = env.client(svc)
        for path in ("/", "/nowhere"):
            reply = await client.get(path)
            assert "request_id" not in reply.text
            assert "x-request-id" not in reply.headers


async def test_an_error_that_nobody_turns_into_an_answer_is_written_with_its_request(lines: Lines) -> None:
    svc, other = shop(), stock()
    async with running(svc, other) as env:
        reply = await env.client(svc).get("/breaks", headers={"x-request-id": "mine"})
    assert reply.status_code == 500
    assert [one["said"] for one in lines] == ["before", "GET /breaks failed"]
    assert only(lines, "request_id") == "mine"
    assert only(lines, "service") == "shop"


async def test_what_a_task_calls_by_itself_belongs_together_call_by_call(lines: Lines) -> None:
    other = stock()
    async with running(other):
        log.warning("task")
        await proxy.stock.direct(1)
        await proxy.stock.direct(2)
        with pytest.raises(EvoxError):
            await proxy.stock.direct(-1)
    assert "request_id" not in lines[0]
    failed = lines[3:]
    assert [one["said"] for one in failed] == ["direct", "stock: GET /direct/{number} failed"]
    assert only(failed, "request_id") not in {one["request_id"] for one in lines[1:3]}


async def test_a_job_that_outlives_its_request_is_not_written_of_as_that_request(lines: Lines) -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/")
    async def root() -> None:
        svc.start_soon(lambda: log.warning("job"))

    async with running(svc) as env:
        await env.client(svc).get("/", headers={"x-request-id": "mine"})
    [job] = [one for one in lines if one["said"] == "job"]
    assert job == {"said": "job", "service": "shop"}


async def test_a_span_of_opentelemetry_names_the_trace(lines: Lines) -> None:
    svc = ServiceBuilder("shop")
    assert "opentelemetry.trace" in sys.modules
    tracer = TracerProvider().get_tracer("test")

    @svc.get("/")
    async def root() -> str:
        with tracer.start_as_current_span("a") as span:
            log.warning("in")
            return trace.format_trace_id(span.get_span_context().trace_id)

    async with running(svc) as env:
        reply = await env.client(svc).get("/", headers={"traceparent": PARENT})
    assert only(lines, "trace_id") == reply.json()


async def test_a_request_that_writes_nothing_has_no_id_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    svc, other = ServiceBuilder("shop"), ServiceBuilder("stock")

    @other.get("/")
    async def leaf() -> int:
        return 1

    @svc.get("/")
    async def root() -> int:
        return int(await proxy.stock.leaf())

    def made(count: int) -> bytes:
        raise AssertionError("an id was made")

    async with running(svc, other) as env:
        monkeypatch.setattr("evox.services.correlation.os.urandom", made)
        assert (await env.client(svc).get("/")).json() == 1


def test_json_of_a_problem_is_as_it_was_outside_of_requests() -> None:
    from evox.services import problem

    assert json.loads(bytes(problem(500, "x").body)) == {"type": "about:blank", "title": "x", "status": 500}
