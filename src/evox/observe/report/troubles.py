"""Troubles: what a reader is to know first: what is wrong in all processes, the worst first, and what is over again.

What a process says of itself are the findings of ``rules``; here they meet those of others, and who cannot be seen.
"""

from dataclasses import dataclass

from evox.observe.forms import Incident
from evox.observe.report.gathering import Report
from evox.observe.rules import Level, rank

__all__ = ["Recovery", "Trouble", "recoveries", "troubles"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong or worth knowing.

    Attributes:
        level: How bad it is.
        where: The service, or the process.
        process: Name of the process.
        what: What is wrong.
        why: Why, as far as it is known.
        fix: What to do.
        since: Wall-clock seconds by the clock of its process; None if that is not known.
        now: What that clock said.
    """

    level: Level
    where: str
    process: str
    what: str
    why: str
    fix: str
    since: float | None
    now: float


@dataclass(frozen=True, slots=True)
class Recovery:
    """An incident that is over. ``lasted`` is seconds, ``now`` what the clock of its process said."""

    incident: Incident
    where: str
    process: str
    until: float
    lasted: float
    now: float


def troubles(report: Report) -> list[Trouble]:
    """Return what is wrong now, the worst first."""
    found = []
    for one in report.processes:
        if one.snapshot is None:
            fix = "see whether it runs and hangs, and look into its log"
            found.append(Trouble("fail", one.name, one.name, "it cannot be seen", one.error, fix, None, report.time))
            continue
        now = one.snapshot.process.time
        found += [
            Trouble(it.level, it.service or one.name, one.name, it.what, it.why, it.fix, it.since, now)
            for it in one.snapshot.findings
            if it.level != "pass"
        ]
    return sorted(found, key=lambda one: -rank(one.level))


def recoveries(report: Report) -> list[Recovery]:
    """Return what was wrong and is over, the latest first."""
    found = [
        Recovery(it, it.service or one.name, one.name, it.until, max(0.0, it.until - it.since), snapshot.process.time)
        for one, snapshot in report.snapshots
        for it in snapshot.incidents
        if it.until is not None
    ]
    return sorted(found, key=lambda one: one.now - one.until)
