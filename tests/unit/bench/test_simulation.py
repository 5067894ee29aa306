"""The simulation: the table of an overload, the same everywhere, and broken by a scheduler that is wrong."""

from dataclasses import replace
from functools import cache
from typing import Any

import anyio
import pytest

from evox.bench import POLICIES, Scenario, Tally, simulate
from evox.scheduling import Priority, Scheduler

HIGH, MEDIUM, LOW = Priority
FIFO, STRICT, RESERVED = POLICIES
SHORT = Scenario(2.0, warm_up=1.0, length=12.0)
TOLERANCE = 3.0  # percentage points


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("ERROR", logger="evox.admission")


def runs(policy: Any, scenario: Scenario, seeds: int = 2) -> dict[Priority, Tally]:
    async def in_loop() -> list[dict[Priority, Tally]]:
        return [simulate(policy, scenario, seed) for seed in range(1, seeds + 1)]

    found = anyio.run(in_loop)
    return {
        level: Tally(sum(one[level].offered for one in found), [took for one in found for took in one[level].took])
        for level in Priority
    }


kept = cache(runs)


def success(tallies: dict[Priority, Tally]) -> list[float]:
    return [100 * tallies[level].success for level in Priority]


@pytest.mark.parametrize(
    ("policy", "load", "expected"),
    [
        (FIFO, 2, (50, 50, 50)),
        (STRICT, 2, (100, 93, 5)),
        (RESERVED, 2, (100, 82, 11)),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_P8_the_reference_table_is_reproduced(policy: Any, load: float, expected: tuple[float, ...]) -> None:
    assert success(kept(policy, replace(SHORT, load=load))) == pytest.approx(expected, abs=TOLERANCE)


def test_P3_at_four_times_the_load_high_succeeds_without_reserves_and_nearly_so_with_them() -> None:
    scenario = replace(SHORT, load=4.0)
    assert kept(STRICT, scenario)[HIGH].success >= 0.99
    assert 100 * kept(RESERVED, scenario)[HIGH].success == pytest.approx(95, abs=TOLERANCE)


def test_high_waits_for_a_seat_and_not_for_those_below_it() -> None:
    first, shared = kept(STRICT, SHORT)[HIGH], kept(FIFO, SHORT)[HIGH]
    assert first.percentile(0.5) == pytest.approx(0.008, abs=0.002)
    assert first.percentile(0.99) == pytest.approx(0.045, abs=0.008)
    assert shared.percentile(0.5) == pytest.approx(0.495, abs=0.01)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    short = replace(SHORT, length=2.0)
    assert runs(STRICT, short) == runs(STRICT, short)
    assert runs(STRICT, short) != runs(STRICT, short, seeds=1)


def test_every_policy_is_offered_the_same_requests() -> None:
    short = replace(SHORT, length=2.0)
    offered = [{level: one.offered for level, one in runs(policy, short).items()} for policy in POLICIES]
    assert offered[0] == offered[1] == offered[2]


@pytest.mark.parametrize(("one", "other"), [(HIGH, MEDIUM), (MEDIUM, LOW), (HIGH, LOW)])
def test_swapping_two_levels_in_the_scheduler_breaks_the_table(
    monkeypatch: pytest.MonkeyPatch, one: Priority, other: Priority
) -> None:
    shipped = Scheduler._next

    def swapped(self: Scheduler) -> Any:
        before = self._lines
        order = list(before)
        order[one], order[other] = order[other], order[one]
        self._lines = tuple(order)
        try:
            return shipped(self)
        finally:
            self._lines = before

    monkeypatch.setattr(Scheduler, "_next", swapped)
    assert success(runs(STRICT, SHORT)) != pytest.approx((100, 93, 5), abs=TOLERANCE)
