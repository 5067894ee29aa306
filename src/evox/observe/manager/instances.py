"""Instances: the processes that the dashboard knows: what each said last, when, and what is wrong with asking it.

A process is known by the id that it gives itself, so one that is started again at the same address is another one.
All ages are of the dashboard's own monotonic clock: what other clocks say is shown and never reckoned with.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import anyio

from evox.observe.asking import Source
from evox.observe.forms import Snapshot
from evox.observe.manager.series import Sample, between

__all__ = ["Instance", "Instances", "Seen"]

Seen: TypeAlias = Literal["up", "unseen", "gone"]
LATE: Final = 3.0  # seconds without an answer after which a process is unseen
FORGOTTEN: Final = 600.0  # seconds after which one that is gone is not shown any more
MOST: Final = 500  # processes


@dataclass(slots=True)
class Instance:
    """One process.

    Attributes:
        source: How it is asked.
        snapshot: What it said last; None if it never did.
        sample: What it did between the last two answers.
        trouble: Why it could not be asked last; empty if it could.
        first: When it was noticed, in monotonic seconds.
        last: When it answered last.
        asked: How often it was asked.
        failed: Of those, in vain.
        gone: Whether it has left the directory, or another process answers in its place.
    """

    source: Source
    first: float
    snapshot: Snapshot | None = None
    sample: Sample | None = None
    trouble: str = ""
    last: float | None = None
    asked: int = 0
    failed: int = 0
    gone: bool = False

    @property
    def id(self) -> str:
        """What it is known by."""
        return self.source.name if self.snapshot is None else self.snapshot.process.instance

    def seen(self, now: float) -> Seen:
        """Return whether it answers."""
        if self.gone:
            return "gone"
        return "unseen" if self.trouble and (self.last is None or now - self.last > LATE) else "up"


class Instances:
    """The processes that are known.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = anyio.current_time) -> None:
        self._clock = clock
        self._known: list[Instance] = []

    def __repr__(self) -> str:
        return f"<Instances: {len(self._known)}>"

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def find(self, id_: str) -> Instance | None:
        """Return a process by what it is known by, or None."""
        return next((one for one in self._known if one.id == id_), None)

    def notice(self, source: Source) -> Instance:
        """Return the process that a source leads to now."""
        found = next((one for one in self._known if one.source is source and not one.gone), None)
        if found is None:
            found = Instance(source, self._clock())
            self._known.append(found)
            self._forget()
        return found

    def answered(self, source: Source, snapshot: Snapshot) -> Sample | None:
        """Note what a process said; return what it has done since it said something last."""
        now, one = self._clock(), self.notice(source)
        if one.snapshot is not None and one.snapshot.process.instance != snapshot.process.instance:
            one.gone = True  # started anew, or another worker behind the same address
            again = self.find(snapshot.process.instance)
            if again is not None and again.source is source:
                again.gone, one = False, again
            else:
                one = self.notice(source)
        one.asked += 1
        one.sample = between(one.snapshot, snapshot)
        one.snapshot, one.trouble, one.last = snapshot, "", now
        return one.sample

    def silent(self, source: Source, why: str) -> None:
        """Note that a process could not be asked."""
        one = self.notice(source)
        one.asked += 1
        one.failed += 1
        one.trouble, one.sample = why, None

    def left(self, source: Source) -> None:
        """Note that a process has ended, or is not told of any more."""
        for one in self._known:
            if one.source is source:
                one.gone = True

    def _forget(self) -> None:
        now = self._clock()
        kept = [one for one in self._known if not one.gone or now - (one.last or one.first) < FORGOTTEN]
        self._known = kept[-MOST:]
