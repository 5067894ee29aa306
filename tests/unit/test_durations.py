"""Durations: what is taken as seconds, and what is refused with a sentence that says what to write."""

from datetime import timedelta

import pytest

from evox.durations import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("250ms", 0.25),
        ("0s", 0.0),
        ("90s", 90.0),
        ("0.5s", 0.5),
        ("15m", 900.0),
        ("1h", 3600.0),
        ("1.5h", 5400.0),
        ("7d", 604800.0),
        ("2w", 1209600.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("  1m  ", 60.0),
        ("1d2h3m4s5ms", 93784.005),
    ],
)
def test_text_becomes_seconds(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected, abs=1e-9)


def test_minutes_and_milliseconds_are_told_apart() -> None:
    assert (seconds("5m"), seconds("5ms")) == (300.0, 0.005)


@pytest.mark.parametrize("number", [0, 1, 90, 0.25, 1e6])
def test_a_number_is_seconds_already(number: float) -> None:
    assert seconds(number) == number


@pytest.mark.parametrize("number", [0, 90])
def test_the_result_is_a_float_even_for_whole_numbers(number: int) -> None:
    assert type(seconds(number)) is float


@pytest.mark.parametrize(
    ("delta", "expected"),
    [(timedelta(), 0.0), (timedelta(days=1, milliseconds=250), 86400.25), (timedelta(minutes=-1, hours=1), 3540.0)],
)
def test_a_timedelta_becomes_its_total_seconds(delta: timedelta, expected: float) -> None:
    assert seconds(delta) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "soon",
        "10",
        "s",
        "1 x",
        "1h30",
        "h1",
        "-1s",
        "+1s",
        "1,5h",
        "1e3s",
        ".5s",
        "1.s",
        "1H",
        "1 hour",
        "\u0661s",
        "\uff11s",
        "1s;",
        "1sm",
    ],
)
def test_text_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)


@pytest.mark.parametrize("value", [-1, -0.001, timedelta(seconds=-1), float("nan"), float("inf"), float("-inf")])
def test_what_is_negative_or_not_finite_is_refused(value: float | timedelta) -> None:
    with pytest.raises(ValueError, match="zero or more seconds"):
        seconds(value)


@pytest.mark.parametrize("value", [None, True, False, [], {}, b"1s", 1j, object])
def test_other_types_are_refused_and_true_is_not_one_second(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [10**400, "9" * 400 + "s"], ids=["number", "text"])
def test_what_is_too_large_for_a_float_is_refused_like_any_other_value(value: int | str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(value)


@pytest.mark.parametrize("value", ["soon", -5, None])
def test_a_refusal_repeats_the_value_and_says_what_is_accepted(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration") as caught:
        seconds(value)  # type: ignore[arg-type]
    message = str(caught.value)
    assert repr(value) in message
    assert all(form in message for form in ("90", '"15m"', '"1h"', "timedelta"))
