"""Calling: makes a call, again if that is of use, within its time, its target's budget and what the breaker allows.

Repeated is what does no harm: an idempotent operation, a call with an idempotency key, or one of which nothing was
sent. Nothing is held while it waits for the next attempt: no seat of the callee, no connection.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import anyio
import anyio.lowlevel

from evox import events, spans
from evox.errors import CallFailed, CallTimeout, CallUnavailable, CircuitOpen, IdempotencyConflict, UnusableAnswer
from evox.service_proxy.breaker import Breaker, BreakerStatistics, Verdict
from evox.service_proxy.budget import Budget
from evox.service_proxy.hops import in_hop, note_retry, streamed_in_hop
from evox.service_proxy.replies import ATTEMPTS, UNAVAILABLE, NoAnswer, Reply
from evox.service_proxy.sending import Sending, Target
from evox.service_proxy.streams import Chunks
from evox.services.encoding import Wire
from evox.services.operations import Operation

__all__ = ["Line", "LineStatistics", "ask_once", "ask_stream", "make_call"]

T = TypeVar("T")
FIRST: Final = 0.1  # seconds; the longest first wait
LONGEST: Final = 2.0
_STILL_RUNS: Final = f'"urn:evox:error:{IdempotencyConflict.id}"'.encode()
TIMEOUT: Final = 10.0
PATIENCE: Final = 30.0  # seconds of Retry-After that are waited for


@dataclass(frozen=True, slots=True)
class LineStatistics:
    """What is known of the calls to one service. Counts are since its first call; ``callers`` are by service."""

    service: str
    kind: str
    calls: int
    failed: int
    retries: int
    callers: Mapping[str, int]
    breaker: BreakerStatistics


class Line:
    """The way to one service: the target, and what is known of the calls to it.

    Args:
        target: What is called.
        attempts: How often a call is tried.
        timeout: Seconds that a call may take in all, unless it says otherwise.
    """

    def __init__(self, target: Target, attempts: int, timeout: float = TIMEOUT) -> None:
        self.target = target
        self.attempts = attempts
        self.timeout = timeout
        self.breaker = Breaker(lambda state, why: events.notify(events.BreakerMoved(target.name, state, why)))
        self.budget = Budget()
        self.plans: dict[Any, Any] = {}  # of a service here, whose operations stay as they are
        self.random = random.Random()  # noqa: S311  spreads retries; nothing is secret about it
        self.calls = self.failed = self.retries = 0
        self.callers: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Line to {self.target!r}, {self.calls} calls>"

    def count(self, sending: Sending) -> None:
        """Count a call, and who makes it."""
        self.calls += 1
        self.callers[sending.internal.caller] += 1

    def statistics(self) -> LineStatistics:
        """Return what is known of its calls."""
        known = self.breaker.statistics(anyio.current_time())
        counts = (self.calls, self.failed, self.retries, dict(self.callers))
        return LineStatistics(self.target.name, self.target.kind, *counts, known)


async def make_call(
    line: Line, operation: Operation, wire: Wire, sending: Sending, *, told: bool = False
) -> tuple[Reply, int]:
    """Make a call, and return the last answer and how often it was tried.

    Args:
        line: Who is called.
        operation: Which operation.
        wire: The arguments.
        sending: What travels with them; its deadline bounds all attempts and all waits between them.
        told: Whether OpenTelemetry is told of it already.

    Raises:
        CallFailed: if there was no answer.
    """
    if not told and spans.tracer() is not None:
        made = make_call(line, operation, wire, sending, told=True)
        return await in_hop(line.target, operation, line.breaker, made)
    tried, now = 0, sending.began
    reply: Reply | None = None
    missing: NoAnswer | None = None
    line.count(sending)
    line.budget.made(now)
    while True:
        permit = line.breaker.enter(now) if now < sending.deadline else None
        if permit is None:
            await anyio.lowlevel.checkpoint()
            if tried:
                break  # it opened meanwhile: what was heard last stands
            line.failed += 1
            raise _not_made(line, operation, sending, now)
        if tried:
            line.retries += 1
            note_retry(tried, reply, missing)
        tried += 1
        verdict: Verdict = "cancelled"
        try:
            reply, missing = await line.target.send(operation, wire, sending), None
            if reply.status < 400:
                verdict = "answered"
                line.breaker.answered(permit, now)
                return reply, tried
            verdict = _verdict(reply.status)
        except NoAnswer as error:
            reply, missing = None, error
            verdict = "cancelled" if error.is_timeout and sending.hurried else "failed"
        finally:
            if verdict != "answered":
                now = anyio.current_time()
                permit.give_back(verdict, now)
        sending.tighten()
        pause = _pause(line, operation, sending, reply, missing, tried, now)
        if pause is None:
            break
        await anyio.sleep(pause)
        now = anyio.current_time()
    line.failed += 1
    return _last(line, operation, reply, missing, tried), tried


async def ask_once(
    line: Line, operation: Operation, sending: Sending, ask: Callable[[], Awaitable[T]], *, good: Verdict = "answered"
) -> T:
    """Ask a target for something, once, if the breaker allows: a stream, or what it can do.

    Args:
        line: Who is asked.
        operation: What for.
        sending: What travels along.
        ask: Asks.
        good: What an answer says of the target: nothing, ``"cancelled"``, if it may be one of before.

    Raises:
        CallFailed: if there was no answer.
    """
    now = anyio.current_time()
    permit = line.breaker.enter(now) if now < sending.deadline else None
    if permit is None:
        await anyio.lowlevel.checkpoint()
        raise _not_made(line, operation, sending, now)
    verdict: Verdict = "cancelled"
    try:
        found = await ask()
        verdict = _verdict(found.status) if isinstance(found, Reply) else good
    except NoAnswer as error:
        is_its_own = (error.is_timeout and sending.hurried) or (error.final and not error.sent)
        verdict = "cancelled" if is_its_own else "failed"
        raise error_of(error, line.target.name, operation, 1) from error.__cause__
    finally:
        permit.give_back(verdict, anyio.current_time())
    return found


async def ask_stream(
    line: Line, operation: Operation, wire: Wire, sending: Sending, *, told: bool = False
) -> Reply | Chunks:
    """Begin a call whose answer is read part by part; it is not tried again.

    Raises:
        CallFailed: if it does not begin.
    """
    if not told and spans.tracer() is not None:
        made = ask_stream(line, operation, wire, sending, told=True)
        return await streamed_in_hop(line.target, operation, line.breaker, made)
    line.count(sending)
    line.budget.made(anyio.current_time())
    try:
        begun = await ask_once(line, operation, sending, lambda: line.target.stream(operation, wire, sending))
    except CallFailed:
        line.failed += 1
        raise
    line.failed += isinstance(begun, Reply)
    return begun


def _verdict(status: int) -> Verdict:
    return "answered" if status < 400 else "refused" if status < 500 else "failed"


def _pause(
    line: Line,
    operation: Operation,
    sending: Sending,
    reply: Reply | None,
    missing: NoAnswer | None,
    tried: int,
    now: float,
) -> float | None:
    """Return how long to wait before the next attempt; None if there is none."""
    if tried >= line.attempts or not _may_repeat(operation, sending, reply, missing):
        return None
    pause = line.random.uniform(0.0, min(LONGEST, FIRST * 2 ** (tried - 1)))
    asked = reply.retry_after if reply is not None else None
    if asked is not None:
        if asked > PATIENCE:
            return None
        pause = max(pause, asked)
    if now + pause >= sending.deadline or not line.budget.take(now):
        return None
    return pause


def _may_repeat(operation: Operation, sending: Sending, reply: Reply | None, missing: NoAnswer | None) -> bool:
    harmless = operation.idempotent or sending.key is not None
    if missing is not None:
        return not missing.final and not missing.is_timeout and (harmless or not missing.sent)
    assert reply is not None  # noqa: S101  one or the other was heard
    if reply.status == 409 and sending.key is not None and _STILL_RUNS in reply.body:
        return True  # what was cut off goes on there, and its answer is kept
    return harmless and reply.status in UNAVAILABLE and ATTEMPTS not in reply.headers


def error_of(missing: NoAnswer, service: str, operation: Operation, tried: int) -> CallFailed:
    """Return the error of a call that had no answer."""
    kind: type[CallFailed] = CallTimeout if missing.is_timeout else CallUnavailable
    if missing.final and missing.sent:
        kind = UnusableAnswer
    return kind(service, operation.name, why=missing.why, attempts=tried, may_have_run=missing.sent)


def _last(line: Line, operation: Operation, reply: Reply | None, missing: NoAnswer | None, tried: int) -> Reply:
    """Return what was answered last.

    Raises:
        CallFailed: if nothing was.
    """
    if reply is not None:
        return reply
    assert missing is not None  # noqa: S101  one or the other was heard
    raise error_of(missing, line.target.name, operation, tried) from missing.__cause__


def _not_made(line: Line, operation: Operation, sending: Sending, now: float) -> CallFailed:
    """Return the error of a call that was never tried: its time was over, or its target is left alone."""
    if now >= sending.deadline:
        missing = NoAnswer("its time was over before it was made", sent=False, is_timeout=True)
        return error_of(missing, line.target.name, operation, 0)
    return CircuitOpen(
        line.target.name,
        operation.name,
        why=line.breaker.why,
        attempts=0,
        retry_after=max(line.breaker.retry_after(now), 1.0),
        may_have_run=False,
    )
