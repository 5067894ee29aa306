"""X3, X4: how long is waited between attempts, in virtual time: jitter, Retry-After, and never past the deadline."""

import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

import anyio
import pytest
from tests.unit.service_proxy.scripted import OK, Late, Scripted, attempt, line_to, refused, status

from evox.errors import CallTimeout, CallUnavailable
from evox.service_proxy import NoAnswer, Reply
from evox.service_proxy.budget import Budget
from evox.service_proxy.calling import Line
from evox.testing import run_virtual


class Longest(random.Random):
    """Chance that always says the most, and keeps what it was asked."""

    asked: list[tuple[float, float]]

    def uniform(self, a: float, b: float) -> float:
        """Return the most."""
        self.asked.append((a, b))
        return b


def longest(line: Line) -> Longest:
    made = Longest()
    made.asked = []
    line.random = made
    return made


def waits(target: Scripted) -> list[float]:
    times = target.times
    return [round(after - before, 6) for before, after in itertools.pairwise(times)]


def test_X4_waits_begin_with_a_tenth_of_a_second_double_and_are_two_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line, target = line_to(status(503), attempts=8, at_once=False)
    chance = longest(line)
    monkeypatch.setattr(Budget, "take", lambda *_: True)  # it allows three of these
    run_virtual(lambda: attempt(line, within=60))
    assert chance.asked == [(0.0, most) for most in (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0)]
    assert waits(target) == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_X4_waits_are_spread_over_all_of_the_time_they_may_take() -> None:
    first, second = [], []
    for seed in range(100):
        line, target = line_to(status(503), at_once=False)
        line.random.seed(seed)
        run_virtual(partial(attempt, line))
        first.append(waits(target)[0])
        second.append(waits(target)[1])
    for found, most in ((first, 0.1), (second, 0.2)):
        assert max(found) <= most
        assert max(found) > 0.9 * most
        assert min(found) < 0.1 * most
        assert 0.3 * most < sum(found) / len(found) < 0.7 * most


@pytest.mark.parametrize(("said", "wait"), [("1", 1.0), ("0", 0.1), ("30", 30.0)])
def test_X4_retry_after_in_seconds_is_waited_for(said: str, wait: float) -> None:
    line, target = line_to(status(503, retry_after=said), OK, at_once=False)
    longest(line)
    assert run_virtual(lambda: attempt(line, within=60))[1] == 2
    assert waits(target) == [wait]


@pytest.mark.parametrize("seconds", [2, 25])
def test_X4_retry_after_as_a_date_is_waited_for(seconds: int) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    line, target = line_to(status(429, retry_after=date), OK)
    assert run_virtual(lambda: attempt(line, within=60))[1] == 2
    assert seconds - 2 <= waits(target)[0] <= seconds


def test_X4_a_date_that_is_over_means_at_once() -> None:
    line, target = line_to(status(503, retry_after="Sun, 06 Nov 1994 08:49:37 GMT"), OK)
    assert run_virtual(lambda: attempt(line))[1] == 2
    assert waits(target) == [0.0]


@pytest.mark.parametrize("said", ["31", "9" * 500, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_X4_a_longer_retry_after_means_no_retry(said: str) -> None:
    line, target = line_to(status(503, retry_after=said), OK)
    assert run_virtual(lambda: attempt(line, within=1e9))[1] == 1
    assert len(target.sent) == 1


@pytest.mark.parametrize(
    "said",
    [
        "",
        "soon",
        "-1",
        "1.5",
        "٣",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 0:0 +999999999999",
    ],
)
def test_X4_a_retry_after_that_means_nothing_is_ignored(said: str) -> None:
    """A date that no clock has was an OverflowError of the caller."""
    assert status(503, retry_after=said).retry_after is None
    line, _ = line_to(status(503, retry_after=said), OK)
    assert run_virtual(lambda: attempt(line))[1] == 2


def test_X3_there_is_no_retry_that_would_begin_when_time_is_over() -> None:
    line, target = line_to(status(503, retry_after="3"), OK, at_once=False)
    longest(line)

    async def main() -> tuple[Reply, int, float]:
        reply, tried = await attempt(line, within=3)
        return reply, tried, anyio.current_time()

    began = run_virtual(main)
    assert began[0].status == 503
    assert len(target.sent) == 1
    assert line.budget.take(0)


def test_X3_a_retry_that_begins_in_time_is_ended_in_time() -> None:
    line, target = line_to(status(503, retry_after="3"), Late(5), at_once=False)

    async def main() -> float:
        began = anyio.current_time()
        with pytest.raises(CallTimeout) as caught:
            await attempt(line, within=4)
        assert caught.value.attempts == 2
        assert caught.value.may_have_run
        return anyio.current_time() - began

    assert run_virtual(main) == pytest.approx(4)
    assert waits(target) == [3.0]


@pytest.mark.parametrize("within", [0.0, -1.0])
def test_X3_a_call_whose_time_is_over_is_not_made(within: float) -> None:
    """It was sent, and counted against its callee as a failure."""
    line, target = line_to(OK)

    async def main() -> None:
        with pytest.raises(CallTimeout) as caught:
            await attempt(line, within=within)
        assert (caught.value.attempts, caught.value.may_have_run) == (0, False)
        assert line.statistics().breaker.calls == 0

    run_virtual(main)
    assert target.sent == []


@pytest.mark.parametrize("error", [status(503), refused()], ids=["503", "refused"])
def test_X4_a_caller_that_is_cancelled_between_attempts_goes_at_once(error: Reply | NoAnswer) -> None:
    line, target = line_to(error, OK, at_once=False)
    longest(line)

    async def main() -> float:
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(attempt, line)
            await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        known = line.statistics()
        assert (known.retries, known.breaker.calls, known.breaker.failed) == (0, 1, 1)
        return anyio.current_time() - began

    assert run_virtual(main) == pytest.approx(0.05)
    assert len(target.sent) == 1


def judged(make: Callable[[Line], Awaitable[object]], *answers: Reply | NoAnswer | Late) -> tuple[int, int]:
    """Return how many calls, and failures, the breaker counts after twenty of them."""
    line, _ = line_to(*answers)

    async def main() -> tuple[int, int]:
        for _ in range(20):
            with contextlib.suppress(CallUnavailable):
                await make(line)
        known = line.statistics().breaker
        assert known.state == ("open" if known.failed else "closed")
        return known.calls, known.failed

    return run_virtual(main)


def test_X5_a_caller_that_leaves_says_nothing_of_its_callee() -> None:
    async def leaves(line: Line) -> None:
        with anyio.move_on_after(0.01):
            await attempt(line)

    assert judged(leaves, Late(1)) == (0, 0)


def test_X5_a_caller_that_has_less_time_than_a_call_has_says_nothing_of_its_callee() -> None:
    assert judged(lambda line: attempt(line, within=0.01, hurried=True), Late(1)) == (0, 0)


def test_X5_a_callee_that_takes_all_of_the_time_of_a_call_fails() -> None:
    assert judged(lambda line: attempt(line, within=0.1), Late(1)) == (10, 10)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 408, 409, 422, 429])
def test_X5_a_refusal_says_nothing_of_its_callee(code: int) -> None:
    assert judged(attempt, status(code)) == (0, 0)


@pytest.mark.parametrize("code", [500, 501, 502, 503, 504])
def test_X5_an_answer_of_500_or_more_is_a_failure(code: int) -> None:
    assert judged(attempt, status(code)) == (10, 10)


def test_X5_a_hurried_caller_that_hears_a_failure_has_heard_it() -> None:
    assert judged(lambda line: attempt(line, hurried=True), status(500)) == (10, 10)
