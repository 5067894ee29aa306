"""Incidents: what is wrong, since when and why, and when it was over.

An incident begins with an event and ends with another one, or when its cause has not been seen for a while. Those that
are over stay for a while, so that whoever looks later learns what has happened. How many are kept is bounded, and so is
every text.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import anyio

from evox.errors.secrets import masked

__all__ = ["Incident", "Incidents", "Severity", "fitted", "shortened"]

Severity: TypeAlias = Literal["warn", "fail"]
MOST: Final = 200
LONGEST: Final = 500  # characters of a reason
MARGIN: Final = 2_000  # characters that are looked through beyond what may be shown, so that no secret is cut in two
READ: Final = 4 * LONGEST + MARGIN + 1  # characters of a reason that are looked at
KEPT: Final = 3_600.0  # seconds for which what is over is told


@dataclass(slots=True)
class Incident:
    """One thing that is, or was, wrong. Times are wall-clock seconds.

    Attributes:
        service: Whose it is; empty for the process.
        kind: ``"source"``, ``"queue"``, ``"task"``, ``"crash"``, ``"endpoint"``, ``"check"`` or ``"breaker"``.
        subject: Which of its kind, e.g. a task's name.
        severity: ``"fail"`` if the service does not do what it is for.
        reason: What was said of it last.
        since: When it began.
        last: When it was seen last.
        count: How often it was seen.
        until: When it was over; None while it goes on.
        settles: Seconds without being seen after which it is over by itself; None if an event has to say so.
    """

    service: str
    kind: str
    subject: str
    severity: Severity
    reason: str
    since: float
    last: float
    count: int = 1
    until: float | None = None
    settles: float | None = None


@dataclass(slots=True)
class _Kept:
    """An incident, the words that its reason was made of, and when it was seen last and over in monotonic seconds."""

    incident: Incident
    said: str
    seen: float
    over: float | None = None

    def ended(self, now: float) -> float | None:
        """Return when it was over, in monotonic seconds; None while it goes on."""
        settles = self.incident.settles
        if self.over is None and settles is not None and now - self.seen > settles:
            return self.seen + settles
        return self.over


class Incidents:
    """The incidents of one runtime.

    Args:
        wall: Wall clock in seconds, which is shown.
        clock: Monotonic seconds, which ages are reckoned with: the wall clock may jump.
    """

    def __init__(self, wall: Callable[[], float], clock: Callable[[], float] = anyio.current_time) -> None:
        self._wall, self._clock = wall, clock
        self._known: OrderedDict[tuple[str, str, str], _Kept] = OrderedDict()  # the one seen last is the last
        self._open: set[tuple[str, str, str]] = set()

    def __repr__(self) -> str:
        return f"<Incidents: {len(self._open)} open of {len(self._known)}>"

    def __contains__(self, key: tuple[str, str, str]) -> bool:
        return key in self._open

    @property
    def any_open(self) -> bool:
        """Whether anything was wrong when it was last heard of."""
        return bool(self._open)

    def note(
        self,
        service: str,
        kind: str,
        subject: str,
        reason: str,
        severity: Severity = "warn",
        *,
        settles: float | None = None,
    ) -> None:
        """Note that something is wrong.

        Args:
            service: Whose it is; empty for the process.
            kind: See ``Incident``.
            subject: Which of its kind.
            reason: Why, in a few words; secrets are taken out of it.
            severity: How bad that is.
            settles: Seconds without being seen after which it is over by itself; None if ``clear`` has to say so.
        """
        key, now, wall = (service, kind, subject), self._clock(), self._wall()
        reason = reason[:READ]  # what is kept of an error may not be what a client has sent
        kept = self._known.get(key)
        if kept is None or kept.ended(now) is not None:
            said = shortened(reason)
            made = Incident(service, kind, shortened(subject), severity, said, wall, wall, settles=settles)
            self._known[key] = _Kept(made, reason, now)
        else:
            found = kept.incident
            if kept.said != reason:  # it is said again and again under load, and each time costs
                kept.said, found.reason = reason, shortened(reason)
            kept.seen, found.last, found.severity = now, wall, severity
            found.count += 1
        self._known.move_to_end(key)
        self._open.add(key)
        if len(self._known) > MOST:
            self._forget_one(now)

    def goes_on(self, key: tuple[str, str, str]) -> bool:
        """Whether something is wrong now, and not over by itself."""
        kept = self._known.get(key)
        return kept is not None and kept.ended(self._clock()) is None

    def clear(self, service: str, kind: str, subject: str | None = None) -> None:
        """Note that it is over; without a subject, all of its kind."""
        keys = (
            [(service, kind, subject)]
            if subject is not None
            else [one for one in self._open if one[:2] == (service, kind)]
        )
        for key in keys:
            if key in self._open:
                self._open.discard(key)
                kept = self._known[key]
                kept.over, kept.incident.until = self._clock(), self._wall()

    def _forget_one(self, now: float) -> None:
        """Make room: first of what is over, then of what would be noted again, the one that was seen longest ago."""
        known = self._known.items()
        over = next((key for key, kept in known if kept.ended(now) is not None), None)
        again = next((key for key, kept in known if kept.incident.settles is not None), next(iter(self._known)))
        key = again if over is None else over
        del self._known[key]
        self._open.discard(key)

    def all(self) -> list[Incident]:
        """Return what goes on, and then what is over and was so not long ago; the latest first."""
        now, found = self._clock(), []
        for kept in reversed(self._known.values()):
            ended, one = kept.ended(now), kept.incident
            if ended is None:
                found.append(replace(one))
            elif now - ended < KEPT:
                found.append(replace(one, until=one.last + (one.settles or 0.0) if one.until is None else one.until))
        return sorted(found, key=lambda one: one.until is not None)


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return a text as it may be kept and shown: without secrets, and not too long."""
    looked = 4 * longest + MARGIN
    return fitted(masked(text[:looked])[:-MARGIN] if len(text) > looked else masked(text), longest)


def fitted(text: str, longest: int = LONGEST) -> str:
    """Return a text without secrets as it may be kept and shown: not too long, and of whole characters."""
    if not text.isascii():  # half a character, as in the name of a file, can be neither sent nor written
        text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
