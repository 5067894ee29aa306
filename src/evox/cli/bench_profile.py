"""``evox bench profile``: what a request takes, step by step."""

import importlib.metadata
import json
import logging
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import asyncclick as click

from evox.cli.measuring import as_json, scale

if TYPE_CHECKING:
    from evox.bench.profiling import Profile

__all__ = ["command"]


@click.command(name="profile")
@scale
@as_json
def command(scale: float, as_json: bool) -> Any:
    """One request, step by step: microseconds from its bytes to those of its answer, on both loops."""
    return lambda: _measured(scale, as_json)


def _measured(scale: float, as_json: bool) -> int:
    from evox.bench.profiling import COUNTED, REQUESTS, ROUNDS, profiling

    logging.getLogger("evox").setLevel(logging.ERROR)
    rounds, counted = max(3, int(ROUNDS * scale)), max(100, int(COUNTED * scale))
    found = {
        backend: [
            anyio.run(partial(profiling, name, rounds=rounds, counted=counted), backend=backend) for name in REQUESTS
        ]
        for backend in ("trio", "asyncio")
    }
    version = importlib.metadata.version("evox-framework")
    if as_json:
        document = {"schema": 1, "scale": scale, "version": version}
        document |= {backend: [asdict(one) for one in profiles] for backend, profiles in found.items()}
        click.echo(json.dumps(document))
        return 0
    from evox.bench.report import table

    click.echo(f"evox-framework {version}; microseconds of a request, without sockets")
    for backend, profiles in found.items():
        click.echo(f"\non {backend}\n\n{table(_rows(profiles))}")
    return 0


def _rows(profiles: "list[Profile]") -> list[list[str]]:
    rows = [[step, *(f"{one.steps[step]:.1f}" for one in profiles)] for step in profiles[0].steps]
    total = ["in all", *(f"{one.microseconds:.1f}" for one in profiles)]
    return [["", *(one.name for one in profiles)], *rows, total]
