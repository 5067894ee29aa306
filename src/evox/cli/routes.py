"""``evox routes``: the endpoints of the project and what was declared of each, without running anything."""

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import asyncclick as click

from evox.cli.answering import answering
from evox.cli.completing import services_option

__all__ = ["command"]

SCHEMA = 1
EXAMPLES = """\b
Examples:
  evox routes                       all endpoints of the project
  evox routes --service users       those of one service
  evox routes --json | jq '.routes[] | select(.requires == null)'
"""


@click.command(name="routes", epilog=EXAMPLES)
@click.argument("targets", nargs=-1)
@services_option("Only of this service; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks.")
def command(targets: tuple[str, ...], services: tuple[str, ...], as_json: bool, trace: bool) -> Callable[[], int]:
    """List endpoints: method, path, priority, cache, who may call, and where it is written."""
    return answering(partial(_list, targets, services, as_json=as_json), as_json=as_json, trace=trace)


def _list(targets: tuple[str, ...], services: tuple[str, ...], *, as_json: bool) -> int:
    from evox.cli.terminal import pen, write
    from evox.observe.mappings import mappings_of
    from evox.orchestrator import RunOptions, configuration, plan

    options = RunOptions(targets=targets)
    with redirect_stdout(sys.stderr):  # what user code prints while it is imported is no result
        found = [one.service for one in plan(options, configuration(options)).found]
    names = sorted(one.name for one in found)
    missing = [name for name in services if name not in names]
    if missing:
        raise click.UsageError(f"there is no service {missing[0]!r}; there are: {', '.join(names)}")
    rows = [
        {"service": one.name, **row, "open": not one.asking}
        for one in found
        if one.name in (services or names)
        for row in mappings_of(one)
    ]
    if as_json:
        write(json.dumps({"schema": SCHEMA, "routes": rows}, indent=2) + "\n")
        return 0
    page = pen(wide=True)
    head = ("service", "method", "path", "name", "priority", "cache", "requires", "place")
    page.table(head, [_cells(row) for row in rows])
    write(page.text)
    return 0


def _cells(row: dict[str, Any]) -> list[str]:
    intent = row.get("intent") or {}
    kept = intent.get("ttl")
    requires = "private" if row.get("private") else row.get("requires") or ("" if row["open"] else "nobody")
    return [
        *(row["service"], row["method"], row["path"], row["name"]),
        *(row.get("priority", ""), f"{kept:g} s" if kept else "", requires, _short(row.get("place") or "")),
    ]


def _short(place: str) -> str:
    from pathlib import Path

    return place.removeprefix(f"{Path.cwd()}/")
