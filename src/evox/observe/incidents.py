"""Incidents: what is wrong, since when and why, and when it was over.

An incident begins with an event and ends with another one, or when its cause has not been seen for a while. Those that
are over stay for a while, so that whoever looks later learns what has happened. How many are kept is bounded, and so is
every text.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from evox.errors.secrets import masked

__all__ = ["Incident", "Incidents", "Severity", "shortened"]

Severity: TypeAlias = Literal["warn", "fail"]
MOST: Final = 200
LONGEST: Final = 500  # characters of a reason
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


class Incidents:
    """The incidents of one runtime.

    Args:
        wall: Wall clock in seconds.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._known: OrderedDict[tuple[str, str, str], Incident] = OrderedDict()  # the one seen last is the last
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
        key, now = (service, kind, subject), self._wall()
        found = self._known.get(key)
        said = shortened(reason)
        if found is None or self._is_over(found, now):
            self._known[key] = Incident(service, kind, subject, severity, said, now, now, settles=settles)
        else:
            found.reason, found.last, found.severity = said, now, severity
            found.count += 1
        self._known.move_to_end(key)
        self._open.add(key)
        if len(self._known) > MOST:
            oldest = next((one for one in self._known if one not in self._open), next(iter(self._known)))
            del self._known[oldest]
            self._open.discard(oldest)

    def clear(self, service: str, kind: str, subject: str) -> None:
        """Note that it is over."""
        key = (service, kind, subject)
        if key in self._open:
            self._open.discard(key)
            self._known[key].until = self._wall()

    def all(self) -> list[Incident]:
        """Return what goes on, and then what is over and was so not long ago; the latest first."""
        now = self._wall()
        found = [self._seen(one, now) for one in self._known.values()]
        recent = [one for one in found if one.until is None or now - one.until < KEPT]
        return sorted(recent, key=lambda one: (one.until is not None, -one.last))

    @staticmethod
    def _is_over(one: Incident, now: float) -> bool:
        return one.until is not None or (one.settles is not None and now - one.last > one.settles)

    def _seen(self, one: Incident, now: float) -> Incident:
        """Return it as it is now: what settles was over when it had not been seen for a while."""
        over = one.until is None and one.settles is not None and self._is_over(one, now)
        return replace(one, until=one.last + (one.settles or 0.0)) if over else replace(one)


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return a text as it may be kept and shown: without secrets, and not too long."""
    text = masked(text[: 4 * longest])
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
