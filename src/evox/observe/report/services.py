"""Services: one row for each service of each process, with the figures that are looked at first."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

from evox.observe.durations import BUCKETS, Cell, quantile
from evox.observe.forms import Calls, ServiceState
from evox.observe.report.gathering import Report

__all__ = ["Row", "rows"]


@dataclass(frozen=True, slots=True)
class Row:
    """One service.

    Attributes:
        service: What it says of itself.
        process: Name of its process.
        pid: Number of that.
        now: What the clock of that said, in wall-clock seconds.
        calls: How many calls it answered, from outside and from within.
        errors: How many of them with 5xx.
        p95: Seconds within which 95 of 100 ended.
        open: Requests, streams and WebSockets now.
    """

    service: ServiceState
    process: str
    pid: int
    now: float
    calls: int
    errors: int
    p95: float
    open: int


def rows(report: Report) -> list[Row]:
    """Return the services of all processes, in their order."""
    found = []
    for seen, snapshot in report.snapshots:
        for one in snapshot.services:
            calls = [each for each in snapshot.calls if each.service == one.name]
            requests = one.requests
            found.append(
                Row(
                    service=one,
                    process=seen.name,
                    pid=snapshot.process.pid,
                    now=snapshot.process.time,
                    calls=sum(each.count for each in calls),
                    errors=sum(each.errors for each in calls),
                    p95=quantile(_together(calls), 0.95),
                    open=requests.requests + requests.streams + requests.websockets,
                )
            )
    return found


def _together(calls: Iterable[Calls]) -> Cell:
    whole = Cell()
    for one in calls:
        fitting = one.buckets[: len(BUCKETS) + 1]
        whole.counts = [a + max(0, b) for a, b in zip_longest(whole.counts, fitting, fillvalue=0)]
        whole.longest = max(whole.longest, one.longest)
    return whole
