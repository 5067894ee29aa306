"""First answers: what is kept of requests with an idempotency key, in the service's data backend.

    nothing, or freed    the key is free, and who stores a claim first has it: a fill under the lease of its look-up
    a claim              its request is running; the claim ends by itself, so that a process that dies blocks nobody
    an answer            it is given to all who repeat the request

All of them are records, with a digest of the request that the key was used for. What ends a claim is stored only where
the claim still stands, so nobody ends another's.
"""

import logging
from collections import Counter
from dataclasses import dataclass, replace
from secrets import token_bytes
from typing import Final

import anyio

from evox.data import DataIO, Entry, Lease, Store
from evox.errors import (
    BackendUnavailable,
    CapacityExceeded,
    DataError,
    IdempotencyConflict,
    IdempotencyMismatch,
    InsideTransaction,
    WriteOutcomeUnknown,
)
from evox.services.answers import Answer, revive

__all__ = ["PATIENCE", "Claim", "FirstAnswers", "FirstAnswersStatistics"]

TRIES: Final = 5  # times that a key is looked up anew because it has changed meanwhile
PATIENCE: Final = 5.0  # seconds for which a backend may hold up who has been answered, or has left
PAUSE: Final = 0.25  # seconds between two tries to keep an answer
BRIEF: Final = 1.0  # seconds for which it is kept that a key was freed; what says so means nothing by then
_ANSWER, _CLAIM, _FREED = b"a", b"c", b"f"
_DIGEST: Final = 32  # bytes
_log = logging.getLogger("evox.data")


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a request, and to say what the answer to its key is.

    Attributes:
        endpoint: The endpoint's name.
        store: Where it is kept.
        full: Under which key.
        digest: Of the request.
        data: What it is stored as; no other is the same.
        ends: When it ends by itself, in seconds of the backend's clock.
        version: Of what is stored; -1 if it is not known.
    """

    endpoint: str
    store: Store
    full: str
    digest: bytes
    data: bytes
    ends: float
    version: int = -1


@dataclass(frozen=True, slots=True)
class FirstAnswersStatistics:
    """First answers of one service from outside, since it started.

    Attributes:
        running: Requests that run now.
        claimed: Requests that were let run.
        kept: Answers that were kept.
        replayed: Requests that were given one.
        freed: Keys that were freed, as there was nothing to keep.
        conflicts: Requests that came while the first was running.
        mismatches: Requests that were not those that their key was used for.
        unkept: Answers that were given and could not be kept.
    """

    running: int
    claimed: int
    kept: int
    replayed: int
    freed: int
    conflicts: int
    mismatches: int
    unkept: int


class FirstAnswers:
    """The first answers of one running service.

    Args:
        data: Its data.
    """

    def __init__(self, data: DataIO) -> None:
        self._data = data
        self._home = data.homes.firsts()
        self._running: dict[str, bytes] = {}  # digests; claims may end before what runs here does
        self._counts: Counter[str] = Counter()
        self._told: set[str] = set()

    def __repr__(self) -> str:
        return f"<FirstAnswers {len(self._running)} running, {self._counts['kept']} kept>"

    async def claim(self, endpoint: str, key: str, digest: bytes, lease: float) -> Claim | Answer:
        """Take a key for a request, or return the answer that its first one was given.

        Args:
            endpoint: The endpoint's name.
            key: The key, of its caller and path.
            digest: Of the request.
            lease: Seconds for which it is taken, if nobody says what becomes of it.

        Raises:
            IdempotencyMismatch: if it was taken for another request.
            IdempotencyConflict: if the first one is still running.
            CapacityExceeded: if there is no room.
            BackendUnavailable, WriteOutcomeUnknown: if the backend does not answer.
        """
        store = await self._data.store_of(self._home)
        full = self._home.prefix + key
        running = self._running.get(full)
        if running is not None:
            raise self._taken(endpoint, running, digest)
        data = _CLAIM + digest + token_bytes(16)
        for _ in range(TRIES):
            reading = await store.get(full, near=False)
            kept = b"" if reading.entry is None else reading.entry.data
            if kept[:1] not in (b"", _FREED):
                if kept[:1] == _CLAIM or kept[1 : 1 + _DIGEST] != digest:
                    raise self._taken(endpoint, kept[1 : 1 + _DIGEST], digest)
                self._counts["replayed"] += 1
                return revive(kept[1 + _DIGEST :])
            claim = Claim(endpoint, store, full, digest, data, ends=store.backend.clock() + lease)
            try:
                version = await store.fill(full, _entry(store, data, lease), reading.lease, near=False)
            except anyio.get_cancelled_exc_class():
                with anyio.move_on_after(PATIENCE, shield=True):
                    await self.free(claim)  # it may have been stored
                raise
            if version:
                return self._begin(replace(claim, version=version))
        raise self._taken(endpoint, digest, digest)

    async def keep(self, claim: Claim, answer: Answer, ttl: float) -> None:
        """Keep the answer to a claim's request. Where that fails, it is logged: the request has been done.

        Args:
            claim: The claim; it ends.
            answer: The answer.
            ttl: Seconds for which it is kept.

        Raises:
            InsideTransaction: if it has to wait for the end of a transaction of this task; the claim stands.
        """
        data = _ANSWER + claim.digest + answer.seal()
        if len(data) > self._data.value_bytes:
            await self.free(claim)
            self.tell(claim, f"it takes {len(data)} bytes, and value_bytes allows {self._data.value_bytes}")
            return
        try:
            is_kept = await self._insist(claim, data, ttl)
        except InsideTransaction:
            raise
        except CapacityExceeded as error:
            await self.free(claim)
            self.tell(claim, error.what)
        except DataError as error:
            self.tell(claim, error.what)
        else:
            if is_kept:
                self._counts["kept"] += 1
            else:
                self.tell(claim, "it took so long that its key was free again, and another request has it now")

    async def free(self, claim: Claim) -> None:
        """Give a key back: there is no answer to keep. Where that fails, the claim ends by itself.

        Args:
            claim: The claim; it ends.

        Raises:
            InsideTransaction: if it has to wait for the end of a transaction of this task; the claim stands.
        """
        try:
            await self._end(claim, _FREED, BRIEF)
        except InsideTransaction:
            raise
        except DataError as error:
            left = max(0.0, claim.ends - claim.store.backend.clock())
            _log.warning("an idempotency key of %r stays taken for %.0f s: %s", claim.endpoint, left, error.what)
        else:
            self._counts["freed"] += 1

    def leave(self, claim: Claim) -> None:
        """Note that a claim's request runs no longer."""
        self._running.pop(claim.full, None)

    def tell(self, claim: Claim, why: str) -> None:
        """Count an answer that could not be kept; log the first one of each endpoint."""
        self._counts["unkept"] += 1
        if claim.endpoint not in self._told:
            self._told.add(claim.endpoint)
            _log.warning("an answer of %r is not kept for its idempotency key: %s", claim.endpoint, why)

    def statistics(self) -> FirstAnswersStatistics:
        """Return what was kept and given again."""
        names = ("claimed", "kept", "replayed", "freed", "conflicts", "mismatches", "unkept")
        return FirstAnswersStatistics(len(self._running), *(self._counts[name] for name in names))

    def _begin(self, claim: Claim) -> Claim:
        self._running[claim.full] = claim.digest
        self._counts["claimed"] += 1
        return claim

    def _taken(self, endpoint: str, held: bytes, digest: bytes) -> IdempotencyConflict | IdempotencyMismatch:
        if held != digest:
            self._counts["mismatches"] += 1
            return IdempotencyMismatch(f"{endpoint!r}")
        self._counts["conflicts"] += 1
        return IdempotencyConflict(f"{endpoint!r}")

    async def _insist(self, claim: Claim, data: bytes, ttl: float) -> bool:
        """Store something in the place of a claim, again while the backend fails: what was done cannot be undone."""
        ends = anyio.current_time() + PATIENCE
        while True:
            try:
                return await self._end(claim, data, ttl)
            except (BackendUnavailable, WriteOutcomeUnknown):
                if anyio.current_time() + PAUSE >= ends:
                    raise
                await anyio.sleep(PAUSE)

    async def _end(self, claim: Claim, data: bytes, ttl: float) -> bool:
        """Store something in the place of a claim; whether it still stood, or had ended and nobody else has the key."""
        store, lease = claim.store, Lease(claim.version)
        for _ in range(TRIES):
            if await store.fill(claim.full, _entry(store, data, ttl), lease, near=False):
                return True
            found = await store.get(claim.full, near=False)
            if found.entry is not None and found.entry.data not in (claim.data, _FREED):
                return found.entry.data == data  # the backend had done it, and could not say so
            lease = found.lease
        return False


def _entry(store: Store, data: bytes, ttl: float) -> Entry:
    now = store.backend.clock()
    return Entry(data, "b", now, now + ttl, now + ttl)
