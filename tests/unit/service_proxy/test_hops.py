"""What OpenTelemetry is told of calls that are made again, or in vain."""

from collections.abc import Generator, Iterator
from contextvars import copy_context

import pytest
from opentelemetry.trace import StatusCode
from tests.recorded import Recorded, about, recording
from tests.unit.service_proxy.scripted import GET, OK, attempt, line_to, refused, status

from evox.errors import CallFailed
from evox.service_proxy.breaker import Breaker
from evox.service_proxy.hops import in_hop
from evox.service_proxy.replies import NoAnswer, Reply

WITH_SECRETS = (
    "it cannot be reached: http://ada:hunter2@stock/ eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlc2lnbmE"
)


@pytest.fixture
def told() -> Iterator[Recorded]:
    with recording() as found:
        yield found


def planted() -> NoAnswer:
    return NoAnswer(WITH_SECRETS, sent=False)


async def test_X4_each_attempt_after_the_first_is_an_event_of_the_one_span(told: Recorded) -> None:
    line, _ = line_to(status(503), planted(), OK)
    found, tried = await attempt(line)
    assert (found.status, tried) == (200, 3)
    hop = told.one("evox.proxy users.read")
    assert about(hop)["evox.proxy.attempts"] == 3
    assert hop.status.status_code is StatusCode.UNSET
    first, second = hop.events
    assert (first.name, second.name) == ("evox.proxy.retry", "evox.proxy.retry")
    assert dict(first.attributes or {}) == {"http.request.resend_count": 1, "http.response.status_code": 503}
    why = "it cannot be reached: http://***@stock/ ***"
    assert dict(second.attributes or {}) == {"http.request.resend_count": 2, "evox.proxy.why": why}
    assert "hunter2" not in told.written()
    assert "eyJ" not in told.written()


async def test_X5_a_call_without_an_answer_says_why_and_that_the_breaker_is_open(told: Recorded) -> None:
    line, _ = line_to(planted(), attempts=1)
    for _ in range(11):
        with pytest.raises(CallFailed):
            await attempt(line)
    hops = told.named("evox.proxy users.read")
    assert [about(one).get("evox.proxy.breaker") for one in hops] == [None] * 9 + ["open"] * 2
    assert about(hops[0])["error.type"] == "evox.errors.proxy.CallUnavailable"
    assert about(hops[-1])["error.type"] == "evox.errors.proxy.CircuitOpen"
    assert [about(one)["evox.proxy.attempts"] for one in (hops[0], hops[-1])] == [1, 0]
    assert hops[0].status.description == "it cannot be reached: http://***@stock/ ***"
    assert "hunter2" not in told.written()
    assert "eyJ" not in told.written()


async def test_what_is_told_of_an_error_is_cut(told: Recorded) -> None:
    line, _ = line_to(NoAnswer("x" * 5000, sent=False), attempts=1)
    with pytest.raises(CallFailed):
        await attempt(line)
    assert len(told.one("evox.proxy users.read").status.description or "") == 500


async def test_a_call_that_is_closed_where_it_waits_complains_of_no_context(told: Recorded) -> None:
    """The garbage collector closes what nobody awaits any more, in whichever context it runs."""
    line, _ = line_to(refused())

    class Never:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def made() -> tuple[Reply, int]:
        await Never()
        return OK, 1

    call = in_hop(line.target, GET, Breaker(), made())
    copy_context().run(call.send, None)
    call.close()
    assert about(told.one("evox.proxy users.read"))["evox.cancelled"] is True


async def test_X1_a_call_makes_no_span_where_no_provider_is_installed() -> None:
    line, target = line_to(status(503), OK)
    assert (await attempt(line))[1] == 2
    assert len(target.sent) == 2
