"""``evox bench``: measurements that you can repeat."""

import gc
import json
import logging
import math
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio
import asyncclick as click

from evox.cli import bench_auth, bench_data, bench_http, bench_memory, bench_observe, bench_profile, bench_proxy

if TYPE_CHECKING:
    from evox.bench import Measured, Policy, Tally
    from evox.scheduling import Priority

__all__ = ["command"]


class _Number(click.FloatRange):
    """A number that is one: comparisons let nan through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(f"{value!r} is not a number to count with", param, ctx)


@click.group(name="bench")
def command() -> None:
    """Measure what Evox promises."""


command.add_command(bench_data.command)
command.add_command(bench_auth.command)
command.add_command(bench_proxy.command)
command.add_command(bench_observe.command)
command.add_command(bench_profile.command)
command.add_command(bench_memory.command)
command.add_command(bench_http.command)


@command.command()
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same requests.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Runs, from --seed on.")
@click.option("--seconds", type=_Number(1), default=60.0, show_default=True, help="Length of a run.")
@click.option("--load", "loads", type=_Number(0.1), multiple=True, help="Load; repeatable.  [default: 1 2 4]")
@click.option("--sockets", is_flag=True, help="Over real connections, instead of a simulation.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def priority(seed: int, seeds: int, seconds: float, loads: tuple[float, ...], sockets: bool, as_json: bool) -> Any:
    """Priority under overload: success and latency of each level, and what an admission costs.

    The simulation drives the scheduler itself in virtual time, so it gives the same table everywhere. --sockets starts
    a server and measures for --seconds in real time, with one queue for all and with levels, at twice what its seats
    can do.
    """
    if sockets:
        return lambda: _over_sockets(seed, seconds, loads or (2.0,), as_json)
    return lambda: _simulated(seed, seeds, seconds, loads or (1.0, 2.0, 4.0), as_json)


def _simulated(seed: int, seeds: int, seconds: float, loads: tuple[float, ...], as_json: bool) -> int:
    from evox.bench import POLICIES, measure
    from evox.bench.report import cost_rows, table, tally_cells, tally_head

    runs = [(policy, load) for policy in POLICIES for load in loads]
    jobs = [(policy, load, seconds, one) for policy, load in runs for one in range(seed, seed + seeds)]
    results = dict(zip(jobs, _progress(_in_processes(jobs), len(jobs)), strict=True))
    tallies = {
        (policy.name, load): _merged([results[policy, load, seconds, one] for one in range(seed, seed + seeds)])
        for policy, load in runs
    }
    costs = {backend: anyio.run(measure, backend=backend) for backend in ("trio", "asyncio")}
    if as_json:
        document = {
            "schema": 1,
            "seed": seed,
            "seeds": seeds,
            "seconds": seconds,
            "table": [_facts(name, load, found) for (name, load), found in tallies.items()],
            "cost": {
                backend: [{"name": c.name, "us": c.microseconds, "ratio": c.ratio} for c in found]
                for backend, found in costs.items()
            },
        }
        click.echo(json.dumps(document))
        return 0
    click.echo(f"10 seats of 10 ms, HIGH/MEDIUM/LOW 20/30/50 %, deadline 500 ms; {seeds} x {seconds:g} s, seed {seed}")
    click.echo("times in ms, of requests that were answered in time\n")
    rows = [["policy", "load", *tally_head()]]
    rows += [[name, f"{load:g}x", *tally_cells(found)] for (name, load), found in tallies.items()]
    click.echo(table(rows))
    for backend, found in costs.items():
        click.echo(f"\nwhat an admission costs on {backend}, in this process now\n\n{table(cost_rows(found))}")
    return 0


def _over_sockets(seed: int, seconds: float, loads: tuple[float, ...], as_json: bool) -> int:
    from evox.bench.report import table, tally_cells, tally_head

    gc.freeze()  # a collection in this process would count as the server's time
    ceiling, measured = anyio.run(_measure_sockets, seed, seconds, loads, backend="trio")
    if as_json:
        facts = [_facts(one.name, one.load, one.tallies) | {"offered": one.offered} for one in measured]
        click.echo(json.dumps({"schema": 1, "seed": seed, "seconds": seconds, "ceiling": ceiling, "table": facts}))
        return 0
    click.echo(f"the server answers {ceiling:.0f} requests/s here when its handlers do not wait\n")
    rows = [["admission", "load", "requests/s", "handler ms", *tally_head()]]
    rows += [
        [one.name, f"{one.load:g}x", f"{one.offered:.0f}", f"{1000 * one.service:.0f}", *tally_cells(one.tallies)]
        for one in measured
    ]
    click.echo(table(rows))
    return 0


async def _measure_sockets(seed: int, seconds: float, loads: tuple[float, ...]) -> "tuple[float, list[Measured]]":
    from evox.bench import measure_ceiling, measure_sockets

    ceiling = await measure_ceiling(seconds=min(seconds, 3.0))
    measured = []
    for load in loads:
        measured += await measure_sockets(load=load, seconds=seconds, seed=seed, ceiling=ceiling)
    return ceiling, measured


_Job = tuple["Policy", float, float, int]


def _in_processes(jobs: "list[_Job]") -> "Iterator[dict[Priority, Tally]]":
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(_run, jobs)


def _run(job: "_Job") -> "dict[Priority, Tally]":
    from evox.bench import Scenario, simulate

    logging.getLogger("evox.admission").setLevel(logging.ERROR)  # an overload is what this is for
    policy, load, seconds, seed = job

    async def in_loop() -> "dict[Priority, Tally]":
        return simulate(policy, Scenario(load, length=seconds), seed)

    return anyio.run(in_loop)


def _progress(results: "Iterator[dict[Priority, Tally]]", total: int) -> "Iterator[dict[Priority, Tally]]":
    """Show how far it is, on terminals only."""
    from evox.cli.progress import Progress

    with Progress() as progress:
        for done, one in enumerate(results, 1):
            progress.on(f"{done} of {total} simulations")
            yield one


def _merged(runs: "list[dict[Priority, Tally]]") -> "dict[Priority, Tally]":
    from evox.bench import Tally

    return {
        level: Tally(sum(one[level].offered for one in runs), [took for one in runs for took in one[level].took])
        for level in runs[0]
    }


def _facts(name: str, load: float, tallies: "dict[Priority, Tally]") -> dict[str, Any]:
    levels = {
        level.label: {"success": one.success, "p50": one.percentile(0.5), "p99": one.percentile(0.99)}
        for level, one in tallies.items()
    }
    return {"policy": name, "load": load, "levels": levels}
