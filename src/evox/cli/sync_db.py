"""``evox sync db``: show what is pending in the project's databases, and apply it."""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncclick as click

from evox.cli.completing import service_names

if TYPE_CHECKING:
    from evox.cli.sync_report import Report
    from evox.config import Loaded
    from evox.data.migrations import Site

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  evox sync db                  show the plan, then apply it
  evox sync db --plan           show it only
  evox sync db --check          for CI: exit 1 if anything is pending
  evox sync db --to 0007        up to this file
"""


@click.command(name="db", epilog=EXAMPLES)
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if there is anything to do.")
@click.option("--to", metavar="NUMBER", help="The last file to apply; with alembic a revision.")
@click.option("--service", metavar="NAME", shell_complete=service_names, help="Only the database of this service.")
@click.option("--wait", default="30s", metavar="DURATION", help="How long to wait for another run.  [default: 30s]")
@click.option("--done", metavar="NUMBER", help="This file, whose end is unknown, was done.")
@click.option("--undone", metavar="NUMBER", help="This file, whose end is unknown, was not done.")
@click.option("--no-deps", is_flag=True, help="Leave dependencies as they are.")
@click.option("--project", default=".", type=click.Path(exists=True), help="Whose.  [default: this folder's]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks.")
def command(only_plan: bool, check: bool, as_json: bool, trace: bool, **given: Any) -> Callable[[], int]:
    """Apply the files of migrations/ to the databases that `inject.db()` gives: show what is pending, then do it.

    Each file is one transaction; a file that was applied is never applied again, and must stay as it was. Before
    that, dependencies are brought up to date with uv or Rye if the project is locked with one. With an alembic.ini,
    alembic is run instead.
    """
    if only_plan and check:
        raise click.UsageError("--plan shows, --check tells by its exit code: name one")
    if given["done"] and given["undone"]:
        raise click.UsageError("a file was done or it was not: name one of --done and --undone")
    if (given["done"] or given["undone"]) and (only_plan or check):
        raise click.UsageError("--done and --undone change something: leave out --plan and --check")
    changes = not (only_plan or check)
    return partial(_answer, check=check, changes=changes, as_json=as_json, trace=trace, **given)


def _answer(*, check: bool, as_json: bool, trace: bool, **given: Any) -> int:
    """Do it, and tell how it ended: with JSON in one object, whatever happens."""
    from evox.cli.sync_report import Report
    from evox.errors import EvoxError
    from evox.failures import describe

    report = Report(None if as_json else sys.stdout)
    try:
        _sync(report, **given)
        code = int(check and report.pending)
    except EvoxError as error:
        report.error(error)
        sys.stderr.write(describe(error, trace=trace) + "\n")
        code = error.exit_code
    if as_json:
        sys.stdout.write(json.dumps(report.document(), indent=2) + "\n")
    if report.unwritten is not None and not code:
        raise report.unwritten  # now that all is done
    return code


def _sync(
    report: "Report",
    *,
    project: str,
    no_deps: bool,
    changes: bool,
    to: str | None,
    service: str | None,
    wait: str,
    done: str | None,
    undone: str | None,
) -> None:
    from evox.config import find_root, load
    from evox.data.migrations import sites_of

    root = find_root(Path(project))
    loaded = load(root)
    limit = _seconds(wait)
    marked = _number("--undone", undone) if done is None else _number("--done", done)
    sites = sites_of(loaded.settings.data, root, partial(_services, loaded))
    by_alembic = _by_alembic(root, sites)
    if by_alembic and (marked is not None or service):
        raise click.UsageError("--done, --undone and --service are for files of SQL, and alembic.ini is there")
    chosen = [] if by_alembic else _chosen(sites, service, only_one=to is not None or marked is not None)
    number = None if by_alembic else _number("--to", to)
    if not no_deps:
        _dependencies(report, root, changes=changes)
    if by_alembic:
        _alembic(report, root, to or "head", changes=changes)
        return
    if not chosen:
        report.note(f"there are no migrations: write {loaded.settings.data.migrations}/0001_name.sql")
        return

    from evox.cli.sync_applying import apply_all
    from evox.runtime.loop import asyncio_only_imports, choose, run

    work = partial(
        apply_all, chosen, report, changes=changes, to=number, wait=limit, marked=marked, was_done=done is not None
    )
    imported = [f"{one} is imported" for one in asyncio_only_imports()]
    run(choose(loaded.settings.backend, asyncio_because=imported), work)


def _services(loaded: "Loaded") -> set[str]:
    """Import the project's services, and return their names. What they print is not ours to answer with."""
    from contextlib import redirect_stdout

    from evox.errors import NoService
    from evox.orchestrator.discovery import discover

    with redirect_stdout(sys.stderr):
        try:
            return {one.service.name for one in discover((), loaded.root, configured=loaded.settings.services)}
        except NoService:
            return set()


def _by_alembic(root: Path, sites: "list[Site]") -> bool:
    from evox.errors import MigrationRefused, Place

    if not (root / "alembic.ini").is_file():
        return False
    files = [site for site in sites if site.files]
    if files:
        raise MigrationRefused(
            "both alembic.ini and files of SQL are there",
            f"{files[0].folder} has {files[0].files[0].name}, and a database is migrated in one way",
            fix="keep one of the two",
            place=Place(str(root / "alembic.ini")),
        )
    return True


def _chosen(sites: "list[Site]", service: str | None, *, only_one: bool) -> "list[Site]":
    found = [site for site in sites if service is None or Path(site.folder).name == service]
    if service is not None and not found:
        raise click.UsageError(f"there are no migrations of a service {service!r} in a folder of its own")
    if only_one and len(found) > 1:
        names = ", ".join(Path(site.folder).name for site in found)
        raise click.UsageError(f"numbers count in each folder by itself: name one with --service; there are {names}")
    return found


def _dependencies(report: "Report", root: Path, *, changes: bool) -> None:
    from evox.cli.dependencies import look_at_dependencies, sync_dependencies

    found = look_at_dependencies(root)
    report.dependencies(found, syncs=changes)
    if found.state == "stale" and changes:
        report.synced(sync_dependencies(root, found))


def _alembic(report: "Report", root: Path, to: str, *, changes: bool) -> None:
    from evox.cli.sync_alembic import alembic_command, look_at_alembic, upgrade

    line = alembic_command(root)
    revisions = look_at_alembic(root, line)
    report.revisions(revisions)
    if changes and revisions.pending:
        upgrade(root, line, to, report.alembic_line)
        report.upgraded(to)


def _number(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal():
        raise click.UsageError(f"{option} is the number of a file: 0003, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    from evox.durations import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise click.UsageError(f"--wait: {error}") from None
