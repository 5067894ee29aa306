"""Making: the options that commands of ``evox new`` share, and what they say of what was made."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import asyncclick as click

from evox.cli.answering import answering

__all__ = ["backend", "make", "shared", "syntax"]

F = TypeVar("F", bound=Callable[..., Any])


def syntax(text: str) -> Callable[[F], F]:
    """Return the option ``--syntax``, with its help."""
    choice = click.Choice(["function", "class", "both"])
    return click.option("--syntax", type=choice, default="function", help=f"{text}  [default: function]")


def backend(text: str) -> Callable[[F], F]:
    """Return the option ``--backend``, with its help."""
    choice = click.Choice(["auto", "trio", "asyncio"])
    return click.option("--backend", type=choice, default="auto", help=f"{text}  [default: auto]")


def shared(command: F) -> F:
    """Add the options that are the same in all; the last one first, as decorators are applied."""
    for option in (
        click.option("--trace", is_flag=True, help="Show whole tracebacks."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text."),
        click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing."),
    ):
        command = option(command)
    return command


def make(
    maker: Literal["make_project", "make_service"], name: str, *, as_json: bool, trace: bool, **given: Any
) -> Callable[[], int]:
    """Return what makes something, and says so.

    Args:
        maker: What does it, in ``evox.cli.scaffold``.
        name: Of what is made.
        as_json: Say it as one JSON object.
        trace: Show whole tracebacks.
        **given: For the maker.
    """

    def work() -> int:
        from evox.cli import scaffold

        made: scaffold.Made = getattr(scaffold, maker)(name, **given)
        sys.stdout.write(_as_json(made) if as_json else _as_text(made))
        return 0

    return answering(work, as_json=as_json, trace=trace)


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
