"""Ratios are taken within a round, and ranges say how far rounds lie apart."""

import json
import math

import pytest

from evox.bench.http.figures import Row, Sample, Span, percentile, rows

TITLES = {"ours": "Ours", "base": "Base", "gone": "Gone"}


def made(**rates: list[float]) -> dict[str, Row]:
    samples = {name: [Sample(rate, [0.001, 0.002, 0.009], 0.5) for rate in found] for name, found in rates.items()}
    titles = {name: TITLES[name] for name in rates}
    return {row.name: row for row in rows(titles, samples, {}, "base")}


def test_a_ratio_is_the_median_of_the_ratios_of_each_round_and_not_that_of_the_medians() -> None:
    # The machine was ten times slower in one round: the ratio of that round is as good as that of any other.
    ours = made(ours=[200, 30, 330], base=[100, 10, 110])["ours"]
    assert ours.ratio == Span(3, 2, 3)
    assert ours.rate == Span(200, 30, 330)


def test_the_base_is_one_with_no_range() -> None:
    assert made(ours=[1, 2], base=[5, 7])["base"].ratio == Span(1, 1, 1)


def test_without_the_base_there_are_rates_and_no_ratios() -> None:
    ours = made(ours=[100, 300])["ours"]
    assert (ours.rate.median, ours.ratio) == (200, None)


def test_a_base_that_answered_nothing_in_a_round_gives_no_ratio() -> None:
    assert made(ours=[1, 1], base=[1, 0])["ours"].ratio is None


def test_times_are_the_medians_of_those_of_the_rounds() -> None:
    samples = [Sample(1, [one]) for one in (0.1, 0.5, 0.2)]
    (row,) = rows({"ours": "Ours"}, {"ours": samples}, {}, "base")
    assert (row.p50, row.p99, row.busy) == (0.2, 0.2, None)


def test_who_failed_has_a_row_with_the_reason_and_spoils_nobody_elses() -> None:
    samples = {"ours": [Sample(10)], "gone": []}
    found = {row.name: row for row in rows(TITLES | {}, samples | {"base": []}, {"gone": "why", "base": "so"}, "base")}
    assert found["gone"].facts() == {"name": "gone", "failed": "why"}
    assert (found["ours"].rate.median, found["ours"].ratio) == (10, None)


def test_what_an_answer_costs_the_server_is_the_median_of_the_rounds_that_know_it() -> None:
    samples = [Sample(1, cost=one) for one in (1e-4, None, 3e-4)]
    (row,) = rows({"ours": "Ours"}, {"ours": samples}, {}, "base")
    assert row.cost == pytest.approx(2e-4)


def test_percentiles_of_fixed_numbers() -> None:
    values = [float(one) for one in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (51, 100, 7)
    assert math.isnan(percentile([], 0.5))


def test_facts_are_json_without_nan() -> None:
    (row,) = rows({"ours": "Ours"}, {"ours": [Sample(10)]}, {}, "base")
    facts = json.loads(json.dumps(row.facts(), allow_nan=False))
    assert facts == {
        "name": "ours",
        "rate": {"median": 10, "low": 10, "high": 10},
        "ratio": None,
        "p50_ms": None,
        "p99_ms": None,
        "busy": None,
        "server_us": None,
    }
