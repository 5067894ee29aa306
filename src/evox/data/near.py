"""Near: copies in memory before a backend that other processes share.

A copy is used for ``l1_ttl`` at most, counted from before it was read, so nothing is ever further behind, whether or
not changes are reported. Reports make it better: a reported change takes the copy away. A copy is put only if nothing
was changed between the begin of its read and its end; whatever changed in between also says how new an answer must be
to be given to anyone here, so that this process never sees time run backwards.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from evox.data.backends.base import Change
from evox.data.clock import loop_clock
from evox.data.entries import FRESH_UNTIL, Entry, Row
from evox.data.shelf import OVERHEAD, Shelf, ShelfStatistics

__all__ = ["Near", "NearStatistics", "Watch"]

MORE: Final = 100  # bytes that a copy takes beside the entry; measured


class _Copy(NamedTuple):
    """A copy, or the knowledge that there is nothing. Begins as ``Entry`` does; ``keep_until`` is monotonic here.

    The last three are the entry's own, as it is where it is kept.
    """

    data: bytes
    form: str
    stored_at: float
    fresh_until: float
    keep_until: float
    evictable: bool
    tags: tuple[str, ...]
    version: int
    until: float
    there: bool
    kept_until: float
    droppable: bool

    def entry(self) -> Entry | None:
        """Return what was copied."""
        if not self.there:
            return None
        times = (self.stored_at, self.fresh_until, self.kept_until)
        return Entry(self.data, self.form, *times, self.droppable, self.tags, self.version)


_UNTIL, _THERE = _Copy._fields.index("until"), _Copy._fields.index("there")
_NOTHING = Entry(b"")


class Watch:
    """What happened to a key while it was read or written.

    Attributes:
        watchers: How many read or write it now.
        version: The newest version of it that became known here meanwhile.
        changed: Whether something else came between, of which no version of this key is known.
    """

    __slots__ = ("changed", "version", "watchers")

    def __init__(self) -> None:
        self.watchers = 0
        self.changed = False
        self.version = 0


@dataclass(frozen=True, slots=True)
class NearStatistics:
    """Copies held in memory before a shared backend."""

    on: bool
    hits: int
    misses: int
    dropped: int
    shelf: ShelfStatistics = field(repr=False)


class Near:
    """Copies of one backend's entries.

    Args:
        entries: How many.
        size: Bytes that they may take.
        ttl: Seconds a copy is used, ``l1_ttl``.

    Attributes:
        newest: The highest version that is known here.
    """

    def __init__(self, entries: int, size: int, ttl: float) -> None:
        self.ttl = ttl
        self.newest = 0
        self._clock = loop_clock()
        self._shelf = Shelf(entries, size, _Copy._make, overhead=OVERHEAD + MORE)
        self._on = True
        self._watches: dict[str, Watch] = {}
        self._hits = self._misses = self._dropped = 0

    def __repr__(self) -> str:
        return f"<Near {'on' if self._on else 'off'} {self._shelf!r}>"

    def look(self, key: str) -> tuple[bool, Entry | None]:
        """Return whether it is known what a key holds, and what."""
        now = self._clock()
        copy = self._shelf.get(key, now)
        if copy is None or copy.until <= now or not self._on:
            self._misses += 1
            return False, None
        self._hits += 1
        return True, copy.entry()

    def fresh(self, key: str, wall: Callable[[], float]) -> Row | None:
        """Return the row of what is known to be there and fresh, by the time of the store. Counts no miss."""
        now = self._clock()
        row = self._shelf.row(key, now)
        if row is None or row[_UNTIL] <= now or not self._on or not row[_THERE] or row[FRESH_UNTIL] <= wall():
            return None
        self._hits += 1
        return row

    def left(self, key: str) -> Entry | None:
        """Return a copy however old it is, for those to whom an old one is better than none."""
        copy = self._shelf.get(key, self._clock())
        return None if copy is None else copy.entry()

    def watch(self, key: str) -> Watch:
        """Begin to note changes of a key; ``unwatch`` ends it."""
        watch = self._watches.setdefault(key, Watch())
        watch.watchers += 1
        return watch

    def unwatch(self, key: str, watch: Watch) -> None:
        """End ``watch``."""
        watch.watchers -= 1
        if not watch.watchers and self._watches.get(key) is watch:
            del self._watches[key]

    def put(self, key: str, entry: Entry | None, version: int, *, since: float, keep: float = 0.0) -> None:
        """Hold a copy.

        Args:
            key: The key.
            entry: What it holds; None for nothing.
            version: The version of that state.
            since: When it was asked for, in monotonic seconds.
            keep: Seconds for which ``left`` may find it.
        """
        held = self._shelf.peek(key)
        if held is not None and held.version > version:
            return
        self._note(key, version)
        now = self._clock()
        until = since + self.ttl
        of = entry or _NOTHING
        copy = _Copy(
            *(of.data, of.form, of.stored_at, of.fresh_until, max(until, now + keep), True, of.tags, version),
            *(until, entry is not None, of.keep_until, of.evictable),
        )
        self._shelf.put(key, copy, now)

    def wrote(
        self, key: str, entry: Entry | None, version: int, watch: Watch, *, since: float, keep: float = 0.0
    ) -> None:
        """Note a change that this process made itself."""
        if watch.version > version:
            return
        if watch.changed:
            self.drop(key, version)
        else:
            self.put(key, entry, version, since=since, keep=keep)

    def drop(self, key: str, version: int = 0) -> None:
        """Take away a copy, if it is older than ``version``; 0 in any case."""
        self._note(key, version)
        held = self._shelf.peek(key)
        if held is not None and (version == 0 or held.version < version):
            self._shelf.drop(key)
            self._dropped += 1

    def changed(self, change: Change) -> None:
        """Take note of a change that another process made."""
        if change.key is not None:
            self.drop(change.key, change.version)
        if change.guard is not None:
            self.drop_guard(change.guard, change.version)

    def drop_guard(self, guard: str, version: int) -> None:
        """Take away the copies under a tag, or of a kind."""
        self.newest = max(self.newest, version - 1)  # callers name the version before which all are gone
        for watch in self._watches.values():
            watch.changed = True
        owner, _, name = guard.partition("/")
        group, _, kind = name.partition(":")
        prefix = f"{owner}/{kind}:"
        keys = self._shelf.tagged(guard) if group == "tag" else [key for key in self._shelf if key.startswith(prefix)]
        for key in keys:
            held = self._shelf.peek(key)
            if held is not None and held.version < version:
                self._shelf.drop(key)
                self._dropped += 1

    def off(self) -> None:
        """Use no copy from now on: changes are not reported."""
        self._on = False

    def on(self) -> None:
        """Begin anew: changes are reported from now on. What was missed is not known, so all copies are dropped."""
        for watch in self._watches.values():
            watch.changed = True
        self._shelf.clear()
        self._on = True

    def restart(self) -> None:
        """Begin anew with a store that counts anew: what is held says nothing of it."""
        self.newest = 0
        self._shelf.clear()
        for watch in self._watches.values():
            watch.changed, watch.version = True, 0

    def statistics(self) -> NearStatistics:
        """Return hits, misses and what is held."""
        return NearStatistics(self._on, self._hits, self._misses, self._dropped, self._shelf.statistics())

    def _note(self, key: str, version: int) -> None:
        self.newest = max(self.newest, version)
        watch = self._watches.get(key)
        if watch is not None:
            watch.version = max(watch.version, version)
            watch.changed = watch.changed or version == 0
