"""Surveying: how `evox check` and `evox sync sv` show what was looked at, and what is wrong with it."""

import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["show"]

SCHEMA = 1


def show(made: Any, *, as_json: bool, trace: bool, services: bool = False) -> None:
    """Write a survey: a line for each thing looked at, and each error with what, why and fix.

    Args:
        made: The ``Survey``.
        as_json: One JSON object.
        trace: Whether errors come with the whole traceback.
        services: Whether services are listed, with where they are and why they were chosen.
    """
    from evox.cli.terminal import pen, write
    from evox.failures import describe, facts_of

    errors = made.errors
    if as_json:
        found = {
            "schema": SCHEMA,
            "ok": not errors,
            "services": [_service(one) for one in made.found],
            "steps": [
                {"what": step.what, "said": step.said, "error": None if step.error is None else facts_of(step.error)}
                for step in made.steps
            ],
            "notes": made.notes,
        }
        write(json.dumps(found, indent=2) + "\n")
        return
    page = pen(wide=True)
    if services and made.found:
        rows = [_service(one) for one in made.found]
        head = ("service", "syntax", "endpoints", "place", "chosen because")
        names = ("name", "syntax", "endpoints", "place", "why")
        page.table(head, [[str(row[name]) for name in names] for row in rows])
        page.line()
    for step in made.steps:
        status = "ok" if step.error is None else "FAIL"
        page.item(status, "pass" if step.error is None else "fail", f"{step.what}: {step.said or _what(step)}", [])
    for note in made.notes:
        page.item("note", "warn", note, [])
    page.line()
    count = len(errors)
    page.line(
        "all is well" if not count else f"{count} {'thing is' if count == 1 else 'things are'} wrong", _level(count)
    )
    write(page.text)
    for step in errors:
        sys.stdout.flush()
        sys.stderr.write("\n" + describe(step.error, trace=trace) + "\n")


def _level(count: int) -> str:
    return "fail" if count else "pass"


def _what(step: Any) -> str:
    return str(step.error.what) if step.error is not None else "right"


def _service(one: Any) -> dict[str, Any]:
    from evox.observe.mappings import syntaxes_of

    service = one.service
    return {
        "name": service.name,
        "module": one.module,
        "place": str(service.place).removeprefix(f"{Path.cwd()}/") if service.place is not None else "",
        "syntax": syntaxes_of(service),
        "endpoints": len(service.endpoints),
        "why": one.why,
    }
