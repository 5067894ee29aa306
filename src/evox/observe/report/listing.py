"""Listing: a report for programs: plain data with a version of its form, as ``evox health --json`` writes it.

schema        1
level         "pass", "warn" or "fail": the worst of all
time          wall-clock seconds
processes     of each: name, level, snapshot (as ``/_evox/snapshot`` has it, cut to size) or null, error or null
dependencies  of each: of, kind, on, level ("unknown" too), why
"""

from dataclasses import asdict
from typing import Any, Final

from evox.observe.report.dependencies import dependencies
from evox.observe.report.gathering import Report

__all__ = ["SCHEMA", "listing"]

SCHEMA: Final = 1


def listing(report: Report) -> dict[str, Any]:
    """Return a report as plain data that JSON can hold."""
    return {
        "schema": SCHEMA,
        "level": report.level,
        "time": report.time,
        "processes": [
            {
                "name": one.name,
                "level": one.level,
                "snapshot": None if one.snapshot is None else one.snapshot.model_dump(mode="json", by_alias=True),
                "error": one.error or None,
            }
            for one in report.processes
        ],
        "dependencies": [asdict(one) for one in dependencies(report)],
    }
