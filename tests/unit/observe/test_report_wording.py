"""Wording: numbers of any size become short texts, and texts of others move no cursor."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evox.observe.report.wording import ago, count, moment, plain, size, span

NOW = 1_800_000_000.0
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (NOW, "just now"),
        (NOW - 12, "12 s ago"),
        (NOW - 90, "1 min ago"),
        (NOW - 3_900, "1 h 5 min ago"),
        (NOW - 86_400 * 3, "3 d ago"),
        (NOW + 120, "in 2 min"),
        (None, "never"),
        (-1e300, "ages ago"),
    ],
)
def test_an_age_is_told_in_its_largest_units_and_a_clock_that_was_set_back_is_no_error(
    seconds: float | None, said: str
) -> None:
    assert ago(seconds, NOW) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 ms"),
        (0.00003, "<0.1 ms"),
        (0.0004, "0.4 ms"),
        (0.0121, "12 ms"),
        (0.9999, "1.0 s"),
        (1.5, "1.5 s"),
        (200, "3 min"),
        (-1, "0 ms"),
    ],
)
def test_a_duration_is_told_in_the_unit_that_fits(seconds: float, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0"), (1_234, "1,234"), (1_200_000, "1.2 M"), (3.4e9, "3.4 G"), (2**63, "9223372.0 T")]
)
def test_a_count_stays_short(number: float, said: str) -> None:
    assert count(number) == said or len(count(number)) < 12


def test_times_of_day_are_utc() -> None:
    assert moment(NOW) == "2027-01-15 08:00:00 UTC"
    assert moment(1e300) == moment(-1e300) == "at no time"


@given(FLOATS, FLOATS)
def test_no_number_is_an_error_or_a_long_text(first: float, second: float) -> None:
    for text in (moment(first), ago(first, second), span(first), size(first), count(first)):
        assert 0 < len(text) < 32


@given(st.text(st.characters(exclude_categories=[])))
def test_a_text_of_others_becomes_one_line_that_can_be_printed(text: str) -> None:
    assert plain(text).isprintable()
    plain(text).encode(sys.getdefaultencoding())
