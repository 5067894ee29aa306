"""``evox bench observe``: what it costs a request to be seen, and a process to be looked at."""

import importlib.metadata
import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anyio
import asyncclick as click

from evox.cli.measuring import as_json, scale

if TYPE_CHECKING:
    from evox.bench.observing import Look, Seen

__all__ = ["command"]


@click.command(name="observe")
@scale
@as_json
def command(scale: float, as_json: bool) -> Any:
    """Observation: requests with and without somebody who hears of them, and looks at a process, on both loops."""
    return lambda: _measured(scale, as_json)


def _measured(scale: float, as_json: bool) -> int:
    from evox.bench.observing import CALLS, LOOKS, ROUNDS, looking, observing

    logging.getLogger("evox").setLevel(logging.ERROR)
    calls, rounds, looks = max(2, int(CALLS * min(scale, 1))), max(3, int(ROUNDS * scale)), max(3, int(LOOKS * scale))
    backends = ("trio", "asyncio")
    seen = {one: anyio.run(lambda: observing(calls=calls, rounds=rounds), backend=one) for one in backends}
    looked = {one: anyio.run(lambda: looking(looks=looks), backend=one) for one in backends}
    version = importlib.metadata.version("evox-framework")
    if as_json:
        document = {"schema": 1, "scale": scale, "version": version}
        for backend in backends:
            found = [asdict(one) | {"allowed": one.allowed} for one in seen[backend]]
            document[backend] = {"seen": found, "looks": [asdict(one) for one in looked[backend]]}
        click.echo(json.dumps(document))
        return 0
    from evox.bench.report import table

    click.echo(f"evox-framework {version}")
    for backend in backends:
        click.echo(f"\nbeing seen on {backend}, in us\n\n{table(_rows(seen[backend]))}")
        click.echo(f"\nbeing looked at on {backend}\n\n{table(_looks(looked[backend]))}")
    return 0


def _rows(found: "list[Seen]") -> list[list[str]]:
    rows = [[one.name, f"{one.unseen:.1f}", f"{one.more:+.1f}", f"{one.allowed:.1f}"] for one in found]
    return [["", "unseen", "seen", "at most"], *rows]


def _looks(found: "list[Look]") -> list[list[str]]:
    rows = [[one.name, f"{one.milliseconds:.1f}", f"{100 * one.share:.2f}"] for one in found]
    return [["", "ms", "% of a core, once a second"], *rows]
