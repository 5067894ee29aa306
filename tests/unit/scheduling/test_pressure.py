"""Pressure: Retry-After doubles while rejections go on, up to 32 seconds, and halves while there are none."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evox.scheduling import Pressure
from evox.scheduling.pressure import LONGEST, SHORTEST

untimed = settings(deadline=None)  # a busy machine is no failure
GAPS = st.lists(
    st.one_of(st.floats(0, 200, allow_nan=False), st.floats(0, 2, allow_nan=False), st.just(0.0)), max_size=200
)


def persist(pressure: Pressure, start: float, seconds: float, every: float = 0.125) -> list[tuple[float, bool]]:
    """Reject every so many seconds, and return what each was told. All numbers are exact in binary."""
    return [pressure.reject(start + every * step) for step in range(int(seconds / every) + 1)]


def raised(start: float, seconds: float) -> Pressure:
    pressure = Pressure()
    persist(pressure, start, seconds)
    return pressure


@pytest.mark.parametrize("now", [0.0, 5.0, -1e6, 1e9])
def test_P7_the_first_rejection_is_told_one_second_at_whatever_time(now: float) -> None:
    assert Pressure().reject(now) == (1.0, True)


def test_P7_the_bounds_are_one_and_32_seconds() -> None:
    assert (SHORTEST, LONGEST) == (1.0, 32.0)


@pytest.mark.parametrize(("after", "told"), [(0.875, 1), (1, 2), (2.875, 2), (3, 4), (7, 8), (15, 16), (31, 32)])
def test_P7_the_answer_doubles_each_time_that_rejections_went_on_for_as_long_as_it_says(
    after: float, told: float
) -> None:
    assert persist(Pressure(), 100.0, after)[-1][0] == told


def test_P7_the_answer_never_grows_over_32_seconds() -> None:
    answers = [seconds for seconds, _ in persist(Pressure(), 0.0, 1000.0)]
    assert max(answers) == answers[-1] == 32.0


def test_P7_many_rejections_at_one_moment_double_nothing() -> None:
    pressure = Pressure()
    assert {pressure.reject(7.0)[0] for _ in range(1000)} == {1.0}


def test_P7_many_rejections_at_one_moment_double_once_when_it_is_time() -> None:
    pressure = raised(0.0, 0.875)
    assert [pressure.reject(1.0)[0] for _ in range(1000)] == [2.0] * 1000


@pytest.mark.parametrize(
    ("quiet", "told"), [(63.875, 32), (64, 16), (95.875, 16), (96, 8), (112, 4), (120, 2), (124, 1), (1e9, 1)]
)
def test_P7_the_answer_halves_for_each_time_that_a_client_that_obeys_could_have_come_back_twice(
    quiet: float, told: float
) -> None:
    assert raised(0.0, 31.0).reject(31.0 + quiet)[0] == told


def test_P7_after_a_quiet_time_it_grows_again_from_where_it_has_come_down_to() -> None:
    pressure = raised(0.0, 31.0)
    answers = [seconds for seconds, _ in persist(pressure, 31.0 + 96.0, 24.0)]
    assert (answers[0], answers[63], answers[64], answers[-1]) == (8.0, 8.0, 16.0, 32.0)


def test_P7_a_client_that_obeys_and_is_rejected_again_is_told_to_wait_longer() -> None:
    pressure, now, told = Pressure(), 0.0, []
    for _ in range(7):
        told.append(pressure.reject(now)[0])
        now += told[-1]
    assert told == [1, 2, 4, 8, 16, 32, 32]


def test_one_of_the_rejections_between_two_doublings_is_the_one_to_log() -> None:
    told = [seconds for seconds, began in persist(Pressure(), 0.0, 31.0) if began]
    assert told == [1, 2, 4, 8, 16, 32]


def test_at_the_longest_answer_one_rejection_in_32_seconds_is_the_one_to_log() -> None:
    pressure = raised(0.0, 31.0)
    assert sum(began for _, began in persist(pressure, 31.125, 320.0)) == 10


def test_the_first_rejection_after_a_quiet_time_is_one_to_log() -> None:
    pressure = raised(0.0, 3.0)
    assert [pressure.reject(now)[1] for now in (3.5, 8.0, 8.0, 8.125)] == [False, True, False, False]


def test_two_streams_of_rejections_know_nothing_of_each_other() -> None:
    raised(0.0, 31.0)
    assert Pressure().reject(31.0) == (1.0, True)


def test_it_shows_the_answer_it_gives() -> None:
    assert repr(raised(0.0, 3.0)) == "<Pressure 4 s>"


@untimed
@given(start=st.floats(-1e6, 1e6), gaps=GAPS)
def test_P7_no_answer_is_outside_1_to_32_seconds_whatever_the_times(start: float, gaps: list[float]) -> None:
    for seconds in answers_after(start, gaps):
        assert SHORTEST <= seconds <= LONGEST
        assert seconds in {1, 2, 4, 8, 16, 32}


@untimed
@given(start=st.floats(-1e6, 1e6), gaps=GAPS)
def test_P7_no_answer_is_more_than_twice_the_one_before(start: float, gaps: list[float]) -> None:
    for before, after in pairwise(answers_after(start, gaps)):
        assert after <= before * 2


@untimed
@given(start=st.floats(-1e6, 1e6), gaps=GAPS)
def test_P7_answers_grow_no_faster_than_the_time_that_rejections_take(start: float, gaps: list[float]) -> None:
    elapsed = [sum(gaps[:count]) for count in range(len(gaps) + 1)]
    for seconds, passed in zip(answers_after(start, gaps), elapsed, strict=True):
        assert seconds <= 1 + passed + 1e-6


@untimed
@given(gaps=GAPS, quiet=st.floats(125, 1e6))
def test_P7_after_125_quiet_seconds_nothing_is_left_of_it_whatever_came_before(gaps: list[float], quiet: float) -> None:
    pressure, now = Pressure(), 0.0
    for gap in gaps:
        now += gap
        pressure.reject(now)
    assert pressure.reject(now + quiet) == (1.0, True)


def answers_after(start: float, gaps: list[float]) -> list[float]:
    pressure, now = Pressure(), start
    answers = [pressure.reject(now)[0]]
    for gap in gaps:
        now += gap
        answers.append(pressure.reject(now)[0])
    return answers
