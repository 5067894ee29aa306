"""Report of `evox sync db`: told what is found and done, it writes lines for people, or one object for machines."""

import sys
from typing import Any, Final, TextIO

from evox.cli.dependencies import Dependencies
from evox.cli.progress import Progress
from evox.cli.sync_alembic import Revisions
from evox.data.migrations import Applied, Plan, Site
from evox.errors import EvoxError
from evox.failures import facts_of

__all__ = ["Report"]

SCHEMA: Final = 1


class Report:
    """What is found and done.

    Args:
        out: Where lines are written; None to collect only.

    Attributes:
        unwritten: Why lines could not be written, if they could not.
    """

    def __init__(self, out: TextIO | None) -> None:
        self._out = out
        self._sites: dict[str, dict[str, Any]] = {}
        self._now: dict[str, Any] = {}
        self._dependencies = Dependencies()
        self._alembic: dict[str, Any] | None = None
        self._notes: list[str] = []
        self._error: EvoxError | None = None
        self._waits = False
        self.progress = Progress()
        self.unwritten: OSError | None = None

    def __repr__(self) -> str:
        return f"<Report of {len(self._sites)} databases>"

    @property
    def pending(self) -> bool:
        """Whether a run would change anything."""
        return bool(
            self._dependencies.state == "stale"
            or any(site["pending"] for site in self._sites.values())
            or (self._alembic is not None and self._alembic["pending"])
        )

    def document(self) -> dict[str, Any]:
        """Return all of it for machines."""
        found = self._dependencies
        return {
            "schema": SCHEMA,
            "ok": self._error is None,
            "pending": self.pending,
            "dependencies": {"tool": found.tool or None, "state": found.state, "said": found.said or None},
            "databases": list(self._sites.values()),
            "alembic": self._alembic,
            "notes": self._notes,
            "error": None if self._error is None else facts_of(self._error),
        }

    def note(self, text: str) -> None:
        """Take something worth a look."""
        self._notes.append(text)
        self._line(f"note: {text}")

    def error(self, error: EvoxError) -> None:
        """Take why it ended early."""
        self.progress.off()
        self._error = error

    def dependencies(self, found: Dependencies, *, syncs: bool) -> None:
        """Take what is known of the dependencies, and whether they are synced now, which may take its time."""
        self._dependencies = found
        if found.said:
            then = f": {found.tool} sync is run" if syncs and found.state == "stale" else ""
            self._line(f"{'note: ' if found.state == 'unknown' else ''}{found.said}{then}")

    def synced(self, found: Dependencies) -> None:
        """Take that they were synced."""
        self._dependencies = found

    def plan(self, site: Site, plan: Plan) -> None:
        """Take what is pending in a database."""
        self._sites[site.folder] = {
            "folder": site.folder,
            "database": site.shown,
            "applied": [_row(one) for one in plan.applied],
            "pending": [{"number": one.number, "file": one.name} for one in plan.pending],
            "later": [{"number": one.number, "file": one.name} for one in plan.later],
            "done": [],
            "notes": list(plan.notes),
        }
        state = f"{len(plan.pending)} pending" if plan.pending else "nothing to do"
        later = f", {len(plan.later)} later" if plan.later else ""
        self._line(f"{site.folder} -> {site.shown}: {len(plan.applied)} applied, {state}{later}")
        for one in plan.pending:
            self._line(f"  {one.name}{'  (outside of a transaction)' if one.outside else ''}")
        for note in plan.notes:
            self._line(f"note: {note}")

    def begin(self, site: Site) -> None:
        """Take which database is changed from now on."""
        self._now = self._sites[site.folder]
        self._go_on()

    def applied(self, row: Applied) -> None:
        """Take that a file was applied."""
        self._now["done"].append(_row(row))
        self._now["pending"] = [one for one in self._now["pending"] if one["number"] != row.number]
        self._line(f"applied {row.name} ({row.duration or 0:.2f} s)")
        self._go_on()

    def end(self, site: Site) -> None:
        """Take that nothing is pending any more; what is left was applied by another run."""
        self.progress.off()
        left = self._sites[site.folder]["pending"]
        if left:
            self._line(f"another run has applied {', '.join(one['file'] for one in left)}")
        self._sites[site.folder]["pending"] = []

    def waiting(self) -> None:
        """Take that another run is waited for; it is said once."""
        if self._waits:
            return
        self._waits = True
        self.progress.off()
        sys.stderr.write("waiting for another run, or another process that writes\n")
        sys.stderr.flush()

    def resolved(self, row: Applied, *, done: bool) -> None:
        """Take that the end of a file was found out."""
        self.note(f"{row.name} is noted as {'applied' if done else 'not applied'}")

    def revisions(self, found: Revisions) -> None:
        """Take where alembic is."""
        current, heads = (", ".join(one) or "nothing" for one in (found.current, found.heads))
        self._alembic = {
            "current": list(found.current),
            "heads": list(found.heads),
            "pending": found.pending,
            "output": [],
        }
        self._line(f"alembic: at {current}, " + (f"to {heads}" if found.pending else "nothing to do"))

    def alembic_line(self, text: str) -> None:
        """Take a line that alembic has written."""
        if self._alembic is not None:
            self._alembic["output"].append(text)
        self._line(f"  {text}")

    def upgraded(self, to: str) -> None:
        """Take that alembic has done it."""
        if self._alembic is not None:
            self._alembic["pending"] = False
        self._line(f"alembic upgrade {to}: done")

    def _go_on(self) -> None:
        """Show which file takes its time now."""
        pending = self._now["pending"]
        if pending:
            self.progress.on(f"applying {pending[0]['file']}")

    def _line(self, text: str) -> None:
        self.progress.off()
        if self._out is None:
            return
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        try:
            self._out.write((text + "\n").encode(encoding, "replace").decode(encoding))
            self._out.flush()
        except OSError as error:  # whoever read us is gone, or the disk is full: no reason to end half way
            self._out, self.unwritten = None, error


def _row(row: Applied) -> dict[str, Any]:
    return {"number": row.number, "file": row.name, "applied_at": row.applied_at, "seconds": row.duration}
