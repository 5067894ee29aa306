"""``evox cache invalidate``: take copies away in all processes of the project that run."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncclick as click

from evox.cli.answering import answering
from evox.cli.completing import services_option

__all__ = ["command"]

SCHEMA = 1
SPELT = {"key": "KEY", "prefix": "--prefix", "tag": "--tag", "of": "--type", "services": "--service"}
EXAMPLES = """\b
Examples:
  evox cache invalidate user:42            values under this key, of any type
  evox cache invalidate /items/42          answers of this path, whatever their query
  evox cache invalidate --prefix user:     all keys that begin so
  evox cache invalidate --tag people       what was written under this tag
  evox cache invalidate --all --dry-run    how many copies there are
"""


@click.command(name="invalidate", epilog=EXAMPLES)
@click.argument("key", required=False)
@click.option("--prefix", metavar="TEXT", help="All whose keys, or paths, begin with this.")
@click.option("--tag", metavar="TAG", help="All that were written under this tag.")
@click.option("--all", "everything", is_flag=True, help="All copies.")
@click.option("--type", "of", metavar="NAME", help="Only of this type or named intent.")
@services_option("Only in this service; may be repeated.")
@click.option("--project", default=".", type=click.Path(exists=True), help="Whose processes.  [default: this folder's]")
@click.option("--token-from", metavar="SOURCE", help="Where the operator token is, if control.token names one.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks.")
def command(as_json: bool, trace: bool, **given: Any) -> Callable[[], int]:
    """Take copies away in all processes of this project, so that the next read asks their source.

    KEY is that of a value, of whatever type, or a path that begins with / and stands for its answers. Records are
    never taken away by this.
    """
    named = [name for name in ("key", "prefix", "tag") if given[name] is not None] + ["all"] * given["everything"]
    if len(named) != 1:
        raise click.UsageError("name one of: a key, --prefix, --tag, --all")
    if given["of"] is not None and named[0] not in ("key", "prefix"):
        raise click.UsageError("--type goes with a key or --prefix")

    return answering(partial(_invalidate, as_json=as_json, **given), as_json=as_json, trace=trace)


def _invalidate(
    *,
    services: tuple[str, ...],
    project: str,
    token_from: str | None,
    dry_run: bool,
    as_json: bool,
    **selection: Any,
) -> int:
    from pydantic import ValidationError

    from evox.config import find_root
    from evox.orchestrator.control import Invalidation
    from evox.orchestrator.operating import controlled, invalidate

    said = {name: value for name, value in selection.items() if value is not None}
    try:
        asked = Invalidation.model_validate({"selection": said, "services": services, "dry_run": dry_run})
    except ValidationError as error:
        raise click.UsageError(_mistake(error.errors()[0])) from None
    found = controlled(find_root(Path(project)))
    known = sorted({name for note in found for name in note.services})
    missing = [name for name in services if name not in known]
    if missing:
        raise click.UsageError(f"no service {missing[0]!r} runs here; there are: {', '.join(known)}")
    done = invalidate(found, asked.model_dump(mode="json"), token_from)
    _check_type(asked.selection.of, done)
    _show(done, dry_run=dry_run, as_json=as_json)
    return int(any(one.error for one in done))


def _mistake(found: Any) -> str:
    """Say what pydantic has found, and of which option it is."""
    option = next((SPELT[one] for one in found["loc"] if one in SPELT), "")
    said = str(found["msg"]).removeprefix("Value error, ")
    return f"{option}: {said}" if option else said


def _check_type(of: str | None, done: Any) -> None:
    """Say so if no service knows the type: a word that is misspelt is not to look like an empty cache."""
    if of is not None and all(one.types is not None for one in done):
        known = sorted({name for one in done for name in one.types})
        raise click.UsageError(f"no service knows a type {of!r}; there are: {', '.join(known) or 'none'}")


def _show(done: Any, *, dry_run: bool, as_json: bool) -> None:
    from evox.cli.terminal import pen, write
    from evox.orchestrator.operating import together

    total = together(done)
    if as_json:
        rows = [
            {"pid": one.pid, "service": one.service, "count": one.count, "error": one.error or None} for one in done
        ]
        write(json.dumps({"schema": SCHEMA, "dry_run": dry_run, "count": total, "services": rows}, indent=2) + "\n")
        return
    page = pen()
    cells = [[one.service or "-", str(one.pid), str(one.count), one.error or "ok"] for one in done]
    page.table(["service", "pid", "copies", "result"], cells, ["fail" if one.error else "pass" for one in done])
    page.line()
    copies = "copy" if total == 1 else "copies"
    page.line(f"{total} {copies} would be taken away" if dry_run else f"{total} {copies} taken away")
    write(page.text)
