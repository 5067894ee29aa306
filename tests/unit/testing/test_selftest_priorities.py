"""Priorities: whatever seats a project has, the shipped scheduler passes: a self-test that cries wolf is not read."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.selftests import failing, project_of, results_of

from evox.config import PrioritySettings
from evox.scheduling import Priority
from evox.testing.selftest.levels import Crowd, crowd, fill, flood

LEVELS = ("high", "medium", "low")


@st.composite
def seats(draw: st.DrawFn) -> dict[str, Any]:
    """Draw numbers of a project that do not contradict each other."""
    total = draw(st.sampled_from([1, 2, 3, 5, 10, 50, 200]))
    caps = draw(st.dictionaries(st.sampled_from(LEVELS), st.integers(1, total)))
    queue = draw(st.sampled_from([0, 1, 5, 300, {"low": 2}, {"high": 0}, {"medium": 0, "low": 1000}]))
    plain = PrioritySettings(total=total, **caps)
    left, reserve = total, {}
    for level in draw(st.lists(st.sampled_from(LEVELS), unique=True)):
        reserve[level] = draw(st.integers(0, min(left, plain.cap(level))))
        left -= reserve[level]
    return {"total": total, **caps, "queue": queue, "reserve": reserve}


@given(numbers=seats())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_shipped_scheduler_passes_with_any_seats(numbers: Mapping[str, Any]) -> None:
    found = results_of("framework", project_of(settings={"priority": numbers}), only="priority: ")
    assert failing(found) == set(), {name: found[name].why for name in failing(found)}


@pytest.mark.parametrize(
    "numbers",
    [
        {"total": 5, "high": 4, "queue": 300, "reserve": {"medium": 1}},
        {"total": 1000, "high": 543, "medium": 323, "low": 39, "queue": 300, "reserve": {"medium": 234}},
        {"total": 1},
        {"total": 20_000},
    ],
)
def test_a_high_at_its_cap_and_seats_that_are_kept_are_no_fault(numbers: Mapping[str, Any]) -> None:
    assert failing(results_of("framework", project_of(settings={"priority": numbers}), only="priority: ")) == set()


async def test_a_crowd_fills_every_seat_and_lets_many_wait() -> None:
    made = crowd(PrioritySettings(total=20, queue=50))
    assert len(made.grants) > 100
    assert {one.level for one in made.grants} == set(Priority)
    assert all(made.cancelled[level] + made.rejected[level] >= 0 for level in Priority)
    assert sum(made.cancelled.values()) > 10


async def test_the_same_seed_gives_the_same_crowd() -> None:
    numbers = PrioritySettings(total=20, queue=50)
    assert crowd(numbers, 7).grants == crowd(numbers, 7).grants != crowd(numbers, 8).grants


async def test_a_flood_of_one_level_comes_to_its_cap_and_waits() -> None:
    made = flood(PrioritySettings(total=10, low=4), Priority.LOW)
    assert (made.in_use[Priority.LOW], len(made.waiting[Priority.LOW]), made.over, made.idle) == (4, 3, [], [])


async def test_all_seats_are_filled_in_the_order_of_levels() -> None:
    made = Crowd(PrioritySettings(total=10, high=7, medium=2, low=5))
    fill(made, list(Priority))
    assert made.in_use == {Priority.HIGH: 7, Priority.MEDIUM: 2, Priority.LOW: 1}
