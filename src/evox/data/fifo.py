"""Fifo: what to drop when there is no more room. S3-FIFO (Yang et al., SOSP 2023).

New keys enter a small queue; only those read again while they are there reach the main one, so a scan of keys that are
read once cannot empty the cache. Keys dropped from the small queue are remembered for a while without their values: one
that comes back was dropped too early, and goes straight to the main queue. No operation looks at more than a few keys.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

__all__ = ["Fifo"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
SHARE: Final = 10  # one part in ten is the small queue's
MOST: Final = 3  # reads that are counted


class _Node(Generic[V]):
    __slots__ = ("reads", "size", "value")

    def __init__(self, value: V, size: int) -> None:
        self.value, self.size, self.reads = value, size, 0


class Fifo(Generic[K, V]):
    """Bounded by number and size of its values.

    Args:
        entries: How many it may hold.
        size: What their sizes may add up to.
    """

    def __init__(self, entries: int, size: int) -> None:
        self.entries = entries
        self.limit = size
        self.size = self.evicted = 0
        self._small: OrderedDict[K, _Node[V]] = OrderedDict()
        self._main: OrderedDict[K, _Node[V]] = OrderedDict()
        self._ghosts: OrderedDict[int, None] = OrderedDict()
        self._small_size = 0

    def __repr__(self) -> str:
        return f"<Fifo {len(self)}/{self.entries}, {self.size}/{self.limit} bytes>"

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def __contains__(self, key: K) -> bool:
        return key in self._main or key in self._small

    def __iter__(self) -> Iterator[K]:
        yield from self._main
        yield from self._small

    def get(self, key: K) -> V | None:
        """Return a value, and count the read."""
        node = self._main.get(key) or self._small.get(key)
        if node is None:
            return None
        if node.reads < MOST:
            node.reads += 1
        return node.value

    def peek(self, key: K) -> V | None:
        """Return a value without counting."""
        node = self._main.get(key) or self._small.get(key)
        return None if node is None else node.value

    def put(self, key: K, value: V, size: int) -> list[tuple[K, V]]:
        """Store a value, and return what was dropped to make room; that may be the value itself if it is too large."""
        node = self._main.get(key) or self._small.get(key)
        if node is not None:
            self._resize(key, node, size)
            node.value = value
        elif size > self.limit or self.entries < 1:
            return [(key, value)]
        else:
            self._insert(key, _Node(value, size))
        return self._fit()

    def pop(self, key: K) -> V | None:
        """Take a value out."""
        node = self._main.pop(key, None)
        if node is None:
            node = self._small.pop(key, None)
            if node is None:
                return None
            self._small_size -= node.size
        self.size -= node.size
        return node.value

    def resize(self, entries: int, limit: int) -> list[tuple[K, V]]:
        """Change its bounds, and return what was dropped for it."""
        self.entries, self.limit = entries, limit
        return self._fit()

    def clear(self) -> None:
        """Forget everything."""
        self._small.clear()
        self._main.clear()
        self._ghosts.clear()
        self.size = self._small_size = 0

    def _fit(self) -> list[tuple[K, V]]:
        dropped: list[tuple[K, V]] = []
        while (self.size > self.limit or len(self) > self.entries) and (self._small or self._main):
            dropped.append(self._evict())
        return dropped

    def _insert(self, key: K, node: _Node[V]) -> None:
        mark = hash(key)
        if mark in self._ghosts:
            del self._ghosts[mark]
            self._main[key] = node
        else:
            self._small[key] = node
            self._small_size += node.size
        self.size += node.size

    def _resize(self, key: K, node: _Node[V], size: int) -> None:
        self.size += size - node.size
        if key in self._small:
            self._small_size += size - node.size
        node.size = size

    def _evict(self) -> tuple[K, V]:
        while True:
            full = len(self._small) * SHARE >= self.entries or self._small_size * SHARE >= self.limit
            if self._small and (full or not self._main):
                key, node = self._small.popitem(last=False)
                self._small_size -= node.size
                if node.reads > 1:
                    node.reads = 0
                    self._main[key] = node
                    continue
                self._remember(key)
            else:
                key, node = self._main.popitem(last=False)
                if node.reads:
                    node.reads -= 1
                    self._main[key] = node
                    continue
            self.size -= node.size
            self.evicted += 1
            return key, node.value

    def _remember(self, key: K) -> None:
        self._ghosts[hash(key)] = None
        if len(self._ghosts) > self.entries:
            self._ghosts.popitem(last=False)
