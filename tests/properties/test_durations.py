"""Durations, for whatever is written: a number of seconds or a ValueError, and the parts of a text add up."""

import math
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from evox.durations import seconds

untimed = settings(deadline=None)  # a busy machine is no failure
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
PARTS = st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(sorted(UNITS))), min_size=1, max_size=6)
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.text(alphabet="0123456789.-+ smhdwe"),
    st.timedeltas(),
    st.binary(),
    st.lists(st.integers()),
)


def written(parts: list[tuple[int, str]], between: str = "") -> str:
    return between.join(f"{number}{unit}" for number, unit in parts)


@untimed
@given(parts=PARTS, between=st.sampled_from(["", " ", "  "]))
def test_the_parts_of_a_text_add_up(parts: list[tuple[int, str]], between: str) -> None:
    total = math.fsum(number * UNITS[unit] for number, unit in parts)
    assert math.isclose(seconds(written(parts, between)), total, rel_tol=1e-12, abs_tol=1e-9)


@untimed
@given(parts=PARTS, data=st.data())
def test_the_order_of_the_parts_does_not_matter(parts: list[tuple[int, str]], data: st.DataObject) -> None:
    other = data.draw(st.permutations(parts))
    assert math.isclose(seconds(written(parts)), seconds(written(other)), rel_tol=1e-12, abs_tol=1e-9)


@untimed
@given(parts=PARTS, cut=st.integers(1, 20))
def test_a_text_cut_short_is_refused_or_means_no_more_than_the_whole(parts: list[tuple[int, str]], cut: int) -> None:
    """`"5m"` is the one beginning of `"5ms"` that means more."""
    text = written([(number, unit) for number, unit in parts if unit != "ms"] or [(1, "s")])
    try:
        short = seconds(text[:-cut])
    except ValueError:
        return
    assert short <= seconds(text)


@untimed
@given(number=st.one_of(st.integers(0, 10**15), st.floats(0, 1e15)))
def test_a_number_is_kept(number: float) -> None:
    assert seconds(number) == number


@untimed
@given(delta=st.timedeltas(min_value=timedelta()))
def test_a_timedelta_is_kept(delta: timedelta) -> None:
    assert seconds(delta) == delta.total_seconds()


@untimed
@given(value=ANYTHING)
def test_anything_else_is_a_value_error_and_nothing_worse(value: object) -> None:
    try:
        result = seconds(value)  # type: ignore[arg-type]
    except ValueError:
        return
    assert type(result) is float
    assert math.isfinite(result)
    assert result >= 0
