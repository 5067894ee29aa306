"""Guarded: caching of answers that dependencies guard or change.

A hit here runs every dependency, on a seat, and skips only the handler: by then it is known whom they let through, and
to what. A miss runs in its own request, because what dependencies opened is its own; others who want the same
answer wait for it once.
"""

from typing import Any, NamedTuple

import anyio
from starlette.responses import Response

from evox.data import DataIO, Entry, Intent, Outcome, Policy, Store
from evox.services.caching import AnswerCache, data_of
from evox.services.call import Call
from evox.services.endpoint import Endpoint
from evox.services.failing import FAILURES, is_failure, response_to, says_nothing
from evox.services.inputs import Inputs
from evox.services.pipeline import Inner, Outer

__all__ = ["GuardedCache"]


class _Pending(NamedTuple):
    """A miss: where its answer goes, and what there is in its stead."""

    data: DataIO
    store: Store
    key: str
    guards: tuple[str, ...]
    lease: Any
    stale: Entry | None
    turn: anyio.Event


class GuardedCache(AnswerCache):
    """Keeps the answers of one endpoint that has dependencies."""

    def __init__(self, row: Endpoint, intent: Intent, policy: Policy, inputs: Inputs) -> None:
        super().__init__(row, intent, policy, inputs)
        self._private = True
        self._turns: dict[str, anyio.Event] = {}

    async def outer(self, call: Call, then: Outer) -> Any:
        """Keep what was made."""
        call.kept = data_of() is not None and await self.concerns(call)
        try:
            response = await then(call)
        except Exception as error:
            if call.pending is not None and says_nothing(error, self._policy):
                return await self._keep(call, call.pending, await response_to(error, call.request))
            if call.pending is None or call.pending.stale is None or not is_failure(error):
                raise
            return self._stale(call, call.pending, error)
        else:
            return response if call.pending is None else await self._keep(call, call.pending, response)
        finally:
            if call.pending is not None:
                self._end_turn(call.pending)

    async def inner(self, call: Call, arguments: dict[str, Any], then: Inner) -> Any:
        """Look an answer up: dependencies have run, and have let it through."""
        data = data_of()
        if data is None or not call.kept:
            return await then(call, arguments)
        store, key = await self.place(data, call, arguments)
        found = await self._find(call, data, store, key, self.guards(data, call))
        return found if found is not None else await then(call, arguments)

    async def _find(self, call: Call, data: DataIO, store: Store, key: str, guards: tuple[str, ...]) -> Response | None:
        """Return a kept answer, or None when this call is to make one."""
        for waited in (False, True):
            reading = await store.get(key, guards, near=self._policy.near)
            entry, now = reading.entry, store.backend.clock()
            if entry is not None and now < entry.fresh_until:
                data.through.count_hit()
                return self.give(call, Outcome("hit", entry), store)
            turn = self._turns.get(key)
            if turn is None or waited:
                break
            await turn.wait()
        stale = entry if entry is not None and now < entry.fresh_until + self._policy.max_stale else None
        error = data.through.waits(key)
        if error is not None and stale is not None:
            return self.give(call, data.through.serve_stale(stale, error), store)
        turn = self._turns.setdefault(key, anyio.Event())
        call.pending = _Pending(data, store, key, guards, reading.lease, stale, turn)
        return None

    async def _keep(self, call: Call, pending: _Pending, response: Response) -> Response:
        if response.status_code in FAILURES:
            error = RuntimeError(f"status {response.status_code}")
            return response if pending.stale is None else self._stale(call, pending, error)
        loaded = self.loaded(response, pending.guards, pending.data.value_bytes)
        if loaded is None:
            return response
        stored = await pending.data.through.keep(pending.store, pending.key, self._policy, loaded, pending.lease)
        outcome = Outcome("miss", loaded.entry, loaded.value, stored=stored)
        made = self.give(call, outcome, pending.store)
        made.background = response.background
        return made

    def _stale(self, call: Call, pending: _Pending, error: Exception) -> Response:
        assert pending.stale is not None  # noqa: S101  asked for by who calls
        return self.give(call, pending.data.through.give_up(pending.key, pending.stale, error), pending.store)

    def _end_turn(self, pending: _Pending) -> None:
        if self._turns.get(pending.key) is pending.turn:
            del self._turns[pending.key]
        pending.turn.set()
