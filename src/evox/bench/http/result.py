"""Result: all that a run found out, as people, programs and the page want it.

Every question becomes one or more blocks: a title, a head and rows of text, which the terminal and the page lay out
each in their own way.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from evox.bench.calling import Measured
from evox.bench.http.contestants import CONTESTANTS
from evox.bench.http.figures import Row, Span
from evox.bench.http.machine import Machine
from evox.bench.http.measuring import Plan, Table

__all__ = ["Block", "Result", "blocks", "conditions"]

CALLS = "calls"


@dataclass(frozen=True, slots=True)
class Result:
    """A run.

    Attributes:
        plan: What was done.
        machine: Where.
        versions: Of what was measured.
        missing: Contestants that were left out, and what of them is not installed.
        tables: One for each question that was asked over HTTP.
        calls: By loop, what a call within the process takes; empty where that was not asked.
    """

    plan: Plan
    machine: Machine
    versions: Mapping[str, str]
    missing: Mapping[str, Sequence[str]]
    tables: Sequence[Table]
    calls: Mapping[str, Sequence[Measured]] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether somebody did not start, or answered wrongly."""
        return any(row.failed is not None for table in self.tables for row in table.rows)

    def facts(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "schema": 1,
            "machine": self.machine.facts(),
            "versions": dict(self.versions),
            "missing": {name: list(modules) for name, modules in self.missing.items()},
            "rounds": self.plan.rounds,
            "seconds": self.plan.seconds,
            "cores": asdict(self.plan.cores),
            "questions": [
                {
                    "name": table.question.name,
                    "title": table.title,
                    "load": table.load,
                    "connections": table.question.connections or self.plan.connections,
                    "rate": table.rate,
                    "rows": [row.facts() for row in table.rows],
                }
                for table in self.tables
            ],
            CALLS: {backend: [asdict(one) for one in found] for backend, found in self.calls.items()},
        }


@dataclass(frozen=True, slots=True)
class Block:
    """One table for people.

    Attributes:
        name: Of the question.
        title: What was asked.
        notes: What has to be known to read it, a sentence each.
        head: Of the columns.
        rows: Text, as many cells as the head has.
        table: What it was made of, where there are bars to draw.
    """

    name: str
    title: str
    notes: list[str]
    head: list[str]
    rows: list[list[str]]
    table: Table | None = None


def conditions(result: Result) -> list[str]:
    """Return lines about how it was measured: machine, versions, cores, and who is missing."""
    plan, titles = result.plan, {one.name: one.title for one in CONTESTANTS}
    lines = [f"{result.machine}.", f"{', '.join(f'{name} {one}' for name, one in result.versions.items())}."]
    where = "Servers and load share all cores."
    if plan.cores.server is not None:
        where = f"Servers have core {plan.cores.server} and the load has core {plan.cores.load}."
    rounds = f"{plan.rounds} rounds" if plan.rounds > 1 else "1 round"
    lines.append(f"{rounds} of {plan.seconds:g} s for each. {where}")
    if result.machine.load is not None and result.machine.load >= 1:
        lines.append(
            "Something else was running there, so all of them could do more; `server µs` is hardly touched by it."
        )
    lines += [
        f"{titles[name]} is left out; not installed: {', '.join(modules)}." for name, modules in result.missing.items()
    ]
    return lines


def blocks(result: Result) -> list[Block]:
    """Return a block for each question, and for each loop where calls within the process were asked for."""
    found = [_block(table, result.plan) for table in result.tables]
    for backend, calls in result.calls.items():
        rows = [[one.name, f"{one.microseconds:.1f}", f"{one.more:+.1f}", f"{one.slower:.1f}"] for one in calls]
        title = f"a call of another service, on {backend}"
        notes = ["In µs of the processor; by Evox alone."]
        found.append(Block(CALLS, title, notes, ["", "µs", "more", "x in the process"], rows))
    return found


def _block(table: Table, plan: Plan) -> Block:
    question = table.question
    connections = question.connections or plan.connections
    notes = [question.note] if question.note else []
    if question.kind == "closed":
        sender = "wrk" if table.load == "wrk" else "the shipped load"
        notes.append(f"{connections} connections; sent by {sender}.")
        head = ["", "requests/s", "lowest-highest", "ratio", "its range", "p50 ms", "p99 ms", "server µs", "load busy"]
        cells = _closed
    elif question.kind == "events":
        head, cells = ["", "events/s", "lowest-highest", "ratio", "its range", "load busy"], _events
    else:
        notes.append(f"{table.rate or 0:.0f} requests a second on {connections} connections.")
        head, cells = ["", "answered/s", "p50 ms", "p99 ms"], _open
    rows = []
    for row in table.rows:
        if row.failed is None:
            rows.append([row.title, *cells(row)])
        else:
            rows.append([row.title, *["-"] * (len(head) - 1)])
            notes.append(f"{row.title}: {row.failed}.")
    return Block(question.name, table.title, notes, head, rows, table)


def _closed(row: Row) -> list[str]:
    return [*_rate(row), _ms(row.p50), _ms(row.p99), _us(row.cost), _busy(row)]


def _events(row: Row) -> list[str]:
    return [*_rate(row), _busy(row)]


def _open(row: Row) -> list[str]:
    return [f"{row.rate.median:.0f}", _ms(row.p50), _ms(row.p99)]


def _rate(row: Row) -> list[str]:
    ratio = ["-", "-"] if row.ratio is None else [f"{row.ratio.median:.2f}", _range(row.ratio, 2)]
    return [f"{row.rate.median:.0f}", _range(row.rate, 0), *ratio]


def _range(span: Span, digits: int) -> str:
    return f"{span.low:.{digits}f}-{span.high:.{digits}f}"


def _us(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e6 * seconds:.0f}"


def _busy(row: Row) -> str:
    return "-" if row.busy is None else f"{row.busy:.0%}"


def _ms(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{1000 * seconds:.2f}"
