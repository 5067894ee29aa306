"""Complaints: what clients did that no service should have to bear, counted by reason and logged without flooding.

A line names the peer and the reason. Of each reason one line is written in ten seconds; it says how many it stands
for, so that an attack is seen and cannot fill the disk.
"""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

__all__ = ["Complaints", "Reason"]

EVERY = 10.0
_LONGEST = 200
_log = logging.getLogger("evox.serving")


class Reason(StrEnum):
    """Why a connection or request was refused or ended."""

    MALFORMED = "malformed"
    HEAD_TOO_LARGE = "head too large"
    HEAD_TOO_SLOW = "head too slow"
    BODY_TOO_LARGE = "body too large"
    BODY_TOO_SLOW = "body too slow"
    DOES_NOT_READ = "does not read its answer"
    SILENT = "silent"
    FLOOD = "flood"
    SURPLUS = "too many connections"
    TLS = "TLS handshake failed"
    FAILED = "failed"


class Complaints:
    """Counts and logs.

    Args:
        service: Whose clients they are.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._counts: Counter[Reason] = Counter()
        self._said: dict[Reason, tuple[float, int]] = {}

    def __repr__(self) -> str:
        return f"<Complaints {self._service!r}, {self._counts.total()}>"

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each reason was given since the start."""
        return {str(reason): count for reason, count in self._counts.items()}

    def note(self, reason: Reason, peer: str, detail: str = "") -> None:
        """Count one, and log it if no line of this reason was written lately.

        Args:
            reason: What the matter is.
            peer: Whose connection, e.g. ``"10.0.0.7:50122"``.
            detail: What exactly; may hold what the client sent, so it is escaped and cut short.
        """
        self._counts[reason] += 1
        now = time.monotonic()
        last, count = self._said.get(reason, (-EVERY, 0))
        if now - last < EVERY:
            return
        since = self._counts[reason] - count - 1
        self._said[reason] = (now, self._counts[reason])
        text = detail.encode("unicode_escape", "replace").decode("ascii")[:_LONGEST]
        more = f" (and {since} more since the last such line)" if since else ""
        _log.warning("%s: client %s: %s%s%s", self._service, peer, reason, f": {text}" if text else "", more)
