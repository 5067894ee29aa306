"""X4: how many calls of one target may be repeated: a fifth of those made in 30 seconds, and three more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evox.service_proxy.budget import Budget


def taken(budget: Budget, now: float, most: int = 1000) -> int:
    """Take all that there is, and return how much that was."""
    return next(count for count in range(most) if not budget.take(now))


@pytest.mark.parametrize(
    ("calls", "retries"), [(0, 3), (1, 3), (4, 3), (5, 4), (9, 4), (10, 5), (200, 43), (201, 43), (204, 43), (205, 44)]
)
def test_X4_a_fifth_of_the_calls_and_three_more_are_repeated(calls: int, retries: int) -> None:
    """One too many was let through when a fifth was no whole number."""
    budget = Budget()
    for _ in range(calls):
        budget.made(1.0)
    assert taken(budget, 1.0) == retries
    assert repr(budget) == f"<Budget, {retries} retries for {calls} calls>"
    assert not budget.take(1.0)


def test_X4_calls_and_retries_of_more_than_30_seconds_ago_are_forgotten() -> None:
    budget = Budget()
    for _ in range(50):
        budget.made(0.0)
    assert taken(budget, 0.0) == 13
    assert not budget.take(29.9)
    assert taken(budget, 30.0) == 3
    assert not budget.take(59.9)
    assert taken(budget, 60.0) == 3


def test_X4_what_was_refused_is_not_taken() -> None:
    budget = Budget()
    assert taken(budget, 0.0) == 3
    assert [budget.take(0.0) for _ in range(100)] == [False] * 100
    for _ in range(5):
        budget.made(0.0)
    assert taken(budget, 0.0) == 1


@given(st.lists(st.sampled_from(["call", "retry", "second"]), max_size=300))
def test_X4_retries_never_exceed_a_fifth_of_the_calls_and_three_in_any_order(steps: list[str]) -> None:
    budget, now = Budget(), 0.0
    calls: list[float] = []
    retries: list[float] = []
    for step in steps:
        if step == "second":
            now += 1.0
        elif step == "call":
            budget.made(now)
            calls.append(now)
        else:
            made = sum(one > now - 30 for one in calls)
            before = sum(one > now - 30 for one in retries)
            may = 5 * (before + 1) <= made + 15
            assert budget.take(now) is may
            retries += [now] * may
