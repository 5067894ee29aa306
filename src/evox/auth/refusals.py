"""Refusals: who was refused and why, for operators: the last ones remembered, and logged without flooding."""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from evox.errors import AuthError, NotAuthenticated

__all__ = ["Refusal", "Refusals"]

RECENT: Final = 50  # refusals that are remembered
LINES: Final = 20  # refusals that are logged one by one
LONGEST: Final = 500  # characters of a reason: what callers are called may be part of it
EVERY: Final = 10.0  # in so many seconds
_log = logging.getLogger("evox.auth")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One caller that was refused: ``when`` in seconds since 1970, and why, which no client is told."""

    when: float
    service: str
    target: str
    status: int
    reason: str


class Refusals:
    """The refusals of one runtime.

    Args:
        clock: Gives seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._recent: deque[Refusal] = deque(maxlen=RECENT)
        self._lines, self._since = 0, 0.0
        self.count = 0

    def __repr__(self) -> str:
        return f"<Refusals: {self.count}>"

    @property
    def recent(self) -> tuple[Refusal, ...]:
        """The last ones, the newest last."""
        return tuple(self._recent)

    def add(self, error: AuthError, *, service: str, target: str) -> Refusal:
        """Remember one, and log it. Who brings no token has tried nothing, and is no warning.

        Args:
            error: Why.
            service: Which service refused.
            target: What was called.
        """
        self.count += 1
        found = Refusal(self._clock(), service, target, error.status, f"{type(error).__name__}: {error.why}"[:LONGEST])
        self._recent.append(found)
        if isinstance(error, NotAuthenticated):
            self._say(logging.INFO, found)
        elif self._may_say(found.when):
            self._say(logging.WARNING, found)
        return found

    def _say(self, level: int, one: Refusal) -> None:
        _log.log(level, "%d for a caller of %s of %s: %s", one.status, one.target, one.service, one.reason)

    def _may_say(self, now: float) -> bool:
        if not self._since <= now < self._since + EVERY:
            if self._lines > LINES:
                _log.warning("%d more callers were refused", self._lines - LINES)
            self._lines, self._since = 0, now
        self._lines += 1
        return self._lines <= LINES
