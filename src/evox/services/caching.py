"""Caching: answers of safe methods, kept by intent and given again without running the handler.

    the answer depends on         key                               looked up
    path and query                those                             before admission, so a hit takes no seat
    headers, cookies              their values too                  the same
    what dependencies return      that too                          when they have run, so what guards is never skipped

Whoever misses begins a flight in the service's nursery, with a request of its own: its client may leave, and those who
wait for the same answer are served all the same.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from evox import context, spans
from evox.data import DataIO, Entry, Intent, Loaded, Outcome, Policy, Store, policy_of
from evox.errors import BackendUnavailable, DeadlineExceeded
from evox.services.admission import is_hurried
from evox.services.answers import Answer, Pair, Replay, answer_of, is_private, respond, revive
from evox.services.call import Call
from evox.services.endpoint import Endpoint
from evox.services.failing import FAILURES, NOTHING, FailedAnswer, handled, is_failure
from evox.services.hits import Hits
from evox.services.inputs import Inputs
from evox.services.keying import KeyMaker, groups_of, path_of
from evox.services.making import Making, shared_failure
from evox.services.pipeline import Inner, Outer
from evox.services.running import Running
from evox.services.writes import SAFE

__all__ = ["AnswerCache", "caching_of", "data_of"]

GRACE: Final = 0.05  # seconds for which what a flight finds at the very deadline is still heard
PASSED: Final = 1000  # keys of which it is remembered that their answers are not for everybody


def caching_of(row: Endpoint) -> tuple[Intent, Policy] | None:
    """Return under which intent the answers of an endpoint are kept, or None if they are not.

    Raises:
        InvalidDeclaration: if its options contradict each other.
    """
    intent = row.intent or Intent()
    if row.cache is not None:
        intent = intent.merged(Intent(cacheable=True, ttl=row.cache))
    if row.fallback is not None or row.max_stale is not None:
        intent = intent.merged(Intent(fallback=row.fallback, max_stale=row.max_stale))
    if not intent.cacheable or not SAFE.intersection(row.methods):
        return None
    return intent, policy_of(intent, on=f"endpoint {row.name!r}")


def data_of() -> DataIO | None:
    """Return the data of the current service, if it is started."""
    running = context.maybe_service()
    return running.maybe_data if isinstance(running, Running) else None


class AnswerCache:
    """Keeps the answers of one endpoint.

    Args:
        row: The endpoint.
        intent: Under which they are kept.
        policy: What that leads to.
        inputs: What they depend on.
    """

    def __init__(self, row: Endpoint, intent: Intent, policy: Policy, inputs: Inputs) -> None:
        self._row = row
        self._intent = intent
        self._policy = policy
        self._keys = KeyMaker(inputs)
        asks = row.requirement is not None
        self._vary = (
            *inputs.reads.headers,
            *(("cookie",) if inputs.reads.cookies else ()),
            *(("authorization",) if asks and "authorization" not in inputs.reads.headers else ()),
        )
        self._private = asks or inputs.reads.whole or bool(inputs.arguments)
        # Where more than the URI is in the key, nobody knows which of it was new.
        self._missed = "miss" if self._vary or self._private else "uri-miss"
        self._passed: dict[str, float] = {}
        is_for_all = not (self._vary or self._private or inputs.guarded or policy.eager is not None)
        self._hits = Hits(near=policy.near) if is_for_all else None
        self._known: tuple[DataIO, Store, str] | None = None  # where answers are kept, in the present life
        self._is_open = is_for_all and not row.private

    def __repr__(self) -> str:
        return f"<AnswerCache of {self._row.name!r}>"

    async def outer(self, call: Call, then: Outer) -> Any:
        """Before admission: give what is kept, or have it made and keep it."""
        data = data_of()
        if data is not None and (found := self._at_once(call, data)) is not None:
            return found
        if data is None or not await self.concerns(call):
            return await then(call)
        store, full = await self.place(data, call)
        known, entry, now = store.look(full, near=self._policy.near)
        if known and entry is not None and self._policy.eager is None and now < entry.fresh_until:
            data.through.count_hit()
            return self.give(call, Outcome("hit", entry), store)
        if self._passed.get(full, 0.0) > anyio.current_time():
            return await self._alone(call, data, store, full, then)
        return await self._fetch(call, data, store, full, then)

    def first(self, call: Call, running: Any) -> Response | None:
        """Return a kept answer before anything else is done for a call; None says nothing.

        Args:
            call: The call. Where it matters who calls, that has to be found out before, and nothing is returned.
            running: The running service.
        """
        if not self._is_open or call.claims or not isinstance(running, Running):
            return None
        data = running.maybe_data
        if data is None or running.looks_at_callers or spans.current() is not None:
            return None
        return self._at_once(call, data)

    def _at_once(self, call: Call, data: DataIO) -> Response | None:
        """Return a kept answer in the plain case; None says nothing."""
        is_plain = call.method in SAFE and call.span is None and call.internal is None
        if self._hits is None or not is_plain or call.principal.is_authenticated:
            return None
        known = self._known
        if known is None or known[0] is not data:
            home = data.homes.answers(self._intent, self._policy)
            store = data.stores.find(home)
            if store is None:
                return None
            known = self._known = data, store, home.prefix
        return self._hits.give(call, *known)

    async def inner(self, call: Call, arguments: dict[str, Any], then: Inner) -> Any:
        """After dependencies have run: nothing, as there are none."""
        return await then(call, arguments)

    async def concerns(self, call: Call) -> bool:
        """Whether a call is one whose answer may be kept: a safe one, without a body that nobody else sends."""
        return call.request is not None and call.method in SAFE and not await _brings_body(call.request)

    async def place(self, data: DataIO, call: Call, arguments: dict[str, Any] | None = None) -> tuple[Store, str]:
        """Return where the answer to a call is kept, and under which key."""
        home = data.homes.answers(self._intent, self._policy)
        return await data.store_of(home), home.prefix + self._keys.make(call.request, arguments, call.caller)

    def guards(self, data: DataIO, call: Call) -> tuple[str, ...]:
        """Return the tags of the answer to a call."""
        return data.tags_of(self._intent.tags, groups_of(self._row, path_of(call.request.scope)))

    def loaded(
        self, response: Response, guards: tuple[str, ...], limit: int, own: Sequence[Pair] = ()
    ) -> Loaded | None:
        """Return what is to be kept of a response; None if it is for one client alone.

        Args:
            response: The response.
            guards: Its tags.
            limit: How many bytes may be kept.
            own: Headers in it that dependencies of the request have set.
        """
        if is_private(response, self._vary):
            return None
        answer = answer_of(response, without=own)
        sealed = answer.seal()
        negative = response.status_code in NOTHING
        keep = 200 <= response.status_code < 300 and response.status_code != 206
        keep = (keep or (negative and self._policy.negative_ttl is not None)) and len(sealed) <= limit
        return Loaded(Entry(sealed, "b", tags=guards) if keep else None, answer, negative)

    def give(self, call: Call, outcome: Outcome, store: Store) -> Response:
        """Make the response to one client."""
        entry, now = outcome.entry, store.backend.clock()
        answer: Answer = revive(entry.data) if outcome.verdict != "miss" and entry is not None else outcome.value
        age = now - entry.stored_at if entry is not None and outcome.verdict != "miss" else None
        status = self._status(outcome, now)
        if call.span is not None:
            aged = {} if age is None else {"evox.cache.age": age}
            spans.annotate(call.span, {"evox.cache": outcome.verdict} | aged)
        known = call.caller.is_authenticated  # it may be made for whoever that is, even where nothing is asked
        private, vary = self._private or known, self._vary
        if known and "authorization" not in vary:
            vary = (*vary, "authorization")
        return respond(answer, call.request, Replay(status, age, private, vary, call.own_headers))

    async def _fetch(self, call: Call, data: DataIO, store: Store, full: str, then: Outer) -> Any:
        guards = self.guards(data, call)
        limit = data.value_bytes
        making = Making(call, then, data, self._policy, lambda response: self.loaded(response, guards, limit))
        finish = self._row.on_disconnect == "finish"
        try:
            with anyio.CancelScope(deadline=call.deadline + GRACE) as waiting:
                outcome = await data.through.fetch(
                    store, full, self._policy, making.load, guards=guards, is_failure=is_failure, finish=finish
                )
            if waiting.cancelled_caught:
                outcome = await self._too_late(data, store, full)
            if outcome.verdict != "miss" or outcome.value is not None:
                return self.give(call, outcome, store)
            self._pass(full)
            mine = making.take()
        except Exception as error:
            if error is making.error:
                if isinstance(error, FailedAnswer):
                    return error.response
                raise
            mine = shared_failure(error, self._vary)
        finally:
            await making.leave()
        return mine if mine is not None else await self._alone(call, data, store, full, then)

    async def _alone(self, call: Call, data: DataIO, store: Store, full: str, then: Outer) -> Any:
        """Have an answer made for one client, as others of its key are; an old one is still better than a failure."""
        stale = await self._kept(store, full) if self._policy.max_stale else None
        if stale is None:
            return await then(call)
        failure = data.through.waits(full)
        if failure is None:
            try:
                response = await handled(partial(then, call), call.request, self._policy)
                if response.status_code not in FAILURES:
                    return response
                failure = FailedAnswer(response)
            except Exception as error:
                if not is_failure(error):
                    raise
                failure = error
            return self.give_old(call, data, store, full, stale, failure)
        return self.give(call, data.through.serve_stale(stale, failure), store)

    def give_old(self, call: Call, data: DataIO, store: Store, full: str, stale: Entry, error: Exception) -> Response:
        """Give an old answer in the stead of one that could not be made, and leave the source alone for a while."""
        says_nothing = isinstance(error, DeadlineExceeded) and is_hurried(call)
        outcome = data.through.serve_stale(stale, error) if says_nothing else data.through.give_up(full, stale, error)
        return self.give(call, outcome, store)

    async def _too_late(self, data: DataIO, store: Store, full: str) -> Outcome:
        """Serve a stale answer to a call whose time is over. That says nothing of the source: it has its own time.

        Raises:
            DeadlineExceeded: if there is none.
        """
        error = DeadlineExceeded(f"{self._row.name!r}", began=True)
        entry = await self._kept(store, full)
        if entry is None:
            raise error
        return data.through.serve_stale(entry, error)

    async def _kept(self, store: Store, full: str) -> Entry | None:
        """Return an answer that may be given while the source fails."""
        try:
            entry = (await store.get(full, near=self._policy.near)).entry
        except BackendUnavailable:
            return None
        good = entry is not None and store.backend.clock() < entry.fresh_until + self._policy.max_stale
        return entry if good else None

    def _status(self, outcome: Outcome, now: float) -> str:
        """Return what RFC 9211 says of an answer."""
        if outcome.verdict == "miss":
            why = "stale" if outcome.replaces else self._missed
            return f"evox; fwd={why}; stored" if outcome.stored else f"evox; fwd={why}"
        assert outcome.entry is not None  # noqa: S101  nothing else is given again
        ttl = round(outcome.entry.fresh_until - now)
        if outcome.verdict == "hit":
            return f"evox; hit; ttl={ttl}"
        detail = "stale-while-revalidate" if outcome.error is None else "stale-if-error"
        return f"evox; hit; ttl={ttl}; detail={detail}"

    def _pass(self, full: str) -> None:
        """Remember that answers under a key are for one client each, so that nobody waits for another's."""
        if len(self._passed) >= PASSED:
            self._passed.clear()
        self._passed[full] = anyio.current_time() + (self._policy.ttl or 0.0)


async def _brings_body(request: Request) -> bool:
    """Whether a request has a body; over HTTP/2 it may say so only by sending one.

    Raises:
        HTTPException: if the client leaves in the middle of it.
    """
    headers = request.headers
    if "content-length" in headers or "transfer-encoding" in headers:
        return headers.get("content-length") != "0"
    if request.scope.get("http_version", "1.1")[0] == "1":
        return False
    try:
        return bool(await request.body())
    except ClientDisconnect as error:
        raise HTTPException(400, "There was an error parsing the body") from error
