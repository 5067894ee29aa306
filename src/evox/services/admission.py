"""Admission: the steps that give a call a seat and hold it to its time.

One seat serves a whole chain of calls: what a handler calls in the same process rides on its caller's. The seat is
held from before the arguments are read until the handler has returned its answer, so neither a client that reads
slowly nor one that listens to a stream holds one.
"""

import math
from collections.abc import Awaitable, Mapping
from typing import Any, Final

import anyio
import anyio.lowlevel
from fastapi import HTTPException
from starlette.requests import ClientDisconnect

from evox import context, spans
from evox.auth import INTERNAL_SCHEME
from evox.errors import DeadlineExceeded
from evox.scheduling import Priority, Scheduler, Seat
from evox.services.call import Call, inbound_of
from evox.services.endpoint import Endpoint
from evox.services.pipeline import Edges, Inner, Outer, Position
from evox.services.running import Running

__all__ = ["AdmitStep", "DeadlineStep", "is_hurried", "read_body", "take_hints"]

DEADLINE: Final = b"x-evox-deadline"
PRIORITY: Final = b"x-evox-priority"
_HINTS: Final = frozenset({DEADLINE, PRIORITY, b"authorization"})
_SCHEME: Final = INTERNAL_SCHEME.lower().encode()
LONGEST: Final = 86_400.0  # seconds; who asks for more means no deadline


def take_hints(call: Call, scope: Mapping[str, Any]) -> None:
    """Note what a request says of itself beside its arguments: its time, its level, and that a service makes it.

    The time of its endpoint may be shortened by its caller: ``x-evox-deadline`` says the seconds that the caller has. A
    value that is no number of seconds from 0 to a day is ignored. The level is believed of other services only.

    Args:
        call: The call that it is.
        scope: Its ASGI scope.
    """
    limit = call.endpoint.timeout
    seconds = math.inf if limit is None else limit
    for name, value in scope["headers"]:
        if name in _HINTS:
            if name == DEADLINE:
                seconds = min(seconds, _seconds(value))
            elif name == PRIORITY:
                call.level = _level(value)
            else:
                call.claims = call.claims or _SCHEME in value.lower()
    if seconds != math.inf:
        call.deadline = anyio.current_time() + seconds


def is_hurried(call: Call) -> bool:
    """Whether it is its client that gives a call less time than its endpoint does."""
    limit = call.endpoint.timeout
    return call.request is not None and _asked(call.request.scope) < (math.inf if limit is None else limit)


def _level(value: bytes) -> Priority | None:
    try:
        return Priority.parse(value.decode("ascii"))
    except ValueError:
        return None


def _asked(scope: Mapping[str, Any]) -> float:
    return min((_seconds(value) for name, value in scope["headers"] if name == DEADLINE), default=math.inf)


def _seconds(value: bytes) -> float:
    try:
        seconds = float(value)
    except ValueError:
        return math.inf
    return seconds if 0 <= seconds <= LONGEST else math.inf  # not a number is neither


class AdmitStep:
    """Lets a call run when it has a seat; without one it waits, or is rejected."""

    position: Final = Position.ADMIT

    def applies(self, endpoint: Endpoint) -> bool:
        """Every endpoint has a level. Health is none of them, so it is always answered."""
        del endpoint
        return True

    def compile(self, endpoint: Endpoint, then: Outer) -> Edges:
        """Hold a seat for as long as what follows takes."""
        del then
        own = endpoint.priority

        def before(call: Call) -> Awaitable[None] | None:
            if context.maybe_seat() is not None:
                return None
            running = context.maybe_service()
            if not isinstance(running, Running):
                return None
            scheduler, level = running.scheduler, own
            if call.origin == "internal" or call.level is not None:
                level = _level_of(call, own)
            if spans.tracer() is not None:
                spans.annotate(call.span or spans.current(), {"evox.priority": level.label})
            client = _client(call) if scheduler.limits_clients else None
            if not call.whole_body or _take_body(call):
                return _enter(call, scheduler, level, client)
            scheduler.turn_away(level, client)
            return _read_and_enter(call, scheduler, level, client)

        return Edges(before, _leave)


def _level_of(call: Call, own: Priority) -> Priority:
    """Return the level in which a call is admitted: another service may ask for one."""
    if call.level is not None and call.internal is not None:
        return call.level
    asked = context.maybe_level() if call.origin == "internal" else None
    return own if asked is None else Priority(asked)


def _take_body(call: Call) -> bool:
    """Take the body of a call if all of it is here; return whether it is."""
    request, opened = call.request, call.opened
    is_between = getattr(request.receive, "__self__", None) is not opened  # a middleware, which may change it
    data = None if opened is None or is_between else opened.take_body()
    if data is None:
        return False
    request._body = data  # noqa: SLF001  where its ``body()`` looks first
    return True


async def _read_and_enter(call: Call, scheduler: Scheduler, level: Priority, client: str | None) -> None:
    if call.opened is not None and call.opened.arrived:
        await read_body(call)
    else:
        with anyio.CancelScope(deadline=call.deadline):
            await read_body(call)
    waiting = _enter(call, scheduler, level, client)
    if waiting is not None:
        await waiting


def _enter(call: Call, scheduler: Scheduler, level: Priority, client: str | None) -> Awaitable[None] | None:
    """Take a seat, or return what waits for one."""
    if call.deadline != math.inf and anyio.current_time() >= call.deadline:
        raise DeadlineExceeded(f"{call.endpoint.name!r}", began=False)
    seat = scheduler.enter(level, client)
    if not seat.holders:
        return _wait(scheduler, seat, call)
    call.seat = seat, context.enter_seat(seat)
    return None


def _leave(call: Call) -> None:
    """Give back the seat that a call has taken, if it has."""
    if call.seat is not None:
        (seat, token), call.seat = call.seat, None
        context.leave_seat(token)
        seat.release()


def _client(call: Call) -> str | None:
    """Return who a client is: by its name, wherever it calls from, or else by where it calls from."""
    if call.principal.kind == "user":
        return f"{call.principal.issuer} {call.principal.subject}"
    if call.request is None or call.request.client is None or inbound_of(call.request.scope) is not None:
        return None
    return str(call.request.client.host)


async def _wait(scheduler: Scheduler, seat: Seat, call: Call) -> None:
    """Wait for a seat. A client that leaves meanwhile is not waited for, whatever its call would do: it has not begun.

    Raises:
        Overloaded: if that took too long.
    """
    if call.opened is not None:
        call.opened.decide("cancel")
    await scheduler.wait(seat, call.deadline)
    if call.opened is not None:
        if call.opened.left:
            seat.release()
            await anyio.lowlevel.checkpoint()  # cancelled here: the seat was granted in the moment in which it left
        call.opened.decide(call.endpoint.on_disconnect)
    call.seat = seat, context.enter_seat(seat)


async def read_body(call: Call) -> None:
    """Read the body that FastAPI would read next, so that a client that sends it slowly holds no seat meanwhile.

    Args:
        call: The call that brings it.

    Raises:
        HTTPException: as FastAPI does when a client leaves in the middle of its body.
    """
    try:
        await call.request.body()
    except ClientDisconnect as error:
        raise HTTPException(400, "There was an error parsing the body") from error


class DeadlineStep:
    """Ends a handler when the time of its call is over.

    Dependencies use up that time and are not ended by it: what a dependency opens it may hold until the answer is sent,
    which a cancel scope round it would not survive.
    """

    position: Final = Position.DEADLINE

    def applies(self, endpoint: Endpoint) -> bool:
        """Every endpoint: its caller may have set a deadline."""
        del endpoint
        return True

    def compile(self, endpoint: Endpoint, then: Inner) -> Inner:
        """Cancel ``then`` at the deadline."""
        name = f"{endpoint.name!r}"

        async def run(call: Call | None, arguments: dict[str, Any]) -> Any:
            if call is None or call.bounded or call.deadline == math.inf:
                return await then(call, arguments)
            if anyio.current_time() >= call.deadline:
                raise DeadlineExceeded(name, began=False)
            with anyio.CancelScope(deadline=call.deadline):
                return await then(call, arguments)
            raise DeadlineExceeded(name, began=True)

        return run
