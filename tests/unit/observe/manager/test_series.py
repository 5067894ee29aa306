"""Series: what happened between two looks at a process, whatever its counts and clocks do."""

import math
from dataclasses import asdict, replace
from typing import Any

import pytest
from tests.unit.observe.manager.snapshots import call, level, service, snap

from evox.observe.durations import BUCKETS
from evox.observe.manager.series import LevelSample, Sample, between, merged, share_within
from evox.scheduling import WAITS


def test_rates_are_of_the_time_between_two_looks() -> None:
    sample = between(snap(uptime=10, calls=[call(100, errors=10)]), snap(uptime=12, calls=[call(140, errors=14)]))
    assert sample is not None
    assert (sample.rate, sample.errors) == (20, 2)


def test_nothing_is_said_of_a_process_that_was_not_seen_before() -> None:
    assert between(None, snap(calls=[call(5)])) is None


def test_another_process_at_the_same_address_is_counted_from_nothing() -> None:
    assert between(snap("one", 10, calls=[call(1000)]), snap("two", 11, calls=[call(5)])) is None


@pytest.mark.parametrize("uptime", [0.0, 10.0, 10.04, 9.0, -5.0])
def test_nothing_is_said_of_no_time_and_of_a_clock_that_went_back(uptime: float) -> None:
    assert between(snap(uptime=10, calls=[call(1)]), snap(uptime=uptime, calls=[call(9)])) is None


def test_a_process_that_has_just_begun_divides_by_no_zero() -> None:
    assert between(snap(uptime=0.0), snap(uptime=0.0)) is None


def test_a_count_that_became_smaller_is_counted_from_nothing() -> None:
    queues: list[Any] = [{"name": "q", "total": 4, "in_use": 0, "levels": [level(admitted=50, waited=9.0)]}]
    fewer: list[Any] = [{"name": "q", "total": 4, "in_use": 0, "levels": [level(admitted=4, waited=2.0)]}]
    sample = between(snap(uptime=1, calls=[call(500)], queues=queues), snap(uptime=2, calls=[call(3)], queues=fewer))
    assert sample is not None
    assert (sample.rate, sample.levels[0].admitted, sample.levels[0].wait) == (3, 4, 0.5)


def test_a_process_that_slept_for_days_has_small_rates_and_no_gap() -> None:
    sample = between(snap(uptime=1, calls=[call(0)]), snap(uptime=1 + 86_400, calls=[call(864)]))
    assert sample is not None
    assert sample.rate == pytest.approx(0.01)


def test_wall_clocks_are_not_reckoned_with() -> None:
    before, after = snap(uptime=1, calls=[call(0)]), snap(uptime=2, calls=[call(7)])
    jumped = after.model_copy(update={"process": after.process.model_copy(update={"time": -1e9, "started": 1e12})})
    assert between(before, jumped) == between(before, after)


def test_an_endpoint_that_was_not_there_before_counts_whole() -> None:
    sample = between(snap(uptime=1), snap(uptime=2, calls=[call(3), call(4, endpoint="put")]))
    assert sample is not None
    assert sample.rate == 7


def test_percentiles_are_of_the_last_calls_alone() -> None:
    slow = [0] * 13 + [5]
    first = call(1000, buckets=[1000])
    sample = between(snap(uptime=1, calls=[first]), snap(uptime=2, calls=[call(1005, buckets=[1000, *slow[1:]])]))
    assert sample is not None
    assert sample.p50 == sample.p95 == BUCKETS[13]


def test_more_buckets_than_are_known_are_left_out() -> None:
    sample = between(snap(uptime=1), snap(uptime=2, calls=[call(1, buckets=[0] * 400 + [1])]))
    assert sample is not None
    assert sample.p95 == 0


def test_reads_are_those_of_all_services_and_of_those_that_have_data() -> None:
    def data(hits: int) -> dict[str, Any]:
        return {"caches": {"reads": {"hits": hits, "misses": 1, "stale": 0}}}

    before = snap(uptime=1, services=[service(**data(1)), service("b", **data(2)), service("c")])
    after = snap(uptime=2, services=[service(**data(4)), service("b", **data(6)), service("c")])
    sample = between(before, after)
    assert sample is not None
    assert (sample.hits, sample.misses, sample.stale) == (7, 0, 0)


def test_those_that_did_not_wait_count_as_waits_of_nothing() -> None:
    def queues(admitted: int, waits: list[int]) -> list[dict[str, Any]]:
        return [{"name": "q", "total": 4, "in_use": 0, "levels": [level(admitted=admitted, waits=waits)]}]

    none = [0] * (len(WAITS) + 1)
    few = [0, 3, *none[2:]]
    sample = between(snap(uptime=1, queues=queues(0, none)), snap(uptime=2, queues=queues(100, few)))
    assert sample is not None
    assert sample.levels[0].p95 == 0
    many = [0, 30, *none[2:]]
    sample = between(snap(uptime=1, queues=queues(0, none)), snap(uptime=2, queues=queues(100, many)))
    assert sample is not None
    assert sample.levels[0].p95 == WAITS[1]


def test_processes_together_add_up_and_have_the_worst_percentile() -> None:
    one = Sample(1, 2, 0.1, 0.5, 3, 4, 5, (LevelSample("a", "low", 1, 2, 10, 1, 0.1, 0.2),))
    two = Sample(1, 0, 0.2, 0.3, 0, 0, 0, (LevelSample("b", "low", 1, 0, 30, 0, 0.5, 0.1),))
    both = merged([one, two])
    assert (both.rate, both.errors, both.p50, both.p95, both.hits) == (2, 2, 0.2, 0.5, 3)
    (found,) = both.levels
    assert found.wait == pytest.approx(0.4)
    assert replace(found, wait=0) == LevelSample("", "low", 2, 2, 40, 1, 0, 0.2)


def test_no_process_does_nothing() -> None:
    assert merged([]) == Sample()


def test_a_share_of_nothing_is_nothing() -> None:
    assert share_within(BUCKETS, [], 0.5) == 0
    assert share_within(BUCKETS, [0] * 15, 0.95) == 0


def test_what_lies_above_all_buckets_is_as_long_as_the_last_bound() -> None:
    assert share_within(BUCKETS, [0] * 14 + [9], 0.5) == BUCKETS[-1]


def test_the_largest_numbers_that_can_be_read_stay_finite() -> None:
    """A count of 400 digits ended the poller, and with it the dashboard."""
    most = 2**63
    queues = [
        {
            "name": "q",
            "total": most,
            "in_use": most,
            "levels": [level(admitted=most, waited=1e308, rejected={"x": most})],
        }
    ]
    sample = between(snap(uptime=1), snap(uptime=1.05 + 1e-9, calls=[call(most, errors=most)] * 3, queues=queues))
    assert sample is not None
    both = asdict(merged([sample, sample]))
    numbers = [*both.values(), *both["levels"][0].values()]
    assert all(math.isfinite(one) for one in numbers if isinstance(one, int | float))
