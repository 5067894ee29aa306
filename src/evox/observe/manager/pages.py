"""Pages: what each page shows, made of what the processes said last. Reads ``Instances`` and ``History``, no more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import anyio

from evox.errors import EvoxError
from evox.observe.asking import CannotSee, Source
from evox.observe.forms import Snapshot
from evox.observe.manager.graph import draw, edges_of
from evox.observe.manager.history import History
from evox.observe.manager.instances import Instance, Instances, Seen
from evox.observe.manager.series import LevelSample, Sample, merged
from evox.observe.rules import Level
from evox.observe.trees import Tree, read_tree

__all__ = ["CHARTS", "Pages"]

LINES: Final = 200  # of the log
_RANK: Final = {"pass": 0, "warn": 1, "fail": 2}


class Chart(NamedTuple):
    """A chart of a page: which series it shows, by name, and how they are called."""

    title: str
    names: str
    labels: str
    unit: str


CHARTS: Final[dict[str, tuple[Chart, ...]]] = {
    "/": (
        Chart("Calls a second", "rate", "calls", "/s"),
        Chart("Errors a second", "errors", "errors", "/s"),
        Chart("How long calls took", "p50 p95", "p50|p95", "s"),
    ),
    "/queues": (
        Chart("Queue wait, mean", "wait.high wait.medium wait.low", "high|medium|low", "s"),
        Chart("Waiting", "queued.high queued.medium queued.low", "high|medium|low", ""),
        Chart("Turned away a second", "rejected.high rejected.medium rejected.low", "high|medium|low", "/s"),
    ),
    "/calls": (
        Chart("Calls a second", "rate", "calls", "/s"),
        Chart("Errors a second", "errors", "errors", "/s"),
        Chart("How long calls took", "p50 p95", "p50|p95", "s"),
    ),
    "/data": (Chart("Reads a second", "hits misses stale", "hits|misses|stale", "/s"),),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A process as a page shows it."""

    source: Source
    snapshot: Snapshot | None
    sample: Sample | None
    state: Seen
    trouble: str
    ago: float | None
    waits: dict[tuple[str, str], LevelSample]
    tree: Tree | None = None
    tree_trouble: str = ""


class Pages:
    """What the pages show.

    Args:
        instances: The processes.
        history: Their past; None without one.
        notice: What has to be said at the top of all pages; empty for nothing.
    """

    def __init__(self, instances: Instances, history: History | None, notice: str = "") -> None:
        self._instances, self._history, self._notice = instances, history, notice
        self._unread = ""

    def __repr__(self) -> str:
        return f"<Pages of {self._instances!r}>"

    @property
    def notices(self) -> list[str]:
        """What has to be said on all pages."""
        unwritten = "" if self._history is None else self._history.trouble
        said = [self._notice, self._unread]
        said += [f"the history cannot be written, so charts have gaps: {unwritten}"] if unwritten else []
        return [one for one in said if one]

    async def facts(self, path: str) -> dict[str, Any]:
        """Return what the template of a page is filled with."""
        rows = self._rows()
        if path == "/tasks":
            rows = await self._with_trees(rows)
        facts: dict[str, Any] = {"instances": rows, "notices": self.notices}
        if path == "/":
            facts |= self._overview(rows)
        elif path == "/graph":
            facts |= _graph(rows)
        elif path == "/errors":
            facts |= _errors(rows)
        return facts

    async def series(self, seconds: float) -> dict[str, Any]:
        """Return the past of all processes together: ``at`` in wall-clock seconds, and ``series`` by name."""
        found = [] if self._history is None else await self._past(self._history, seconds)
        samples = [sample for _, sample in found]
        series: dict[str, list[float]] = {
            name: [getattr(one, name) for one in samples]
            for name in ("rate", "errors", "p50", "p95", "hits", "misses", "stale")
        }
        for level in ("high", "medium", "low"):
            of_level = [next((one for one in sample.levels if one.level == level), None) for sample in samples]
            for name in ("wait", "p95", "queued", "in_use", "admitted", "rejected"):
                series[f"{name}.{level}"] = [0.0 if one is None else getattr(one, name) for one in of_level]
        return {"at": [at for at, _ in found], "series": series}

    async def _past(self, history: History, seconds: float) -> list[tuple[float, Sample]]:
        try:
            found = [(at, merged(samples)) for at, samples in await history.all(seconds)]
        except EvoxError as error:
            self._unread = f"the history cannot be read: {error.what}"
            return []
        self._unread = ""
        return found

    def _rows(self) -> list[Row]:
        """Return what is known, a process that is asked in several ways once, and those that are gone last."""
        now = anyio.current_time()
        found: dict[str, Row] = {}
        for number, one in enumerate(self._instances):
            row = _row(one, now)
            known_by = f"#{number}" if row.snapshot is None else row.snapshot.process.instance
            if known_by not in found or (found[known_by].state != "up" and row.state == "up"):
                found[known_by] = row
        return sorted(found.values(), key=lambda row: row.state == "gone")

    def _overview(self, rows: Sequence[Row]) -> dict[str, Any]:
        found = [
            (row, finding)
            for row in rows
            if row.snapshot is not None and row.state == "up"
            for finding in row.snapshot.findings
        ]
        found.sort(key=lambda pair: -_RANK[pair[1].level])
        levels: list[Level] = [row.snapshot.level for row in rows if row.snapshot is not None and row.state == "up"]
        levels += ["fail" for row in rows if row.state == "unseen"]
        return {"overall": max(levels, key=_RANK.__getitem__, default="warn"), "findings": found}

    async def _with_trees(self, rows: Sequence[Row]) -> list[Row]:
        """Ask the processes for their tasks, all at once: that is done for who looks, and not every second."""
        found: dict[int, Row] = {}

        async def ask(number: int, row: Row) -> None:
            if row.state != "up" or row.snapshot is None or not row.snapshot.services:
                found[number] = replace(row, tree_trouble=row.trouble or "the process is gone")
                return
            try:
                tree = read_tree(await row.source.view(row.snapshot.services[0].name, "tasks"))
                found[number] = replace(row, tree=tree)
            except CannotSee as error:
                found[number] = replace(row, tree_trouble=str(error))

        async with anyio.create_task_group() as group:
            for number, row in enumerate(rows):
                group.start_soon(ask, number, row)
        return [found[number] for number in sorted(found)]


def _row(one: Instance, now: float) -> Row:
    state = one.seen(now)
    sample = None if state == "gone" else one.sample
    waits = {} if sample is None else {(level.queue, level.level): level for level in sample.levels}
    ago = None if one.last is None else now - one.last
    return Row(one.source, one.snapshot, sample, state, one.trouble, ago, waits)


def _graph(rows: Iterable[Row]) -> dict[str, Any]:
    snapshots = [row.snapshot for row in rows if row.snapshot is not None and row.state != "gone"]
    edges = edges_of(snapshots)
    levels = {service.name: service.level for one in snapshots for service in one.services}
    return {"edges": edges, "graph": draw(levels, edges)}


def _errors(rows: Iterable[Row]) -> dict[str, Any]:
    seen = [(row, row.snapshot) for row in rows if row.snapshot is not None]
    incidents = [(row, one) for row, snapshot in seen for one in snapshot.incidents]
    incidents.sort(key=lambda pair: -pair[1].last)
    going_on = [pair for pair in incidents if pair[1].until is None]
    log = [(row, one) for row, snapshot in seen for one in snapshot.recent]
    return {
        "now": [pair for pair in going_on if pair[0].state != "gone"],
        "ended": [pair for pair in going_on if pair[0].state == "gone"],  # with its process, and so not now
        "over": [pair for pair in incidents if pair[1].until is not None],
        "log": sorted(log, key=lambda pair: -pair[1].last)[:LINES],
    }
