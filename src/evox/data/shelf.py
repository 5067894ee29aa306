"""Shelf: entries in memory, bounded. Copies make room for each other and for records; records stay.

Used twice: as the whole store of the memory backend, and as the copies held before a shared backend. What has expired
is not returned, and is taken away a few at a time by later changes, so that no moment pays for 300,000 of them.
"""

import heapq
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from evox.data.entries import DATA, EVICTABLE, KEEP_UNTIL, TAGS, VERSION, Row
from evox.data.fifo import Fifo

__all__ = ["OVERHEAD", "TAG_OVERHEAD", "Shelf", "ShelfStatistics"]

E = TypeVar("E", bound=Row)
OVERHEAD: Final = 700  # bytes that an entry takes beside its key and value, when others come and go; measured
TAG_OVERHEAD: Final = 360  # bytes that each of its tags takes beside its text, where no other entry has it; measured
SPARSE: Final = 500  # bytes for each key in a set above which the set is made anew; a full one takes 30 to 70
SLACK: Final = 4096
LARGE: Final = 1_000_000  # bytes above which a set is not made anew: everybody would wait for that
STALE: Final = 10_000  # seconds that are kept though nothing expires in them
SWEPT: Final = 64  # expired entries that one change takes away; fewer would let young objects pile up for the collector


@dataclass(frozen=True, slots=True)
class ShelfStatistics:
    """What is held in memory. Sizes in bytes."""

    copies: int
    records: int
    size: int
    limit: int
    evicted: int
    expired: int


class Shelf(Generic[E]):
    """Entries by key, kept as rows.

    Args:
        entries: How many it may hold, copies and records together.
        size: Bytes that they may take.
        kind: Makes an entry of a row: a named tuple that begins as ``Entry`` does.
        overhead: Bytes that an entry takes beside its key, value and tags.
        on_drop: Told key and version of each entry that expired or was dropped to make room.
    """

    def __init__(
        self,
        entries: int,
        size: int,
        kind: Callable[[Row], E],
        *,
        overhead: int = OVERHEAD,
        on_drop: Callable[[str, int], None] | None = None,
    ) -> None:
        self._overhead = overhead
        self._on_drop = on_drop
        self._entries = entries
        self._limit = size
        self._kind = kind
        self._copies: Fifo[str, Row] = Fifo(entries, size, self._size)
        self._records: dict[str, Row] = {}
        self._records_size = 0
        self._tags: dict[str, set[str]] = {}
        self._due: dict[int, set[str]] = {}  # keys by the second in which they expire
        self._seconds: list[int] = []
        self._expired = 0

    def __repr__(self) -> str:
        return f"<Shelf {len(self)} entries, {self._copies.size + self._records_size}/{self._limit} bytes>"

    def __len__(self) -> int:
        return len(self._copies) + len(self._records)

    def __iter__(self) -> Iterator[str]:
        yield from self._copies
        yield from self._records

    def get(self, key: str, now: float) -> E | None:
        """Return an entry that is still kept."""
        row = self.row(key, now)
        return None if row is None else self._kind(row)

    def row(self, key: str, now: float) -> Row | None:
        """Return an entry that is still kept, as it is held."""
        row = self._copies.get(key) or self._records.get(key)
        return row if row is not None and row[KEEP_UNTIL] > now else None

    def peek(self, key: str) -> E | None:
        """Return an entry, expired or not, without counting it as read."""
        row = self._copies.peek(key) or self._records.get(key)
        return None if row is None else self._kind(row)

    def put(self, key: str, entry: E, now: float) -> bool:
        """Store an entry; False if it is a record and there is no room for it among records."""
        row = tuple(entry)
        size = self._size(key, row)
        earlier = self._copies.peek(key) or self._records.get(key)
        if not row[EVICTABLE]:
            freed = 0 if earlier is None or earlier[EVICTABLE] else self._size(key, earlier)
            self._sweep(now, all_due=self._records_size - freed + size > self._limit)
            taken = self._records_size - (freed if key in self._records else 0)
            full = len(self._records) >= self._entries and key not in self._records
            if taken + size > self._limit or full:
                return False
        self._sweep(now)
        if earlier is not None:
            self.drop(key)
        self._index(key, row)
        if row[EVICTABLE]:
            self._forget(self._copies.put(key, row))
        else:
            self._records[key] = row
            self._records_size += size
            self._leave_room()
        return True

    def drop(self, key: str) -> E | None:
        """Take an entry away, and return it."""
        row = self._copies.pop(key)
        if row is None:
            row = self._records.pop(key, None)
            if row is None:
                return None
            self._records_size -= self._size(key, row)
            self._leave_room()
        self._unindex(key, row)
        return self._kind(row)

    def tagged(self, tag: str) -> tuple[str, ...]:
        """Return the keys under a tag."""
        return tuple(self._tags.get(tag, ()))

    def clear(self) -> None:
        """Take everything away."""
        self._copies.clear()
        self._records.clear()
        self._tags.clear()
        self._due.clear()
        self._seconds.clear()
        self._records_size = 0

    def statistics(self) -> ShelfStatistics:
        """Return how much is held, and how much was dropped."""
        return ShelfStatistics(
            copies=len(self._copies),
            records=len(self._records),
            size=self._copies.size + self._records_size,
            limit=self._limit,
            evicted=self._copies.evicted,
            expired=self._expired,
        )

    def _leave_room(self) -> None:
        """Leave to copies what records do not take."""
        self._forget(self._copies.resize(self._entries - len(self._records), self._limit - self._records_size))

    def _forget(self, dropped: list[tuple[str, Row]]) -> None:
        for key, row in dropped:
            self._unindex(key, row)
            if self._on_drop is not None:
                self._on_drop(key, row[VERSION])

    def _index(self, key: str, row: Row) -> None:
        for tag in row[TAGS]:
            self._tags.setdefault(tag, set()).add(key)
        if row[KEEP_UNTIL] != math.inf:
            second = int(row[KEEP_UNTIL]) + 1
            due = self._due.get(second)
            if due is None:
                due = self._due[second] = set()
                heapq.heappush(self._seconds, second)
                if len(self._seconds) > 2 * len(self._due) + STALE:
                    self._seconds = sorted(self._due)  # without those that are empty by now, or there twice
            due.add(key)

    def _unindex(self, key: str, row: Row) -> None:
        for tag in row[TAGS]:
            keys = self._tags.get(tag)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._tags[tag]
        if row[KEEP_UNTIL] != math.inf:
            second = int(row[KEEP_UNTIL]) + 1
            due = self._due.get(second)
            if due is not None:
                due.discard(key)
                if not due:
                    del self._due[second]
                elif SPARSE * len(due) + SLACK < sys.getsizeof(due) <= LARGE:
                    self._due[second] = set(due)  # a set never gives room back by itself

    def _sweep(self, now: float, *, all_due: bool = False) -> None:
        """Take away a few entries that have expired, or all of them before a record is turned down."""
        budget = math.inf if all_due else SWEPT
        while self._seconds and self._seconds[0] <= now and budget > 0:
            due = self._due.get(self._seconds[0])
            if not due:
                self._due.pop(heapq.heappop(self._seconds), None)
                continue
            key = due.pop()  # not next(iter(due)), which looks anew at all that is gone already
            gone = self.drop(key)
            if gone is not None and self._on_drop is not None:
                self._on_drop(key, gone[VERSION])
            self._expired += 1
            budget -= 1

    def _size(self, key: str, row: Row) -> int:
        size = self._overhead + _width(key) + len(row[DATA])
        for tag in row[TAGS]:
            size += TAG_OVERHEAD + _width(tag)
        return size


def _width(text: str) -> int:
    return len(text) if text.isascii() else 4 * len(text)  # one character that is wide makes all of them so
