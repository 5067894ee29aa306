"""``evox bench data``: caching and storage beside other libraries, in one run."""

import importlib.util
import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anyio
import asyncclick as click

from evox.cli.measuring import as_json, scale

if TYPE_CHECKING:
    from evox.bench.caching import Crowd, Expiry, Hits, Reads
    from evox.bench.storing import Behind, Writes

    Found = tuple[list[Reads], list[Hits], list[Crowd], list[Expiry], list[Writes], list[Behind]]

__all__ = ["command"]


@click.command(name="data")
@scale
@as_json
def command(scale: float, as_json: bool) -> Any:
    """Cache and storage: costs, hit ratios, crowds, expiry and writes, beside other libraries.

    Peers that are not installed are left out: cashews, aiocache, async-lru, cachetools. Each question has a control
    called naive, which does the obvious thing and has to fail; where it does not, the run proves nothing, and the
    command ends with 1. Runs on asyncio, which the peers need.
    """
    return lambda: _measured(scale, as_json)


def _measured(scale: float, as_json: bool) -> int:
    from evox.bench.peers import NAMES, versions

    logging.getLogger("evox").setLevel(logging.ERROR)
    reads, hits, crowds, expiry, writes, behind = found = anyio.run(_measure, scale, backend="asyncio")
    unproven = _unproven(crowds, expiry if scale >= 1 else [], behind)
    if as_json:
        names = ("reads", "hits", "crowds", "expiry", "writes", "behind")
        rows: list[list[Any]] = [*found]
        table = {name: [asdict(one) for one in part] for name, part in zip(names, rows, strict=True)}
        click.echo(json.dumps({"schema": 1, "scale": scale, "versions": versions(), "unproven": unproven, **table}))
        return bool(unproven)
    click.echo(", ".join(f"{name} {version}" for name, version in versions().items()))
    missing = [name for name, module in NAMES.items() if importlib.util.find_spec(module) is None]
    if missing:
        click.echo(f"not installed, so left out: {', '.join(missing)}")
    _show("a read, in us; the ratio is to cashews' hit", ["", "hit", "ratio", "miss, filled"], [
        [one.name, f"{one.hit:.2f}", "-" if one.ratio is None else f"{one.ratio:.2f}", f"{one.miss:.1f}"]
        for one in reads
    ])  # fmt: skip
    _show("hits in %, with room for a tenth of the keys", ["", "zipf", "zipf and scans"], [
        [one.name, f"{100 * one.zipf:.1f}", f"{100 * one.zipf_and_scan:.1f}"] for one in hits
    ])  # fmt: skip
    _show("500 want the same at once; of 20 the first one leaves", ["", "calls", "calls then", "served of 19"], [
        [one.name, str(one.calls), str(one.calls_after_leaving), str(one.served)] for one in crowds
    ])  # fmt: skip
    _show("how long the loop stands still when so much has expired, in ms", ["", "ms"], [
        [one.name, f"{one.longest:.1f}"] for one in expiry
    ])  # fmt: skip
    tasks = list(writes[0].rates)
    _show("SQLite, writes a second that survive a loss of power; ratios to aiosqlite, a transaction each",
          ["tasks", *map(str, tasks), *(f"ratio at {one}" for one in tasks)], [
        [one.name, *(f"{one.rates[n]:.0f}" for n in tasks), *(f"{one.ratios[n]:.2f}" for n in tasks)]
        for one in writes
    ])  # fmt: skip
    _show("how far a copy in another process is behind, in ms", ["", "median", "longest"], [
        [one.name, f"{one.median:.0f}", f"{one.longest:.0f}"] for one in behind
    ])  # fmt: skip
    for question in unproven:
        click.echo(f"\nthe control did not fail at {question}: this run proves nothing of that", err=True)
    return bool(unproven)


def _unproven(crowds: "list[Crowd]", expiry: "list[Expiry]", behind: "list[Behind]") -> list[str]:
    """Return the questions at which the control did no worse than Evox."""
    figures = {
        "crowds": {one.name: float(one.calls) for one in crowds},
        "expiry": {one.name: one.longest for one in expiry},
        "staleness": {one.name: one.longest for one in behind},
    }
    return [name for name, found in figures.items() if found and found["naive"] <= found["evox"]]


async def _measure(scale: float) -> "Found":
    from evox.bench import caching, storing

    entries = max(3000, int(300_000 * scale))
    return (
        await caching.reads(calls=max(50, int(2000 * scale))),
        await caching.hit_ratios(requests=max(20_000, int(50_000 * scale))),
        await caching.crowds(),
        [*caching.expiry(entries=entries), *await caching.expiry_of_cashews(entries=entries)],
        await storing.writes(count=max(100, int(3000 * scale))),
        await storing.behind(count=max(3, int(30 * scale))),
    )


def _show(title: str, head: list[str], rows: list[list[str]]) -> None:
    from evox.bench.report import table

    click.echo(f"\n{title}\n\n{table([head, *rows])}")
