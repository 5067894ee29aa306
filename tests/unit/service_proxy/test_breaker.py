"""X5: when a breaker opens, for how long, and what its probe decides. Any order of these: properties/test_breaker."""

import pytest

from evox.service_proxy.breaker import Breaker, Permit, Verdict

TEN: list[Verdict] = ["failed"] * 10


def entered(breaker: Breaker, now: float) -> Permit:
    permit = breaker.enter(now)
    assert permit is not None
    return permit


def calls(breaker: Breaker, now: float, *verdicts: Verdict) -> None:
    for verdict in verdicts:
        entered(breaker, now).give_back(verdict, now)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    calls(breaker, now, *TEN)
    assert breaker.enter(now) is None
    return breaker


def test_X5_it_opens_when_half_of_ten_calls_failed() -> None:
    breaker = Breaker()
    for _ in range(5):
        calls(breaker, 0.0, "answered")
    for _ in range(4):
        calls(breaker, 0.0, "failed")
    assert breaker.statistics(0.0).state == "closed"
    calls(breaker, 0.0, "failed")
    assert repr(breaker) == "<Breaker open, 5 of 10 failed>"
    assert breaker.why == "5 of the last 10 calls failed"
    assert breaker.retry_after(1.0) == 4.0


def test_X5_fewer_than_half_or_fewer_than_ten_do_not_open_it() -> None:
    breaker = Breaker()
    for _ in range(200):
        calls(breaker, 0.0, "answered", "answered", "failed")
    assert breaker.statistics(0.0).state == "closed"
    breaker = Breaker()
    for _ in range(9):
        calls(breaker, 0.0, "failed")
    assert breaker.statistics(0.0).state == "closed"


def test_X5_failures_of_more_than_30_seconds_ago_are_forgotten() -> None:
    breaker = Breaker()
    for second in range(100):
        calls(breaker, second * 3.34, "failed")  # never ten in a window
    assert breaker.statistics(334.0).state == "closed"
    breaker = Breaker()
    for second in range(10):
        calls(breaker, second * 3.2, "failed")
    assert breaker.statistics(28.8).state == "open"


def test_X5_refusals_and_cancelled_calls_do_not_count_at_all() -> None:
    breaker = Breaker()
    for _ in range(9):
        calls(breaker, 0.0, "failed", "refused", "cancelled")
    known = breaker.statistics(0.0)
    assert (known.state, known.calls, known.failed) == ("closed", 9, 9)


def test_X5_it_is_open_for_5_seconds_doubling_to_60_and_for_5_again_once_it_has_closed() -> None:
    breaker, now = opened(), 0.0
    for pause in (5.0, 10.0, 20.0, 40.0, 60.0, 60.0):
        assert breaker.statistics(now).opens_for == pause
        assert breaker.enter(now + pause - 0.001) is None
        now += pause
        probe = entered(breaker, now)
        assert probe.is_probe
        probe.give_back("failed", now)
    calls(breaker, now + 60.0, "answered")
    for _ in range(10):
        calls(breaker, now + 60.0, "failed")
    assert breaker.statistics(now + 60.0).opens_for == 5.0


def test_X5_there_is_one_probe_however_long_it_takes() -> None:
    breaker = opened()
    probe = entered(breaker, 5.0)
    assert [breaker.enter(5.0 + later) for later in (0.0, 60.0, 3600.0)] == [None] * 3
    probe.give_back("answered", 3600.0)
    assert not entered(breaker, 3600.0).is_probe


def test_X5_a_cancelled_probe_makes_room_for_the_next_one_at_once() -> None:
    breaker = opened()
    for _ in range(3):
        entered(breaker, 5.0).give_back("cancelled", 5.0)
    probe = entered(breaker, 5.0)
    assert probe.is_probe
    assert breaker.enter(5.0) is None
    probe.give_back("failed", 5.0)
    assert breaker.retry_after(5.0) == 10.0


@pytest.mark.parametrize("verdict", ["answered", "refused"])
def test_X5_a_probe_that_was_heard_closes_it_with_nothing_counted(verdict: Verdict) -> None:
    breaker = opened()
    calls(breaker, 5.0, verdict)
    known = breaker.statistics(5.0)
    assert (known.state, known.calls, known.failed) == ("closed", 0, 0)


@pytest.mark.parametrize("verdict", ["answered", "failed", "refused", "cancelled"])
def test_X5_what_comes_back_from_before_it_opened_changes_nothing(verdict: Verdict) -> None:
    breaker = Breaker()
    late = [entered(breaker, 0.0) for _ in range(40)]
    calls(breaker, 0.0, *TEN)
    for now, before in ((1.0, "open"), (5.0, "half_open")):
        probe = breaker.enter(now)
        assert breaker.statistics(now).state == before
        for _ in range(10):
            late.pop().give_back(verdict, now)
        assert breaker.statistics(now).state == before
    assert probe is not None
    probe.give_back("answered", 6.0)
    while late:
        late.pop().give_back(verdict, 6.0)
    known = breaker.statistics(6.0)
    assert (known.state, known.calls) == ("closed", 0)
