"""``evox new``: start a project, or a service in one."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncclick as click

__all__ = ["command"]

F = TypeVar("F", bound=Callable[..., Any])


def _options(command: F) -> F:
    """Add what both commands take; the last option first, as decorators are applied."""
    for option in (
        click.option("--trace", is_flag=True, help="Show whole tracebacks."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text."),
        click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing."),
    ):
        command = option(command)
    return command


def _syntax(text: str) -> Callable[[F], F]:
    choice = click.Choice(["function", "class", "both"])
    return click.option("--syntax", type=choice, default="function", help=f"{text}  [default: function]")


def _backend(text: str) -> Callable[[F], F]:
    choice = click.Choice(["auto", "trio", "asyncio"])
    return click.option("--backend", type=choice, default="auto", help=f"{text}  [default: auto]")


@click.group(name="new", epilog="\b\nevox new pj shop && cd shop\nevox new sv users\nevox run --dev")
def command() -> None:
    """Start a project, or a service in one."""


@command.command(epilog="\b\nevox new pj shop\nevox new pj shop --backend asyncio --no-git\nevox new pj shop --dry-run")
@click.argument("name")
@_syntax("What its README says of services.")
@_backend("Event loop, of [tool.evox] and of tests; auto tests on both.")
@click.option("--no-git", is_flag=True, help="Leave out `git init`.")
@_options
def pj(name: str, no_git: bool, **given: Any) -> Callable[[], int]:
    """Start a project in a new folder NAME.

    It gets pyproject.toml, README, tests, Dockerfile and compose.yaml. Needs no network. Files that are there are
    never overwritten: with one in the way it ends with 2.
    """
    return lambda: _make("make_project", name, git=not no_git, **given)


@command.command(epilog="\b\nevox new sv users\nevox new sv order-items --syntax class\nevox new sv users --dry-run")
@click.argument("name")
@_syntax("How endpoints are written; both has some of each.")
@_backend("Loop that its tests run on; auto is as in the project.")
@click.option("--no-git", is_flag=True, help="As for `new pj`; this command never calls git.")
@_options
def sv(name: str, no_git: bool, **given: Any) -> Callable[[], int]:
    """Start a service NAME in this project.

    It gets a package with service.py, and a test; `evox run` finds it by itself. Files that are there are never
    overwritten: with one in the way it ends with 2.
    """
    del no_git
    return lambda: _make("make_service", name, **given)


def _make(maker: str, name: str, *, as_json: bool, trace: bool, **given: Any) -> int:
    from evox.cli import scaffold
    from evox.errors import EvoxError

    try:
        made: scaffold.Made = getattr(scaffold, maker)(name, **given)
    except EvoxError as error:
        from evox.orchestrator import Console

        Console(as_json=as_json, trace=trace).error(error)
        return error.exit_code
    sys.stdout.write(_as_json(made) if as_json else _as_text(made))
    return 0


def _as_json(made: Any) -> str:
    facts = {
        "event": "made",
        "schema": 1,
        "kind": made.kind,
        "name": made.name,
        "root": str(made.root),
        "port": made.port,
        "dry_run": made.dry_run,
        "files": [{"path": path, "bytes": len(text.encode())} for path, text in made.files.items()],
        "notes": list(made.notes),
        "next": list(made.next),
    }
    return json.dumps(facts) + "\n"


def _as_text(made: Any) -> str:
    root = Path(os.path.relpath(made.root))
    done = "nothing is written; these would be" if made.dry_run else "written"
    where = f" on port {made.port}" if made.port is not None else ""
    lines = [f"{made.kind} {made.name}{where}: {done}", ""]
    lines += [f"  {root / path}" for path in made.files]
    lines += ["", *(f"note: {note}" for note in made.notes)] if made.notes else []
    lines += ["", "next:", *(f"  {one}" for one in made.next)]
    return "\n".join(lines) + "\n"
