"""Console: what ``evox run`` writes. The banner tells true addresses.

Standard output carries the banner or, with ``--json``, one event a line; errors and logs go to standard error.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from evox.failures import describe, facts_of
from evox.orchestrator.logs import configure_logs

__all__ = ["Console", "Row", "configure_logs"]


@dataclass(frozen=True, slots=True)
class Row:
    """One service in the banner. ``seats`` are those of the levels: high/medium/low."""

    name: str
    url: str
    docs: str
    syntax: str
    endpoints: int
    seats: str
    why: str


class Console:
    """Writes events for people or for machines.

    Args:
        as_json: One JSON object a line instead of text.
        out: Where to write; standard output by default.
        trace: Whether errors come with the whole traceback.
    """

    def __init__(self, *, as_json: bool = False, out: TextIO | None = None, trace: bool = False) -> None:
        self.as_json = as_json
        self._out = out
        self._trace = trace
        self._is_lost = False

    def started(
        self, *, version: str, loop: str, rows: Sequence[Row], notes: Sequence[str] = (), workers: Sequence[int] = ()
    ) -> None:
        """Say what runs and where. Called when sockets are bound, services are ready and connections are accepted."""
        if self.as_json:
            facts = {"version": version, "loop": loop, "pid": os.getpid(), "workers": list(workers)}
            self._event("started", **facts, services=[asdict(row) for row in rows], notes=list(notes))
            return
        self._line(f"evox {version} on {loop}\n")
        table = [("service", "url", "docs", "syntax", "endpoints", "seats", "chosen because")]
        table += [(r.name, r.url, r.docs, r.syntax, str(r.endpoints), r.seats, r.why) for r in rows]
        widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
        for line in table:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self._line(("  " + "  ".join(cells)).rstrip())
        self._line("")
        for note in notes:
            self._line(f"note: {note}")
        self._line("Ctrl-C drains and ends; a second one ends at once.")

    def dashboard(self, url: str) -> None:
        """Say where the dashboard is opened. The URL lets one browser in."""
        if self.as_json:
            self._event("dashboard", url=url)
        else:
            self._line(f"\nOpen it once, in one browser:\n  {url}\n")

    def worker(self, number: int, what: str, *, pid: int | None) -> None:
        """Say what became of one of several workers; ``pid`` is that of a new one."""
        if self.as_json:
            self._event("worker", number=number, what=what, pid=pid)
        else:
            self._line(f"worker {number} {what}")

    def draining(self, signal: str) -> None:
        """Say that a drain begins."""
        if self.as_json:
            self._event("draining", signal=signal)
        else:
            self._line(f"{signal}: draining")

    def stopped(self, *, code: int, requests: Sequence[str] = (), streams: Sequence[str] = ()) -> None:
        """Say how it ended."""
        if self.as_json:
            self._event("stopped", code=code, cut_requests=list(requests), cut_streams=list(streams))
            return
        for label in requests:
            self._line(f"cut: {label} did not end in time")
        self._line(f"stopped ({len(streams)} streams ended by us)" if streams else "stopped")

    def error(self, error: BaseException) -> None:
        """Show an error on one screen, on standard error; with ``--json`` as an event too."""
        if self.as_json:
            self._event("error", **({"id": None} | facts_of(error)))
        sys.stderr.write(describe(error, trace=self._trace) + "\n")
        sys.stderr.flush()

    def _event(self, name: str, **facts: Any) -> None:
        self._line(json.dumps({"event": name, "schema": 1, **facts}))

    def _line(self, text: str) -> None:
        out = self._out or sys.stdout
        if out is None or self._is_lost:
            return  # it was closed before we were started, or later
        try:
            out.write(text + "\n")
            out.flush()
        except OSError:  # whoever read us is gone, or the disk is full: that is no reason to cut requests
            self._is_lost = True
