"""Gathering: all processes asked at once, and what became of each: its snapshot, or why there is none.

One that cannot be seen makes the report red and keeps nothing else from being shown. Who has several URLs, as with a
gateway, is one process and stands here once.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio

from evox.observe.asking import CannotSee, Source
from evox.observe.forms import Snapshot
from evox.observe.rules import Level, worst

__all__ = ["Report", "Seen", "gather"]

AT_ONCE: Final = 64  # sources that are asked side by side; each is bounded in time


@dataclass(frozen=True, slots=True)
class Seen:
    """One process that was looked at.

    Attributes:
        name: What it is called: its services and its number, or the source where it cannot be seen.
        snapshot: What it says of itself; None if it cannot be seen.
        error: Why it cannot be seen.
    """

    name: str
    snapshot: Snapshot | None = None
    error: str = ""

    @property
    def level(self) -> Level:
        """How it is; who cannot be seen may be anything, so that is ``"fail"``."""
        return "fail" if self.snapshot is None else self.snapshot.level


@dataclass(frozen=True, slots=True)
class Report:
    """What was seen of all processes. ``time`` is wall-clock seconds, when the last of them had answered."""

    time: float
    processes: tuple[Seen, ...]

    @property
    def level(self) -> Level:
        """The worst level of all; where nothing was seen, nothing is well."""
        return worst(one.level for one in self.processes) if self.processes else "fail"

    @property
    def snapshots(self) -> list[tuple[Seen, Snapshot]]:
        """Those that can be seen."""
        return [(one, one.snapshot) for one in self.processes if one.snapshot is not None]


async def gather(sources: Sequence[Source], wall: Callable[[], float] = time.time) -> Report:
    """Ask all of them, and close them.

    Args:
        sources: The processes; each is given the time that ``Source`` has.
        wall: Wall clock in seconds.
    """
    found: list[Seen | None] = [None] * len(sources)
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def ask(place: int, source: Source) -> None:
        async with limiter:
            found[place] = await _seen(source)

    async with anyio.create_task_group() as group:
        for place, source in enumerate(sources):
            group.start_soon(ask, place, source)
    return Report(wall(), tuple(_apart(one for one in found if one is not None)))


async def _seen(source: Source) -> Seen:
    try:
        snapshot = await source.snapshot()
    except CannotSee as error:
        return Seen(source.name, error=str(error))
    finally:
        with anyio.move_on_after(1, shield=True):
            await source.aclose()
    return Seen(_name_of(snapshot), snapshot)


def _name_of(snapshot: Snapshot) -> str:
    names = [one.name for one in snapshot.services]
    said = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{said or 'no services'} (pid {snapshot.process.pid})"


def _apart(seen: Iterable[Seen]) -> list[Seen]:
    """Leave out who was seen before under another URL."""
    instances: set[str] = set()
    kept = []
    for one in seen:
        instance = "" if one.snapshot is None else one.snapshot.process.instance
        if not instance or instance not in instances:
            kept.append(one)
        instances.add(instance)
    return kept
