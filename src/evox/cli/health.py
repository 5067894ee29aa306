"""``evox health``: how running processes are: in the terminal, as a page, as JSON, and as an exit code.

With ``--test`` it looks at the code here instead; see ``health_test``.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import asyncclick as click

from evox.cli import health_test
from evox.cli.answering import answering
from evox.cli.sources import look_at, makes_sources

__all__ = ["command", "may_open"]

YELLOW = 3  # the exit code of a warning, with --strict


EXAMPLES = """\b
Examples:
  evox health
  evox health --json | jq -r .level
  evox health --url https://shop.example --token-from env:LOOK --strict
  evox health --test all
  evox health --test services shop.py --junit report.xml
"""


@click.command(name="health", epilog=EXAMPLES)
@click.argument("targets", nargs=-1)
@click.option("--test", "group", type=click.Choice(health_test.GROUPS), help="Test the project here instead.")
@click.option("--junit", metavar="FILE", help="With --test, write the results as JUnit XML too.")
@look_at
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@click.option("--output", metavar="FILE", help="Write the page to a file, or with --json the JSON.")
@click.option("--no-open", is_flag=True, help="Open no browser.")
@click.option("--strict", is_flag=True, help="End with 3 where something wants a look.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks.")
def command(
    targets: tuple[str, ...],
    group: str | None,
    junit: str | None,
    urls: tuple[str, ...],
    token_from: str | None,
    cafile: str | None,
    as_json: bool,
    trace: bool,
    **given: Any,
) -> Callable[[], int]:
    """Show how running services are: all of this user here, or those of each --url.

    Ends with 0 if all is green, 1 if something is red or nothing was found, 3 with --strict if something is yellow.
    In a terminal the page is opened in the browser as well.

    With --test nothing has to run: the project here is tested, or the files, folders or modules named. Ends with 0 if
    all holds, 1 if something does not, 78 if the project cannot be loaded.
    """
    health_test.refuse_mixed(group, targets, junit, looks=bool(urls or token_from or cafile or given["strict"]))
    if group is not None:
        test = partial(health_test.test, group, targets, as_json=as_json, output=given["output"], junit=junit)
        return answering(test, as_json=as_json, trace=trace)
    look = partial(_look, makes_sources(urls, token_from, cafile), as_json=as_json, **given)
    return answering(look, as_json=as_json, trace=trace)


def _look(
    make: Callable[[], Any],
    *,
    as_json: bool,
    output: str | None,
    no_open: bool,
    strict: bool,
) -> int:
    import anyio

    from evox.observe.report import Report, gather, listing, page

    async def look() -> Report:
        return await gather(make())

    report = anyio.run(look)
    said = json.dumps(listing(report), indent=2) + "\n" if as_json else ""
    if output is not None:
        from evox.observe.report.keeping import write

        write(Path(output), said or page(report))
        sys.stderr.write(f"written to {output}\n")
    elif as_json:
        sys.stdout.write(said)
    else:
        _show(report, opens=not no_open and may_open(os.environ))
    return {"pass": 0, "warn": YELLOW if strict else 0, "fail": 1}[report.level]


def _show(report: Any, *, opens: bool) -> None:
    from evox.cli.terminal import is_colourful, width, write
    from evox.observe.report import page, table

    write(table(report, width=width(), colour=is_colourful()))
    if opens and sys.stdout.isatty():
        sys.stdout.flush()
        from evox.observe.report.keeping import keep_for_browser

        _open(keep_for_browser(page(report)))


def _open(file: Path) -> None:
    import webbrowser

    if webbrowser.open(file.as_uri()):
        sys.stdout.write(f"\nThe page is open in the browser: {file}\n")
    else:
        sys.stdout.write(f"\nThe page is {file}; no browser could be opened.\n")


def may_open(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Return whether there is a browser with a screen that somebody looks at."""
    if environ.get("CI", "") not in ("", "0", "false"):
        return False
    return platform == "darwin" or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
