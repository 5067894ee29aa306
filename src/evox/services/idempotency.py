"""Idempotency: an endpoint with ``idempotency="24h"`` runs once for each ``Idempotency-Key``, and repeats its answer.

The key is taken before admission and given back where nothing was done. What is kept is the answer as it is sent: when
dependencies that belong to the handler have ended, and before its client hears of it.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import anyio
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from evox import context
from evox.errors import DeadlineExceeded, InsideTransaction, InvalidIdempotencyKey, OutsideRuntime
from evox.services.admission import read_body
from evox.services.answers import Answer, is_whole, replayed, sent_answer
from evox.services.call import Call
from evox.services.endpoint import Endpoint
from evox.services.first_answers import PATIENCE, Claim, FirstAnswers
from evox.services.inputs import Reads, declared_reads
from evox.services.keying import digest_of, facts_of, first_key
from evox.services.pipeline import Inner, Outer, Position
from evox.services.running import Running
from evox.services.writes import HARMLESS

__all__ = ["HEADER", "HandlerBeganStep", "IdempotencyStep", "Keyed", "answer_keyed", "keyed_of"]

HEADER: Final = "idempotency-key"
LONGEST_KEY: Final = 255  # characters
LEASE: Final = 60.0  # seconds for which a key is taken, where the endpoint has no time of its own
GRACE: Final = 5.0  # seconds in which an endpoint whose time is over gives its key back
_KEEPER: Final = "evox.keeper"  # where a request's is found, in its ASGI scope
# Another attempt of the same request has others of these.
_FLEETING: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "baggage",
        "date",
        "idempotency-key",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-correlation-id",
        "x-evox-deadline",
        "x-request-id",
    }
)


# What carries a request, and says nothing of who sends it.
_CARRYING: Final = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "transfer-encoding", "x-evox-priority"}
)


class Keyed:
    """Runs the requests to one endpoint once for each key.

    Args:
        row: The endpoint.
        credentials: Headers and cookies that tell who calls, where Evox does not know it.
        others: Those that are part of a request as its body is.
    """

    def __init__(self, row: Endpoint, credentials: Reads, others: Reads) -> None:
        self._name = row.name
        self._lease = LEASE if row.timeout is None else row.timeout + GRACE
        self._credentials = Reads(_without(credentials.headers, {"authorization"}), credentials.cookies)
        self._others = Reads(_without(others.headers, _FLEETING), others.cookies)
        self._whole = others.whole

    def __repr__(self) -> str:
        return f"<Keyed {self._name!r}>"

    async def outer(self, call: Call, then: Outer) -> Any:
        """Give the first answer again, or run the call with its key taken.

        Raises:
            InvalidIdempotencyKey: if the key cannot be one.
            IdempotencyConflict, IdempotencyMismatch: if it is taken.
            DataError: if it cannot be.
        """
        request: Request = call.request
        given = _key_in(request)
        if given is None:
            return await then(call)
        body = await self._body(call)
        key = first_key(request, given, self._caller(call))
        digest = digest_of(request, body, [*facts_of(request, self._others), *self._unseen(call)])
        firsts = _firsts()
        found = await firsts.claim(self._name, key, digest, self._lease)
        if isinstance(found, Answer):
            return replayed(found)
        keeper: _Keeper = request.scope[_KEEPER]
        keeper.take(firsts, found)
        try:
            response = await then(call)
        except BaseException:
            if not keeper.began:
                await keeper.give_back()
            raise
        if not is_whole(response):
            keeper.let_go()
        return response

    async def _body(self, call: Call) -> bytes:
        with anyio.CancelScope(deadline=call.deadline):
            await read_body(call)
            body: bytes = await call.request.body()
            return body
        raise DeadlineExceeded(f"{self._name!r}", began=False)

    def _unseen(self, call: Call) -> list[Any]:
        """Return what may tell who calls, where nobody has said so: to another one an answer is never given.

        Those who differ in it are told that the key was used for another request, so nothing is done twice either.
        """
        headers = call.request.headers
        if self._whole:
            return [sorted(pair for pair in headers.items() if pair[0] not in _FLEETING | _CARRYING)]
        return [] if call.principal.is_authenticated else headers.getlist("cookie")

    def _caller(self, call: Call) -> list[Any]:
        """Return what tells who calls. A token between services is another one for each attempt."""
        request: Request = call.request
        principal = call.caller
        facts = facts_of(request, self._credentials)
        if principal.is_authenticated:
            return [*facts, list(principal.identity())]
        return facts if call.claims else [*facts, request.headers.getlist("authorization")]


class _Keeper:
    """Sees what is sent in answer to one request, and keeps it if the request has taken a key.

    Args:
        ttl: Seconds for which answers are kept.
        send: Where it is sent to.

    Attributes:
        began: Whether the handler has begun.
    """

    def __init__(self, ttl: float, send: Send) -> None:
        self._ttl = ttl
        self._send = send
        self._firsts: FirstAnswers | None = None
        self._claim: Claim | None = None
        self._head: Message | None = None
        self._late: Answer | None = None  # it can be kept only when a transaction has ended
        self._passes = False  # what becomes of the claim is known, or is seen at the end
        self.began = False

    def take(self, firsts: FirstAnswers, claim: Claim) -> None:
        """Note that the request has taken a key."""
        self._firsts, self._claim = firsts, claim

    def let_go(self) -> None:
        """Note that the answer comes in parts, and cannot be kept. The key is freed when all is over."""
        if self._firsts is not None and self._claim is not None and not self._passes:
            self._passes = True
            self._firsts.tell(self._claim, "it is a stream or a file")

    async def send(self, message: Message) -> None:
        """Send a part of the answer; keep the answer before its client has any of it."""
        if self._claim is None or self._passes:
            if message["type"] == "http.response.body" and not message.get("more_body", False) and self._late is None:
                await self.give_back()  # who has read a stream to its end may ask again
            await self._send(message)
            return
        if message["type"] == "http.response.start":
            self._head = message  # until it is known whether this is all
            return
        head, self._head = self._head, None
        if head is not None:
            if message["type"] != "http.response.body" or message.get("more_body", False):
                self.let_go()
            else:
                await self._settle(head, message.get("body", b""))
            await self._send(head)
        await self._send(message)

    async def give_back(self) -> None:
        """Give the key back at once, as nothing was done; or later, if a transaction of a dependency is in the way."""
        with suppress(InsideTransaction):
            await self._become(None)

    async def end(self, *, failed: bool) -> None:
        """Give the key back, if it is not known yet what becomes of it.

        Args:
            failed: Whether something failed after an answer that was to be kept at the end.
        """
        late, self._late = (None if failed else self._late), None
        try:
            await self._become(late)
        finally:
            if self._firsts is not None and self._claim is not None:
                self._firsts.leave(self._claim)

    async def _settle(self, head: Message, body: bytes) -> None:
        status = head["status"]
        answer = sent_answer(status, head.get("headers", ()), bytes(body)) if status < 500 and self.began else None
        try:
            await self._become(answer)
        except InsideTransaction:
            self._late, self._passes = answer, True

    async def _become(self, answer: Answer | None) -> None:
        """End the claim: with an answer, or with nothing. Whoever asked may have left, or be out of time."""
        firsts, claim = self._firsts, self._claim
        if firsts is None or claim is None:
            return
        with anyio.move_on_after(PATIENCE, shield=True) as waiting:
            await (firsts.free(claim) if answer is None else firsts.keep(claim, answer, self._ttl))
        if waiting.cancelled_caught:
            firsts.tell(claim, f"the backend did not answer within {PATIENCE:g} s")
        self._claim = None
        firsts.leave(claim)


async def answer_keyed(
    handle: Callable[[Scope, Receive, Send], Awaitable[None]], ttl: float, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer one request to an endpoint that keeps first answers.

    Args:
        handle: Answers it.
        ttl: Seconds for which they are kept.
        scope: ASGI's, as all that follows.
        receive: Where its body comes from.
        send: Where the answer goes to.
    """
    keeper = scope[_KEEPER] = _Keeper(ttl, send)
    failed = True
    try:
        await handle(scope, receive, keeper.send)
        failed = False
    finally:
        await keeper.end(failed=failed)


def keyed_of(row: Endpoint, dependant: Any) -> Keyed | None:
    """Return what runs requests to an endpoint once for each key, or None if nothing does.

    Args:
        row: The endpoint.
        dependant: FastAPI's view of it.
    """
    return None if row.idempotency is None else Keyed(row, *declared_reads(dependant))


class IdempotencyStep:
    """Gives a first answer again, before a seat is taken."""

    position: Final = Position.CACHED_ANSWER

    def applies(self, endpoint: Endpoint) -> bool:
        """Endpoints that keep first answers."""
        return endpoint.idempotency is not None

    def compile(self, endpoint: Endpoint, then: Outer) -> Outer:
        """Look at the key first."""
        del endpoint

        async def run(call: Call) -> Any:
            keyed: Keyed | None = None if call.method in HARMLESS else call.keyed
            return await (then(call) if keyed is None else keyed.outer(call, then))

        return run


class HandlerBeganStep:
    """Notes that the handler begins: an answer before that says nothing of what it does."""

    position: Final = Position.INVOKE

    def applies(self, endpoint: Endpoint) -> bool:
        """Endpoints that keep first answers."""
        return endpoint.idempotency is not None

    def compile(self, endpoint: Endpoint, then: Inner) -> Inner:
        """Note it and go on."""
        del endpoint

        async def run(call: Call | None, arguments: dict[str, Any]) -> Any:
            keeper = None if call is None or call.request is None else call.request.scope.get(_KEEPER)
            if keeper is not None:
                keeper.began = True
            return await then(call, arguments)

        return run


def _firsts() -> FirstAnswers:
    """Return the first answers of the current service.

    Raises:
        OutsideRuntime: if it is not started: without its data the promise cannot be kept.
    """
    running = context.maybe_service()
    if not isinstance(running, Running):
        raise OutsideRuntime("an idempotency key")
    return running.first_answers


def _key_in(request: Request) -> str | None:
    """Return the idempotency key of a request, or None if it has none.

    Raises:
        InvalidIdempotencyKey: if it cannot be one.
    """
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    key = given[0]
    if len(given) > 1:
        raise InvalidIdempotencyKey(f"there are {len(given)}")
    if not 0 < len(key) <= LONGEST_KEY:
        raise InvalidIdempotencyKey(f"it has {len(key)} characters")
    if not (key.isascii() and key.isprintable()):
        raise InvalidIdempotencyKey("it has others than printable ASCII characters")
    return key


def _without(names: tuple[str, ...], left_out: frozenset[str] | set[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in left_out)
