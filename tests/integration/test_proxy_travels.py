"""What travels with a call (X7): who calls, the level, the time that is left and the trace, wherever the callee is."""

import re
from typing import Any

import anyio
import pytest
from tests.integration.peers import users

from evox import ServiceBuilder, inject
from evox.core import proxy
from evox.testing import TOPOLOGIES, Topology, spread

every_topology = pytest.mark.parametrize("topology", TOPOLOGIES)
people = inject.service("user-service")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "tracestate": "shop=1"}


def orders() -> ServiceBuilder:
    svc = ServiceBuilder("order-service")

    @svc.get("/who", priority="high")
    async def who(callee: Any = people) -> Any:
        return await callee.who()

    @svc.get("/headers", priority="high", timeout=5)
    async def headers() -> Any:
        return await proxy.user_service.headers()

    @svc.get("/twice")
    async def twice() -> list[Any]:
        return [await proxy.user_service.headers(), await proxy.user_service.headers()]

    return svc


@every_topology
async def test_X7_a_service_calls_on_its_own_behalf_where_it_works_for_nobody(topology: Topology) -> None:
    svc = orders()
    async with spread(topology, svc, users) as env:
        assert (await env.client(svc).get("/who")).json() == {
            "kind": "service",
            "subject": "order-service",
            "roles": [],
            "chain": ["order-service"],
        }


@pytest.mark.parametrize("topology", ["loopback", "processes"])
async def test_X7_level_time_and_trace_travel_to_another_process(topology: Topology) -> None:
    svc = orders()
    async with spread(topology, svc, users) as env:
        sent = (await env.client(svc, headers=SENT).get("/headers")).json()
        assert sent["x-evox-priority"] == "high"
        assert 0 < float(sent["x-evox-deadline"]) <= 5
        assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", sent["traceparent"])
        assert sent["traceparent"] != SENT["traceparent"]
        assert sent["tracestate"] == "shop=1"
        assert sent["authorization"].startswith("Evox-Internal ")


async def test_X7_calls_of_one_request_belong_to_one_trace_and_those_of_two_do_not() -> None:
    svc = orders()
    async with spread("loopback", svc, users) as env:
        client = env.client(svc)
        found = [(await client.get("/twice")).json() for _ in range(2)]
        traces = [{one["traceparent"].split("-")[1] for one in pair} for pair in found]
        spans = {one["traceparent"].split("-")[2] for pair in found for one in pair}
        assert [len(one) for one in traces] == [1, 1]
        assert traces[0] != traces[1]
        assert len(spans) == 4


@pytest.mark.parametrize(
    "given", ["", "00-0-0-0", f"ff-{TRACE}-00f067aa0ba902b7-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", "x" * 999]
)
async def test_X7_a_trace_that_is_none_is_not_handed_on(given: str) -> None:
    svc = orders()
    async with spread("loopback", svc, users) as env:
        sent = (await env.client(svc, headers={"traceparent": given}).get("/headers")).json()
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", sent["traceparent"])
        assert TRACE not in sent["traceparent"]


async def test_X3_time_that_the_caller_has_left_is_what_the_callee_is_given() -> None:
    svc = orders()
    async with spread("loopback", svc, users):
        with anyio.fail_after(3):
            sent = await proxy.user_service.headers()
        assert 0 < float(sent["x-evox-deadline"]) <= 3
        sent = await proxy.user_service.headers().with_timeout("2s")
        assert 0 < float(sent["x-evox-deadline"]) <= 2
        sent = await proxy.user_service.headers()
        assert 3 < float(sent["x-evox-deadline"]) <= 10
