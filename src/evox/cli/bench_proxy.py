"""``evox bench proxy``: what it costs to call another service, within the process and over HTTP, in one run."""

import importlib.metadata
import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anyio
import asyncclick as click

from evox.cli.measuring import as_json, scale

if TYPE_CHECKING:
    from evox.bench.calling import Measured

__all__ = ["command"]


@click.command(name="proxy")
@scale
@as_json
def command(scale: float, as_json: bool) -> Any:
    """Proxy: a call within the process beside the bare coroutine and the same call over HTTP, on trio and asyncio."""
    return lambda: _measured(scale, as_json)


def _measured(scale: float, as_json: bool) -> int:
    from evox.bench.calling import CALLS, FASTER, MORE, ROUNDS, calling

    logging.getLogger("evox").setLevel(logging.ERROR)
    calls, rounds = max(2, int(CALLS * min(scale, 1))), max(3, int(ROUNDS * scale))
    found = {one: anyio.run(lambda: calling(calls=calls, rounds=rounds), backend=one) for one in ("trio", "asyncio")}
    versions = {name: importlib.metadata.version(name) for name in ("evox-framework", "httpx2", "pydantic")}
    if as_json:
        document = {"schema": 1, "scale": scale, "versions": versions, "more": MORE, "faster": FASTER}
        document |= {"calls": {backend: [asdict(one) for one in measured] for backend, measured in found.items()}}
        click.echo(json.dumps(document))
        return 0
    from evox.bench.report import table

    click.echo(", ".join(f"{name} {version}" for name, version in versions.items()))
    for backend, measured in found.items():
        click.echo(f"\none call on {backend}, in us; within the process {MORE:g} more at most, {FASTER:g} times faster")
        click.echo(f"\n{table(_rows(measured))}")
    return 0


def _rows(found: "list[Measured]") -> list[list[str]]:
    rows = [[one.name, f"{one.microseconds:.1f}", f"{one.more:+.1f}", f"{one.slower:.1f}"] for one in found]
    return [["", "us", "more", "x in the process"], *rows]
