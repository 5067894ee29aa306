"""Instances: the processes that the dashboard knows: what each said last, when, and what is wrong with asking it.

A process is known by the id that it gives itself, so one that is started again at the same address is another one.
Workers behind one address answer in turn, and none of them is gone because another one did.
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

Seen: TypeAlias = Literal["new", "up", "unseen", "gone"]
LATE: Final = 3.0  # seconds without an answer after which a process is unseen
FORGOTTEN: Final = 600.0  # seconds after which one that is gone is not shown any more
TURN: Final = 30.0  # seconds without an answer after which a worker whose siblings answer is gone
MOST: Final = 500  # processes
GONE: Final = 50  # of those that are gone


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
        gone: Whether it has left the directory.
        replaced: Whether another process answers in its place.
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
    replaced: bool = False

    @property
    def id(self) -> str:
        """What it is known by."""
        return self.source.name if self.snapshot is None else self.snapshot.process.instance

    def seen(self, now: float) -> Seen:
        """Return whether it answers."""
        if self.gone or (self.replaced and not self._takes_turns(now)):
            return "gone"
        if self.last is None:
            return "unseen" if self.trouble else "new"
        return "unseen" if self.trouble and now - self.last > LATE else "up"

    def _takes_turns(self, now: float) -> bool:
        is_worker = self.snapshot is not None and self.snapshot.process.workers > 1
        return is_worker and self.last is not None and now - self.last <= TURN


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

    def notice(self, source: Source) -> Instance:
        """Return the process that a source leads to now."""
        found = next((one for one in self._known if one.source is source and not (one.gone or one.replaced)), None)
        if found is None:
            found = Instance(source, self._clock())
            self._known.append(found)
            self._forget()
        return found

    def answered(self, source: Source, snapshot: Snapshot) -> Sample | None:
        """Note what a process said; return what it has done since it said something last."""
        now, one = self._clock(), self.notice(source)
        if one.snapshot is not None and one.snapshot.process.instance != snapshot.process.instance:
            one.replaced = True  # started anew, or another worker behind the same address
            again = next(
                (old for old in self._known if old.source is source and old.id == snapshot.process.instance), None
            )
            if again is not None:
                again.replaced, one = False, again
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
        gone = [one for one in self._known if one.seen(now) == "gone"]
        late = [one for one in gone if now - (one.first if one.last is None else one.last) >= FORGOTTEN]
        left = {id(one) for one in (*late, *gone[:-GONE])}
        self._known = [one for one in self._known if id(one) not in left][-MOST:]
