"""Series: what happened between two snapshots of one process, as the few numbers that charts show over time.

Counts only grow while a process lives; where one is smaller than before, another process has taken its place, and what
it has is counted from nothing. No wall clock is used: the time between is what the process says of its uptime.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from evox.observe.durations import BUCKETS
from evox.observe.forms import Calls, QueueLevel, Snapshot
from evox.scheduling import WAITS

__all__ = ["LevelSample", "Sample", "between", "merged", "share_within"]

SHORTEST: Final = 0.05  # seconds; less between two looks says nothing


@dataclass(frozen=True, slots=True)
class LevelSample:
    """One level of one scheduler. ``wait`` is the mean, ``p95`` the 95th percentile of seconds that calls waited."""

    queue: str
    level: str
    in_use: int
    queued: int
    admitted: float
    rejected: float
    wait: float
    p95: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process did: rates are per second, durations are seconds.

    Attributes:
        rate: Calls that ended.
        errors: Of those, with a status of 500 or more.
        p50: Half of them took no longer.
        p95: 95 of 100 took no longer.
        hits: Reads answered by a fresh copy.
        misses: Reads that asked the source.
        stale: Reads answered by an old copy.
        levels: Admission, by scheduler, highest level first.
    """

    rate: float = 0.0
    errors: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    hits: float = 0.0
    misses: float = 0.0
    stale: float = 0.0
    levels: tuple[LevelSample, ...] = field(default=())


def between(before: Snapshot | None, after: Snapshot) -> Sample | None:
    """Return what happened between two snapshots; None if that cannot be said.

    Args:
        before: The earlier one; of another process it counts for nothing.
        after: The later one.
    """
    if before is None or before.process.instance != after.process.instance:
        return None
    seconds = after.process.uptime - before.process.uptime
    if seconds < SHORTEST:
        return None
    earlier = {_key(one): one for one in before.calls}
    buckets, calls, errors = [0] * (len(BUCKETS) + 1), 0, 0
    for one in after.calls:
        was = earlier.get(_key(one))
        calls += _more(one.count, was.count if was else 0)
        errors += _more(one.errors, was.errors if was else 0)
        for slot, count in enumerate(_more_each(one.buckets, was.buckets if was else ())):
            if slot < len(buckets):
                buckets[slot] += count
    reads = _reads(after), _reads(before)
    hits, misses, stale = (_more(new, old) / seconds for new, old in zip(*reads, strict=True))
    p50, p95 = (share_within(BUCKETS, buckets, share) for share in (0.5, 0.95))
    return Sample(calls / seconds, errors / seconds, p50, p95, hits, misses, stale, _levels(before, after, seconds))


def merged(samples: Sequence[Sample]) -> Sample:
    """Return what several processes did at the same time, as if they were one with one scheduler.

    Of percentiles, which cannot be added, it is the worst.
    """
    names = dict.fromkeys(level.level for one in samples for level in one.levels)
    levels = [[level for one in samples for level in one.levels if level.level == name] for name in names]
    return Sample(
        sum(one.rate for one in samples),
        sum(one.errors for one in samples),
        max((one.p50 for one in samples), default=0.0),
        max((one.p95 for one in samples), default=0.0),
        sum(one.hits for one in samples),
        sum(one.misses for one in samples),
        sum(one.stale for one in samples),
        tuple(_merged_level(one) for one in levels),
    )


def _merged_level(levels: Sequence[LevelSample]) -> LevelSample:
    admitted = sum(one.admitted for one in levels)
    waited = sum(one.wait * one.admitted for one in levels)
    return LevelSample(
        "",
        levels[0].level,
        sum(one.in_use for one in levels),
        sum(one.queued for one in levels),
        admitted,
        sum(one.rejected for one in levels),
        waited / admitted if admitted else 0.0,
        max(one.p95 for one in levels),
    )


def share_within(bounds: Sequence[float], counts: Sequence[int], share: float) -> float:
    """Return within how many seconds a share of what was counted lies; the upper bound of its bucket.

    Args:
        bounds: Upper bounds of the buckets but the last, which has none.
        counts: How many are in each.
        share: From 0 to 1.
    """
    wanted, below = share * sum(counts), 0
    for bound, count in zip((*bounds, bounds[-1]), counts, strict=False):
        below += count
        if count and below >= wanted:
            return bound
    return 0.0


def _key(one: Calls) -> tuple[str, str, str]:
    return one.service, one.endpoint, one.origin


def _more(new: int, old: int) -> int:
    return new - old if new >= old else new


def _more_each(new: Sequence[int], old: Sequence[int]) -> Iterable[int]:
    padded = [*old, *[0] * (len(new) - len(old))]
    return (_more(one, was) for one, was in zip(new, padded, strict=False))


def _reads(snapshot: Snapshot) -> tuple[int, int, int]:
    found = [one.caches.reads for one in snapshot.services if one.caches is not None]
    return sum(one.hits for one in found), sum(one.misses for one in found), sum(one.stale for one in found)


def _levels(before: Snapshot, after: Snapshot, seconds: float) -> tuple[LevelSample, ...]:
    old = {(queue.name, level.level): level for queue in before.queues for level in queue.levels}
    return tuple(
        _level(queue.name, level, old.get((queue.name, level.level)), seconds)
        for queue in after.queues
        for level in queue.levels
    )


def _level(queue: str, new: QueueLevel, was: QueueLevel | None, seconds: float) -> LevelSample:
    admitted = _more(new.admitted, was.admitted if was else 0)
    rejected = _more(sum(new.rejected.values()), sum(was.rejected.values()) if was else 0)
    waited = max(0.0, new.waited - (was.waited if was and was.waited <= new.waited else 0.0))
    waits = list(_more_each(new.waits, was.waits if was else ()))
    at_once = max(0, admitted - sum(waits))
    return LevelSample(
        queue,
        new.level,
        new.in_use,
        new.queued,
        admitted / seconds,
        rejected / seconds,
        waited / admitted if admitted else 0.0,
        share_within((0.0, *WAITS), (at_once, *waits), 0.95),
    )
