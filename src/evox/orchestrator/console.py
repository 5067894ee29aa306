"""Console: what ``evox run`` writes. The banner tells true addresses, logs are JSON where no one watches.

Standard output carries the banner or, with ``--json``, one event a line; logs and errors go to standard error.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from evox.errors.secrets import masked
from evox.failures import describe, facts_of

__all__ = ["Console", "Row", "configure_logs"]

_STANDARD = frozenset(vars(logging.makeLogRecord({})))


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
        try:
            out.write(text + "\n")
            out.flush()
        except BrokenPipeError:
            self._out = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  whoever read us is gone; we go on


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        more = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        entry |= {key: masked(value) if isinstance(value, str) else value for key, value in more.items()}
        if record.exc_info:
            if record.exc_info[1] is not None:
                entry["error"] = facts_of(record.exc_info[1])
            entry["traceback"] = masked(self.formatException(record.exc_info))
        return json.dumps(entry, default=str)


class _TextFormatter(logging.Formatter):
    """Time, level, message. Of errors that Evox logs there are the user's lines, once, rather than the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        text = f"{time} {record.levelname.lower():<7} {record.getMessage()}"
        if not record.exc_info or record.exc_info[1] is None:
            return masked(text)
        described = describe(record.exc_info[1])
        if not record.name.startswith("evox.") or ("\n  at   " not in described and described not in text):
            described = self.formatException(record.exc_info)  # no line of the user's explains it
        return masked(text if described in text else f"{text}\n{described}")


def configure_logs(*, as_json: bool, verbose: bool, environ: Mapping[str, str] = os.environ) -> None:
    """Send all logs of the process to standard error: text for people, JSON lines for machines.

    Args:
        as_json: JSON lines.
        verbose: INFO and above rather than WARNING; ``EVOX_LOG`` overrides it with a level's name.
        environ: Where ``EVOX_LOG`` is looked up.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if as_json else _TextFormatter())
    level = environ.get("EVOX_LOG", "INFO" if verbose else "WARNING").upper()
    logging.basicConfig(handlers=[handler], level=level, force=True)
