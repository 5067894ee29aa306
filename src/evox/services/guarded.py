"""Guarded: caching of answers that dependencies guard or change.

A hit here runs every dependency, on a seat, and skips only the handler: by then it is known whom they let through, and
to what. A miss runs in its own request, because what dependencies opened is its own; others who want the same
answer wait for it once. What dependencies set on the response is each request's own, and is never kept.
"""

from typing import Any, NamedTuple

import anyio
from starlette.responses import Response

from evox.data import DataIO, Entry, Intent, Lease, Outcome, Policy, Store
from evox.errors import BackendUnavailable, InvalidDeclaration, SourceTimeout
from evox.services.caching import AnswerCache, data_of
from evox.services.call import Call
from evox.services.endpoint import Endpoint
from evox.services.failing import FAILURES, FailedAnswer, fails, response_to, says_nothing
from evox.services.inputs import Inputs
from evox.services.pipeline import Inner, Outer

__all__ = ["GuardedCache"]


class _Pending(NamedTuple):
    """A miss: where its answer goes, and what there is in its stead."""

    data: DataIO
    store: Store
    key: str
    guards: tuple[str, ...]
    lease: Lease
    stale: Entry | None
    turn: anyio.Event


class GuardedCache(AnswerCache):
    """Keeps the answers of one endpoint that has dependencies.

    Raises:
        InvalidDeclaration: if its handler would have to go on when its request, and with it what dependencies have
            opened, is over.
    """

    def __init__(self, row: Endpoint, intent: Intent, policy: Policy, inputs: Inputs) -> None:
        super().__init__(row, intent, policy, inputs)
        for option in ("soft_timeout", "eager"):
            if getattr(policy, option) is not None:
                why = (
                    "its dependencies end with the request, so its handler cannot go on in the background: "
                    f"leave {option} out, or load what takes long with data_io.read(..., loader=...)"
                )
                on = f"endpoint {row.name!r}"
                raise InvalidDeclaration(option, getattr(policy, option), on=on, why=why, place=row.place)
        self._private = True
        self._missed = "miss"
        self._turns: dict[str, anyio.Event] = {}

    async def outer(self, call: Call, then: Outer) -> Any:
        """Keep what was made."""
        data = data_of()
        call.kept = data is not None and await self.concerns(call)
        call.since = data.flights.moves if data is not None else 0
        try:
            response = await then(call)
        except Exception as error:
            # Raised on wherever that can be: dependencies may undo things when they see it.
            if call.pending is not None and says_nothing(error, self._policy):
                return await self._keep(call, call.pending, await response_to(error, call.request))
            if call.pending is None or call.pending.stale is None or not await fails(error, call.request):
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
        if call.response is not None:
            call.own_headers = tuple(call.response.headers.raw)
        store, key = await self.place(data, call, arguments)
        found = await self._find(call, data, store, key, self.guards(data, call))
        if found is not None:
            return found
        if self._policy.timeout is None:
            return await then(call, arguments)
        with anyio.move_on_after(self._policy.timeout):
            return await then(call, arguments)
        raise SourceTimeout(self._row.name, self._policy.timeout)

    async def _find(self, call: Call, data: DataIO, store: Store, key: str, guards: tuple[str, ...]) -> Response | None:
        """Return a kept answer, or None when this call is to make one."""
        for waited in (False, True):
            entry, lease = await self._look(store, key, guards)
            now = store.backend.clock()
            if entry is not None and now < entry.fresh_until:
                data.through.count_hit()
                return self.give(call, Outcome("hit", entry), store)
            turn = self._turns.get(key)
            if turn is None or waited:
                break
            with anyio.CancelScope(deadline=call.deadline):
                await turn.wait()
        stale = entry if entry is not None and now < entry.fresh_until + self._policy.max_stale else None
        error = data.through.waits(key)
        if error is not None and stale is not None:
            return self.give(call, data.through.serve_stale(stale, error), store)
        turn = self._turns.setdefault(key, anyio.Event())
        call.pending = _Pending(data, store, key, guards, lease, stale, turn)
        return None

    async def _look(self, store: Store, key: str, guards: tuple[str, ...]) -> tuple[Entry | None, Lease]:
        try:
            return await store.get(key, guards, near=self._policy.near)
        except BackendUnavailable:
            if self._policy.strong:
                raise
            return None, Lease(-1)  # a cache that is down is no reason not to ask the handler

    async def _keep(self, call: Call, pending: _Pending, response: Response) -> Response:
        data = pending.data
        if response.status_code in FAILURES:
            return response if pending.stale is None else self._stale(call, pending, FailedAnswer(response))
        loaded = self.loaded(response, pending.guards, data.value_bytes, call.own_headers)
        if loaded is None:
            return response
        # The lease is from after the dependencies, which may have read what the answer is made of before a change.
        lease = Lease(-1) if data.flights.moved(pending.guards, call.since) else pending.lease
        stored = await data.through.keep(pending.store, pending.key, self._policy, loaded, lease)
        replaces = pending.stale is not None
        outcome = Outcome("miss", loaded.entry, loaded.value, stored=stored, replaces=replaces)
        made = self.give(call, outcome, pending.store)
        made.background = response.background
        return made

    def _stale(self, call: Call, pending: _Pending, error: Exception) -> Response:
        assert pending.stale is not None  # noqa: S101  asked for by who calls
        return self.give_old(call, pending.data, pending.store, pending.key, pending.stale, error)

    def _end_turn(self, pending: _Pending) -> None:
        if self._turns.get(pending.key) is pending.turn:
            del self._turns[pending.key]
        pending.turn.set()
