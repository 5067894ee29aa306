"""Durations: how long calls took, by endpoint and status, in the buckets that OpenTelemetry advises for HTTP servers.

Counted in plain lists as calls end, because that happens on the way of every request; metrics and views read them.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["BUCKETS", "Cell", "Durations", "Key", "quantile"]

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds in seconds."""
MOST: Final = 5_000  # cells; an app that makes routes without end fills no more
OTHERS: Final = "(others)"


class Key(NamedTuple):
    """What is counted apart. ``origin`` is ``"http"`` or ``"internal"``."""

    service: str
    endpoint: str
    origin: str
    status: int


class Cell:
    """The calls of one key: how many ended within each bucket, the last of which has no bound, and seconds in all."""

    __slots__ = ("counts", "longest", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.seconds = self.longest = 0.0

    def __repr__(self) -> str:
        return f"<Cell of {self.count} calls>"

    @property
    def count(self) -> int:
        """How many calls."""
        return sum(self.counts)

    def add(self, seconds: float) -> None:
        """Count one call."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds
        if seconds > self.longest:  # noqa: PLR1730  half the time of max()
            self.longest = seconds

    def merge(self, other: "Cell") -> None:
        """Count the calls of another cell too."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.seconds += other.seconds
        self.longest = max(self.longest, other.longest)


class Durations:
    """The calls of one runtime."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str, str, int], Cell] = {}

    def __repr__(self) -> str:
        return f"<Durations of {len(self._cells)} kinds of calls>"

    def __iter__(self) -> Iterator[tuple[Key, Cell]]:
        return ((Key(*key), cell) for key, cell in sorted(self._cells.items()))

    def add(self, service: str, endpoint: str, origin: str, status: int, seconds: float) -> None:
        """Count one call that ended."""
        key = (service, endpoint, origin, status)
        cell = self._cells.get(key)
        if cell is None:
            if len(self._cells) >= MOST:
                key = (service, OTHERS, origin, status)
            cell = self._cells.setdefault(key, Cell())
        cell.counts[bisect_left(BUCKETS, seconds)] += 1  # as ``Cell.add``: this is done for each call
        cell.seconds += seconds
        cell.longest = max(cell.longest, seconds)

    def of_service(self, service: str) -> Iterator[tuple[Key, Cell]]:
        """Return those of one service."""
        return ((key, cell) for key, cell in self if key.service == service)


def quantile(cell: Cell, share: float) -> float:
    """Return the seconds within which a share of the calls ended, interpolated within its bucket.

    Args:
        cell: The calls.
        share: From 0 to 1.
    """
    wanted, below = share * cell.count, 0
    for slot, count in enumerate(cell.counts):
        if count and below + count >= wanted:
            low = BUCKETS[slot - 1] if slot else 0.0
            high = BUCKETS[slot] if slot < len(BUCKETS) else cell.longest
            return min(cell.longest, low + (high - low) * (wanted - below) / count)
        below += count
    return cell.longest
