"""``evox bench memory``: what an idle connection keeps, and whether requests leave anything behind."""

import importlib.metadata
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import asyncclick as click

from evox.cli.measuring import as_json

if TYPE_CHECKING:
    from evox.bench.memory import Memory

__all__ = ["command"]


@click.command(name="memory")
@click.option("--connections", type=click.IntRange(1), default=10_000, show_default=True, help="Idle ones to hold.")
@click.option("--requests", type=click.IntRange(1), default=1_000_000, show_default=True, help="How many to send.")
@as_json
def command(connections: int, requests: int, as_json: bool) -> Any:
    """Memory: of an idle connection, and after a million requests, on both loops. Needs /proc."""
    return lambda: _measured(connections, requests, as_json)


def _measured(connections: int, requests: int, as_json: bool) -> int:
    from evox.bench.memory import measure
    from evox.cli.progress import Progress

    found = []
    with Progress() as progress:
        for backend in ("trio", "asyncio"):
            progress.on(f"{connections} connections and {requests} requests on {backend}")
            try:
                found.append(measure(backend, connections=connections, requests=requests))
            except (OSError, RuntimeError) as error:
                click.echo(f"evox bench memory: {error}", err=True)
                return 1
    version = importlib.metadata.version("evox-framework")
    if as_json:
        click.echo(json.dumps({"schema": 1, "version": version, "memory": [asdict(one) for one in found]}))
        return 0
    from evox.bench.report import table

    click.echo(f"evox-framework {version}\n\n{table(_rows(found))}")
    return 0


def _rows(found: "list[Memory]") -> list[list[str]]:
    head = ["", "idle connections", "KiB each", "requests", "grown by MiB", "descriptors more"]
    return [
        head,
        *(
            [
                one.backend,
                str(one.connections),
                f"{one.each / 1024:.1f}",
                str(one.requests),
                f"{one.growth / 2**20:.1f}",
                str(one.descriptors),
            ]
            for one in found
        ),
    ]
