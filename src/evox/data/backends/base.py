"""Backend: what a place that keeps entries must do. One contract suite holds all of them to it.

Every change gets a version from a counter of the whole store, so that of two states of a key it is known which came
later, whatever happened between them. What is filled in from elsewhere is stored under a lease: it was taken when the
key was looked up, and is worth nothing once that key, a tag or a group of keys was changed or invalidated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from anyio.abc import TaskGroup

from evox.data.entries import Entry
from evox.data.policy import Facts

__all__ = ["Backend", "BackendStatistics", "Change", "Lease", "OnChange", "Reading", "Removed"]


class Lease(NamedTuple):
    """What was seen when a key was looked up: the version of its state, and of each guard."""

    version: int
    guards: tuple[tuple[str, int], ...] = ()


class Reading(NamedTuple):
    """What a key held: an entry or nothing, and the lease to fill it."""

    entry: Entry | None
    lease: Lease


class Removed(NamedTuple):
    """What a deletion or invalidation did: its version, and how many entries it took away."""

    version: int
    number: int


class Change(NamedTuple):
    """A change that was made in another process: of one key, or of all under a guard (a tag, or a kind's keys)."""

    version: int
    key: str | None = None
    guard: str | None = None


class OnChange(Protocol):
    """Where a backend reports changes that others made."""

    def changed(self, change: Change) -> None:
        """Take note of a change."""

    def lost(self) -> None:
        """From now on changes may be missed."""

    def found(self) -> None:
        """From now on no change is missed; those before may have been."""


@dataclass(frozen=True, slots=True)
class BackendStatistics:
    """A backend from outside: what it is, where, how much it did, and whether it answered last time."""

    name: str
    shown: str
    operations: int
    failures: int
    available: bool
    detail: str = ""


class Backend(Protocol):
    """A place that keeps entries. Keys and guards are texts that mean nothing to it.

    Raises of every operation: ``BackendUnavailable`` if it does not answer in time and nothing was changed;
    ``WriteOutcomeUnknown`` if a change was sent and no answer came.
    """

    @property
    def facts(self) -> Facts:
        """What it can do; known once it is open."""

    def clock(self) -> float:
        """Return the time by which entries live, in seconds."""

    async def open(self, group: TaskGroup, on_change: OnChange) -> None:
        """Connect, make what has to be there, and begin to report changes.

        Raises:
            BackendUnavailable: if it cannot be reached.
            BackendRefused: if it does not let us.
            UnsupportedSchema: if a newer Evox has made the store.
        """

    async def close(self) -> None:
        """Disconnect."""

    async def get(self, key: str, guards: Sequence[str] = ()) -> Reading:
        """Return what a key holds; what is past ``keep_until`` it does not hold.

        Args:
            key: The key.
            guards: What the lease is to notice beside changes of the key.

        Raises:
            CorruptValue: if what is there cannot be read.
        """

    async def put(self, key: str, entry: Entry) -> int:
        """Store an entry and return its version.

        Raises:
            CapacityExceeded: if there is no room.
        """

    async def fill(self, key: str, entry: Entry, lease: Lease) -> int:
        """Store an entry unless something changed since the lease; return its version, or 0 if it was not stored."""

    async def delete(self, key: str) -> Removed:
        """Remove a key."""

    async def invalidate(self, key: str) -> Removed:
        """Remove a key if it is evictable, and end leases on it."""

    async def invalidate_prefix(self, prefix: str, guard: str) -> Removed:
        """Remove the evictable entries whose keys begin so, and end leases that noted the guard."""

    async def invalidate_tags(self, tags: Sequence[str]) -> Removed:
        """Remove the evictable entries under any of the tags, and end leases that noted one of them."""

    async def count_prefix(self, prefix: str) -> int:
        """Return how many entries ``invalidate_prefix`` would take away. Changes nothing."""

    async def count_tags(self, tags: Sequence[str]) -> int:
        """Return how many entries ``invalidate_tags`` would take away. Changes nothing."""

    def statistics(self) -> BackendStatistics:
        """Return what it is and how it does."""
