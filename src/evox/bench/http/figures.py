"""Figures: what was measured, and what comes of it. Nothing here measures.

Each round gives one sample of each contestant. Ratios are taken within a round, so that a slow moment of the machine is
in both of what is compared; the median of the rounds counts, and lowest and highest say how far to believe it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

__all__ = ["Row", "Sample", "Span", "percentile", "rows"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one contestant.

    Attributes:
        rate: Answers, or events, a second.
        latencies: Seconds of each request. wrk gives p50 and p99 alone, see ``quantiles``.
        busy: The part of the time that the load worked, from 0 to 1; None where it is not known.
        quantiles: p50 and p99 in seconds where the latencies are not there.
        cost: Seconds of processor that an answer took of the server; None where it is not known.
    """

    rate: float
    latencies: Sequence[float] = ()
    busy: float | None = None
    quantiles: tuple[float, float] | None = None
    cost: float | None = None

    @property
    def p50(self) -> float:
        """The median in seconds; nan where there is none."""
        return self.quantiles[0] if self.quantiles else percentile(self.latencies, 0.5)

    @property
    def p99(self) -> float:
        """The 99th percentile in seconds; nan where there is none."""
        return self.quantiles[1] if self.quantiles else percentile(self.latencies, 0.99)


@dataclass(frozen=True, slots=True)
class Span:
    """The median of the rounds, and how far they lie apart."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Span":
        """Return the span of one value of each round."""
        return cls(median(values), min(values), max(values))

    def facts(self) -> dict[str, float | None]:
        """Return it for JSON, which has no nan."""
        named = {"median": self.median, "low": self.low, "high": self.high}
        return {name: None if math.isnan(value) else value for name, value in named.items()}


@dataclass(frozen=True, slots=True)
class Row:
    """One contestant at one question.

    Attributes:
        name: Of the contestant.
        title: The same for people.
        rate: Answers, or events, a second.
        ratio: To the base, within each round; None where the base was not measured.
        p50: Seconds, the median of the rounds; nan where nothing was timed.
        p99: Seconds, the median of the rounds; nan where nothing was timed.
        busy: How busy the load was, the mean; None where it is not known.
        cost: Seconds of processor that an answer took of the server, the median; None where it is not known.
        failed: Why there are no figures, or None.
    """

    name: str
    title: str
    rate: Span
    ratio: Span | None
    p50: float
    p99: float
    busy: float | None
    cost: float | None = None
    failed: str | None = None

    def facts(self) -> dict[str, Any]:
        """Return it for JSON; times in milliseconds."""
        if self.failed is not None:
            return {"name": self.name, "failed": self.failed}
        times = {"p50_ms": self.p50, "p99_ms": self.p99}
        return {
            "name": self.name,
            "rate": self.rate.facts(),
            "ratio": None if self.ratio is None else self.ratio.facts(),
            **{name: None if math.isnan(seconds) else 1000 * seconds for name, seconds in times.items()},
            "busy": self.busy,
            "server_us": None if self.cost is None else 1e6 * self.cost,
        }


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that a part of all are not above; nan of none."""
    if not values:
        return math.nan
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


def rows(
    titles: Mapping[str, str], samples: Mapping[str, Sequence[Sample]], failures: Mapping[str, str], base: str
) -> list[Row]:
    """Return a row for each contestant.

    Args:
        titles: Of the contestants by name, in the order of the rows.
        samples: By name, one for each round.
        failures: By name, why there are no samples.
        base: The name of whom the others are compared with.
    """
    found = []
    nothing = Span(math.nan, math.nan, math.nan)
    for name, title in titles.items():
        if name in failures:
            found.append(Row(name, title, nothing, None, math.nan, math.nan, None, failed=failures[name]))
            continue
        own = samples[name]
        ratio = None
        if base in samples and base not in failures:
            pairs = list(zip(own, samples[base], strict=True))
            if all(other.rate > 0 for _, other in pairs):
                ratio = Span.of([one.rate / other.rate for one, other in pairs])
        busy = [one.busy for one in own if one.busy is not None]
        costs = [one.cost for one in own if one.cost is not None]
        found.append(
            Row(
                *(name, title, Span.of([one.rate for one in own]), ratio),
                p50=median(one.p50 for one in own),
                p99=median(one.p99 for one in own),
                busy=mean(busy) if busy else None,
                cost=median(costs) if costs else None,
            )
        )
    return found
