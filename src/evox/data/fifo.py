"""Fifo: what to drop when there is no more room. S3-FIFO (Yang et al., SOSP 2023).

New keys enter a small queue; only those read again while they are there reach the main one, so a scan of keys that are
read once cannot empty the cache. Keys dropped from the small queue are remembered for a while without their values: one
that comes back was dropped too early, and goes straight to the main queue. No operation looks at more than a few keys.

A large one is made of several shards, which give way in turn: a dictionary of 300,000 keys that grows copies them all,
and everybody waits for that; one of 10,000 is done in a fraction of a millisecond.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Final, Generic, TypeVar

__all__ = ["Fifo"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
SHARE: Final = 10  # one part in ten is the small queue's
MOST: Final = 3  # reads that are counted
SHARD: Final = 16_384  # entries to a shard
SHARDS: Final = 64  # at most: an empty one takes memory too


class Fifo(Generic[K, V]):
    """Bounded by number and size of its values.

    Args:
        entries: How many it may hold.
        size: What their sizes may add up to.
        measure: The size of a key and its value. It is asked again when they go, instead of being kept with each.
    """

    def __init__(self, entries: int, size: int, measure: Callable[[K, V], int]) -> None:
        self.entries = entries
        self.limit = size
        self.size = self.evicted = self._count = self._turn = 0
        self._measure = measure
        number = 1
        while number * SHARD < entries and number < SHARDS:
            number *= 2
        self._mask = number - 1
        self._shards: list[_Shard[K, V]] = [_Shard(measure) for _ in range(number)]

    def __repr__(self) -> str:
        return f"<Fifo {len(self)}/{self.entries}, {self.size}/{self.limit} bytes>"

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: K) -> bool:
        return self.peek(key) is not None

    def __iter__(self) -> Iterator[K]:
        for shard in self._shards:
            yield from shard.main
            yield from shard.small

    def get(self, key: K) -> V | None:
        """Return a value, and count the read."""
        return self._shards[hash(key) & self._mask].get(key)

    def peek(self, key: K) -> V | None:
        """Return a value without counting."""
        return self._shards[hash(key) & self._mask].peek(key)

    def put(self, key: K, value: V) -> list[tuple[K, V]]:
        """Store a value, and return what was dropped to make room; that may be the value itself if it is too large."""
        shard, size = self._shards[hash(key) & self._mask], self._measure(key, value)
        earlier = shard.peek(key)
        if earlier is not None:
            grown = size - self._measure(key, earlier)
            shard.replace(key, value, grown)
            self.size += grown
        elif size > self.limit or self.entries < 1:
            return [(key, value)]
        else:
            shard.insert(key, value, size)
            self.size += size
            self._count += 1
        return self._fit()

    def pop(self, key: K) -> V | None:
        """Take a value out."""
        value = self._shards[hash(key) & self._mask].pop(key)
        if value is not None:
            self.size -= self._measure(key, value)
            self._count -= 1
        return value

    def resize(self, entries: int, limit: int) -> list[tuple[K, V]]:
        """Change its bounds, and return what was dropped for it."""
        self.entries, self.limit = entries, limit
        return self._fit()

    def clear(self) -> None:
        """Forget everything."""
        for shard in self._shards:
            shard.clear()
        self.size = self._count = 0

    def _fit(self) -> list[tuple[K, V]]:
        dropped: list[tuple[K, V]] = []
        number = len(self._shards)
        while self._count and (self.size > self.limit or self._count > self.entries):
            self._turn += 1
            shard = self._shards[self._turn & self._mask]
            if len(shard):
                key, value = shard.evict(self.entries // number, self.limit // number)
                self.size -= self._measure(key, value)
                self._count -= 1
                self.evicted += 1
                dropped.append((key, value))
        return dropped


class _Shard(Generic[K, V]):
    """The two queues, and the ghosts of the small one."""

    __slots__ = ("ghosts", "main", "measure", "reads", "small", "small_size")

    def __init__(self, measure: Callable[[K, V], int]) -> None:
        self.measure = measure
        self.small: OrderedDict[K, V] = OrderedDict()
        self.main: OrderedDict[K, V] = OrderedDict()
        self.ghosts: OrderedDict[int, None] = OrderedDict()
        self.reads: dict[K, int] = {}
        self.small_size = 0

    def __len__(self) -> int:
        return len(self.small) + len(self.main)

    def get(self, key: K) -> V | None:
        value = self.main.get(key)
        if value is None:
            value = self.small.get(key)
            if value is None:
                return None
        reads = self.reads.get(key, 0)
        if reads < MOST:
            self.reads[key] = reads + 1
        return value

    def peek(self, key: K) -> V | None:
        value = self.main.get(key)
        return self.small.get(key) if value is None else value

    def insert(self, key: K, value: V, size: int) -> None:
        mark = hash(key)
        if mark in self.ghosts:
            del self.ghosts[mark]
            self.main[key] = value
        else:
            self.small[key] = value
            self.small_size += size

    def replace(self, key: K, value: V, grown: int) -> None:
        if key in self.main:
            self.main[key] = value
        else:
            self.small[key] = value
            self.small_size += grown

    def pop(self, key: K) -> V | None:
        self.reads.pop(key, None)
        value = self.main.pop(key, None)
        if value is None:
            value = self.small.pop(key, None)
            if value is not None:
                self.small_size -= self.measure(key, value)
        return value

    def evict(self, entries: int, limit: int) -> tuple[K, V]:
        while True:
            full = len(self.small) * SHARE >= entries or self.small_size * SHARE >= limit
            if self.small and (full or not self.main):
                key, value = self.small.popitem(last=False)
                self.small_size -= self.measure(key, value)
                if self.reads.pop(key, 0) > 1:
                    self.main[key] = value
                    continue
                self._remember(key)
                return key, value
            key, value = self.main.popitem(last=False)
            reads = self.reads.pop(key, 0)
            if not reads:
                return key, value
            if reads > 1:
                self.reads[key] = reads - 1
            self.main[key] = value

    def clear(self) -> None:
        self.small.clear()
        self.main.clear()
        self.ghosts.clear()
        self.reads.clear()
        self.small_size = 0

    def _remember(self, key: K) -> None:
        self.ghosts[hash(key)] = None
        if len(self.ghosts) > len(self):
            self.ghosts.popitem(last=False)
