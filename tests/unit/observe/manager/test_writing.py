"""Writing: numbers, spans and times as people read them, whatever they are; and that everything is escaped."""

import time

import pytest

from evox.observe.manager.writing import clock, number, rate, size, span, took, write


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0"),
        (-1, "0"),
        (5e-5, "50 µs"),
        (0.0015, "1.5 ms"),
        (0.25, "250 ms"),
        (0.9999, "1e+03 ms"),
        (12.345, "12.35 s"),
    ],
)
def test_short_durations(seconds: float, text: str) -> None:
    assert took(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.5, "500 ms"),
        (59, "59 s"),
        (60, "1 min"),
        (61.9, "1 min 1 s"),
        (7_500, "2 h 5 min"),
        (86_400, "1 d"),
        (200_000, "2 d 7 h"),
    ],
)
def test_long_durations(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1.02e+03 B"), (1536, "1.5 KiB"), (64 * 2**20, "64 MiB"), (5 * 2**40, "5.12e+03 GiB")],
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


def test_counts_and_rates() -> None:
    assert (number(1234567), rate(0.25), rate(1234.5)) == ("1,234,567", "0.2", "1,234")


@pytest.mark.parametrize("when", [1e18, -1e18, float("inf"), float("nan"), 253_402_300_800.0])
def test_a_time_that_no_calendar_has_is_a_question_mark(when: float) -> None:
    assert clock(when) == "?"


def test_a_time_of_today_has_no_date_and_another_one_has() -> None:
    assert len(clock(time.time())) == len("12:34:56")
    assert clock(0) == "1970-01-01 00:00:00"


@pytest.mark.parametrize("filter_", [number, rate, took, span, size, clock])
@pytest.mark.parametrize("value", [1e18, -1e18, 2**63, -(2**63), 0])
def test_what_can_be_read_can_be_written_shortly(filter_: object, value: float) -> None:
    assert callable(filter_)
    assert len(filter_(value)) < 40


def test_a_page_escapes_and_misses_nothing_in_silence() -> None:
    page = write(
        "base.html.j2",
        {"pages": [("/<a>", "<b>")], "here": "/", "part": "/parts/x", "title": "<i>"}
        | {
            "charts": (),
            "notices": ["<script>alert(1)</script>"],
            "instances": [],
            "edges": [],
            "body": "calls.html.j2",
        },
    )
    for bad in ("<script>alert", "<i>", "<b>", "</a>>"):
        assert bad not in page
    with pytest.raises(Exception, match="undefined"):
        write("base.html.j2", {})
