"""``evox status``: what runs here, one line for each service."""

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import asyncclick as click

from evox.cli.answering import answering
from evox.cli.sources import look_at, makes_sources

__all__ = ["command"]

SCHEMA = 1
EXAMPLES = """\b
Examples:
  evox status                    all processes of this user
  evox status --watch            again every second, until Ctrl-C
  evox status --json | jq -r '.services[] | select(.ready | not) | .name'
"""
COLUMNS = ("service", "state", "url", "#pid", "loop", "#up", "#calls", "#errors", "#p95", "#open", "#waiting")
LESS_TELLING = ("#waiting", "#open", "loop", "#p95", "#errors", "#calls", "#up", "#pid")
CLEAR = "\x1b[H\x1b[2J"


@click.command(name="status", epilog=EXAMPLES)
@look_at
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "--every", type=click.FloatRange(0.2, 3600), default=1.0, metavar="SECONDS", help="How often, with --watch."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with --watch one a line.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks.")
def command(
    urls: tuple[str, ...],
    token_from: str | None,
    cafile: str | None,
    watch: bool,
    every: float,
    as_json: bool,
    trace: bool,
) -> Callable[[], int]:
    """Show what runs: each service with its state, where it is, and how its calls go.

    Ends with 0 if all are ready, and with 1 if one is not, cannot be seen, or nothing runs.
    """
    make = makes_sources(urls, token_from, cafile)
    work = partial(_watch, make, every, as_json=as_json) if watch else partial(_once, make, as_json=as_json)
    return answering(work, as_json=as_json, trace=trace)


def _once(make: Callable[[], Any], *, as_json: bool) -> int:
    import anyio

    from evox.cli.terminal import write
    from evox.observe.report import gather

    async def look() -> Any:
        return await gather(make())

    report = anyio.run(look)
    write(json.dumps(_listing(report), indent=2) + "\n" if as_json else _table(report))
    return int(not _all_ready(report))


def _watch(make: Callable[[], Any], every: float, *, as_json: bool) -> int:
    import anyio

    from evox.cli.terminal import write
    from evox.errors import NothingToSee
    from evox.observe.report import gather
    from evox.observe.report.gathering import Report

    async def look() -> None:
        while True:
            try:
                report = await gather(make())
            except NothingToSee:  # what was there has ended, or is not there yet
                import time

                report = Report(time.time(), ())
            text = json.dumps(_listing(report)) + "\n" if as_json else _table(report)
            write((CLEAR if sys.stdout.isatty() and not as_json else "") + text)
            sys.stdout.flush()
            await anyio.sleep(every)

    anyio.run(look)
    return 0


def _all_ready(report: Any) -> bool:
    seen = [service for _, snapshot in report.snapshots for service in snapshot.services]
    return bool(seen) and len(report.snapshots) == len(report.processes) and all(one.ready for one in seen)


def _listing(report: Any) -> dict[str, Any]:
    from evox.observe.report.services import rows

    waiting = _waiting(report)
    loops = {snapshot.process.pid: snapshot.process.loop for _, snapshot in report.snapshots}
    services = [
        {
            "name": row.service.name,
            "state": row.service.state,
            "ready": row.service.ready,
            "level": row.service.level,
            "reason": row.service.reason or None,
            "pid": row.pid,
            "url": row.service.url,
            "loop": loops[row.pid],
            "since": row.service.since,
            "starts": row.service.starts,
            "calls": row.calls,
            "errors": row.errors,
            "p95": row.p95,
            "open": row.open,
            "waiting": waiting.get((row.pid, row.service.name), waiting.get((row.pid, ""), 0)),
        }
        for row in rows(report)
    ]
    unseen = [{"name": one.name, "error": one.error} for one in report.processes if one.snapshot is None]
    return {"schema": SCHEMA, "time": report.time, "ok": _all_ready(report), "services": services, "unseen": unseen}


def _waiting(report: Any) -> dict[tuple[int, str], int]:
    """Return how many requests wait for a seat: of a service with seats of its own, and of all others (``""``)."""
    found: dict[tuple[int, str], int] = {}
    for _, snapshot in report.snapshots:
        for queue in snapshot.queues:
            name = queue.name.removeprefix("service ").strip("'") if queue.name.startswith("service ") else ""
            found[snapshot.process.pid, name] = sum(level.queued for level in queue.levels)
    return found


def _table(report: Any) -> str:
    from evox.cli.terminal import pen
    from evox.observe.report.wording import moment

    said = _listing(report)
    page = pen(wide=True)
    if not said["services"] and not said["unseen"]:
        page.line("nothing runs")
        return str(page.text)
    columns = [name for name in COLUMNS if name not in _left_out(said["services"], report.time)]
    cells = [[_cell(name, one, report.time) for name in columns] for one in said["services"]]
    page.table(columns, cells, [one["level"] for one in said["services"]])
    for one in said["services"]:
        if one["reason"] and not one["ready"]:
            page.item(one["state"], one["level"], f"{one['name']}: {one['reason']}", [])
    for one in said["unseen"]:
        page.item("unseen", "fail", f"{one['name']}: {one['error']}", [])
    page.line()
    page.line(moment(report.time), "quiet")
    return str(page.text)


def _left_out(services: list[dict[str, Any]], now: float) -> set[str]:
    """Return the columns that a narrow terminal has no room for, the least telling first."""
    from evox.cli.terminal import width

    if not sys.stdout.isatty():
        return set()
    left: set[str] = set()
    for name in LESS_TELLING:
        rows = [[_cell(one, row, now) for one in COLUMNS if one not in left] for row in services]
        rows.append([one for one in COLUMNS if one not in left])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        if sum(widths) + 2 * len(widths) <= width():
            break
        left.add(name)
    return left


def _cell(column: str, one: dict[str, Any], now: float) -> str:
    from evox.observe.report.wording import count, span

    name = column.removeprefix("#")
    if name == "up":
        return span(max(0.0, now - one["since"]))
    if name == "p95":
        return span(one["p95"]) if one["calls"] else "-"
    found = one["name" if name == "service" else name]
    if name in ("calls", "errors", "open", "waiting"):
        return count(found)
    return "-" if found is None else str(found)
