"""``evox bench http``: how fast Evox answers over HTTP, beside other frameworks and servers, in one run."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncclick as click

from evox.cli.answering import answering
from evox.cli.measuring import as_json as json_option

if TYPE_CHECKING:
    from evox.bench.http import Result

__all__ = ["NAMES", "QUESTIONS", "command"]

# As in evox.bench.http, which help must not import; a test holds them equal.
QUESTIONS = (
    *("json", "path-parameter", "body", "invalid-body", "cached", "authorised", "upload", "download", "events"),
    *("half-load", "high-load", "calls"),
)
NAMES = (
    *("evox", "evox-trio", "evox-asyncio", "evox-uvloop", "fastapi", "fastapi-uvicorn", "fastapi-hypercorn-trio"),
    *("starlette", "starlette-uvicorn", "asgi", "asgi-uvicorn", "litestar", "litestar-uvicorn"),
    *("blacksheep", "blacksheep-uvicorn", "sanic"),
)


class _Seconds(click.FloatRange):
    """Seconds; comparisons let nan through, and infinity is no measurement."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(f"{value!r} is not a number of seconds", param, ctx)


EXAMPLES = """\b
Examples:
  evox bench http
  evox bench http --only path-parameter --only body --against fastapi
  evox bench http --rounds 5 --seconds 3 --page docs/benchmarks.md
"""


@click.command(name="http", epilog=EXAMPLES)
@click.option(
    "--only", multiple=True, metavar="QUESTION", type=click.Choice(QUESTIONS), help="Ask this alone; repeatable."
)
@click.option(
    "--against", multiple=True, metavar="NAME", type=click.Choice(NAMES), help="Measure this peer alone; repeatable."
)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Turns that each one has.")
@click.option("--seconds", type=_Seconds(0.05), default=1.0, show_default=True, help="Length of a turn.")
@click.option("--connections", type=click.IntRange(1, 1000), default=32, show_default=True, help="Open at a time.")
@click.option("--load", type=click.Choice(["shipped", "wrk"]), help="Who sends.  [default: wrk, if installed]")
@json_option
@click.option("--page", metavar="FILE", help="Write the tables into this Markdown page, and images beside it.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks.")
def command(as_json: bool, trace: bool, **given: Any) -> Callable[[], int]:
    """HTTP: requests a second and latency beside FastAPI, Starlette, Litestar, BlackSheep and Sanic.

    Peers that are not installed are left out. All servers are started first and measured in turns, on one core, with
    the load on another. Ratios are to FastAPI on uvicorn. Ends with 1 if one does not start or answers wrongly.

    Questions: json, path-parameter, body, invalid-body, cached, authorised, upload, download, events, half-load,
    high-load, calls.

    Peers: fastapi-uvicorn, fastapi-hypercorn-trio, starlette-uvicorn, asgi-uvicorn, litestar-uvicorn,
    blacksheep-uvicorn, sanic; Evox is always measured: evox-trio, evox-asyncio, evox-uvloop. What stands before the
    first dash stands for all of it.
    """
    if given["load"] == "wrk":
        from evox.bench.http import available

        if available() is None:
            raise click.UsageError("--load wrk: there is no wrk on the PATH; leave the option out")
        if given["seconds"] < 1:
            raise click.UsageError("--load wrk: it measures whole seconds, so --seconds is at least 1")
    return answering(lambda: _measured(as_json=as_json, **given), as_json=as_json, trace=trace)


def _measured(*, as_json: bool, page: str | None, **given: Any) -> int:
    from evox.bench.http import run, write
    from evox.cli.progress import Progress

    with Progress() as progress:
        result = run(**given, progress=progress.on)
    if as_json:
        click.echo(json.dumps(result.facts()))
    else:
        _show(result)
    if page is not None:
        for file in write(result, Path(page)):
            click.echo(f"written to {file}", err=True)
    return int(result.failed)


def _show(result: "Result") -> None:
    from evox.bench.http import blocks, conditions
    from evox.bench.report import table

    for line in conditions(result):
        click.echo(line)
    for block in blocks(result):
        click.echo(f"\n{block.title} ({block.name})")
        for note in block.notes:
            click.echo(note)
        click.echo(f"\n{table([block.head, *block.rows])}")
