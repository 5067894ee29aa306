"""Calls: one call of an operation, from its arguments to its value. Nothing happens before it is awaited.

bind and encode the arguments -> who calls, in which time -> attempts -> the value, or an error
"""

import inspect
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

from evox.auth import ANONYMOUS, Internal, current, on_behalf
from evox.auth.internal import DEEPEST
from evox.durations import Duration, seconds
from evox.errors import CallError, CallFailed, InvalidCall
from evox.service_proxy.calling import Line, ask_stream, make_call
from evox.service_proxy.plans import Plan, plan_of
from evox.service_proxy.replies import Reply
from evox.service_proxy.sending import Sending, is_hurried
from evox.service_proxy.streams import Opened, Stream
from evox.service_proxy.switchboard import Switchboard, switchboard
from evox.services import Running, current_call
from evox.services.encoding import Wire

__all__ = ["Called", "Outcome", "PendingCall"]

T = TypeVar("T")
_NONE: Final = object()


class Called(NamedTuple):
    """What is called: a service, one of its operations, and under which of its methods.

    Attributes:
        service: The service's name.
        operation: The operation's name.
        method: Which method; None if it has one.
        contract: A class that says what the operation takes and returns.
    """

    service: str
    operation: str
    method: str | None = None
    contract: type | None = None

    def __str__(self) -> str:
        return f"{self.service}.{self.operation}" + (f".{self.method.lower()}" if self.method else "")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of a call.

    Attributes:
        value: Its value.
        degraded: Whether it is another than was asked for: that of a fallback, or an old one.
        age: Seconds since it was made; 0.0 if it was made for this call.
        attempts: How often the call was tried; 0 if it was never made.
        error: Why it is degraded, where a fallback gave it.
    """

    value: T
    degraded: bool = False
    age: float = 0.0
    attempts: int = 1
    error: CallError | None = None


class PendingCall(Generic[T]):
    """One call that has not been made yet; it is made when it is awaited, once.

    Args:
        called: What is called.
        args: Its arguments by position.
        named: Its arguments by name.
    """

    __slots__ = ("_args", "_called", "_fallback", "_key", "_named", "_timeout", "_used")

    def __init__(self, called: Called, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._called, self._args, self._named = called, args, named
        self._fallback: Any = _NONE
        self._key: str | None = None
        self._timeout: float | None = None
        self._used = False

    def __repr__(self) -> str:
        return f"<call of {self._called}, {'made' if self._used else 'not made yet'}>"

    def __await__(self) -> Generator[Any, Any, T]:
        return self._value().__await__()

    def __aiter__(self) -> Stream:
        return self.stream()

    def with_fallback(self, instead: Any) -> Self:
        """Give something else when the service is not available; never for what it refuses.

        Args:
            instead: A value, or a function that returns one, sync or async; it may take the error.
        """
        self._fallback = instead
        return self

    def with_timeout(self, limit: Duration) -> Self:
        """Let the call take so long in all, whatever the settings say; never longer than its caller has.

        Args:
            limit: Seconds, or a duration such as ``"2s"``.
        """
        self._timeout = seconds(limit)
        return self

    def with_key(self, key: str) -> Self:
        """Send this as ``Idempotency-Key``, so that the call may be repeated. Without it the proxy makes one.

        Args:
            key: 1 to 255 printable ASCII characters, without spaces at the ends; the same for each try of one thing to
                be done.

        Raises:
            InvalidCall: if it is none.
        """
        is_text = isinstance(key, str) and 0 < len(key) <= 255 and key.isascii() and key.isprintable()
        if not is_text or key != key.strip():
            why = "an idempotency key has 1 to 255 printable ASCII characters, and no spaces at the ends"
            raise InvalidCall(str(self._called), why)
        self._key = key
        return self

    async def outcome(self) -> Outcome[T]:
        """Make the call, and return its value and how it came about.

        Raises:
            CallError: as awaiting it does.
        """
        line, sending = self._begin()
        tried = 0
        try:
            plan = await plan_of(line, self._called, sending)
            reply, tried = await make_call(line, plan.operation, self._wire(plan, sending), sending)
            value = plan.reader.value(reply)
        except CallFailed as error:
            failed = error.tried(max(tried, error.attempts))
            return Outcome(await self._instead(failed), True, 0.0, failed.attempts, failed)
        except CallError as error:
            raise error.tried(max(tried, error.attempts)) from error.__cause__
        return Outcome(value, reply.is_stale, reply.age, tried)

    def stream(self) -> Stream:
        """Make the call, and read its answer item by item: ``async for``, or ``async with`` to leave it early."""
        return Stream(self._streamed)

    async def _streamed(self) -> Opened:
        line, sending = self._begin()
        board, running = switchboard(self._called)
        board.left.enter(running)
        plan = await plan_of(line, self._called, sending)
        begun = await ask_stream(line, plan.operation, self._wire(plan, sending), sending)
        reader = plan.reader
        if isinstance(begun, Reply):
            raise reader.error(begun) from begun.cause
        items = reader.items(begun.media, int(board.settings.answer_bytes))
        return Opened(begun, items, reader.broken, board.left.add)

    async def _value(self) -> T:
        line, sending = self._begin()
        tried = 0
        try:
            plan = line.plans.get(self._called)
            if plan is None:
                plan = await plan_of(line, self._called, sending)
            reply, tried = await make_call(line, plan.operation, self._wire(plan, sending), sending)
            value: T = plan.reader.value(reply)
        except CallFailed as error:
            return await self._instead(error.tried(max(tried, error.attempts)))
        except CallError as error:
            raise error.tried(max(tried, error.attempts)) from error.__cause__
        return value

    async def _instead(self, error: CallError) -> T:
        """Return what was given for the case that the service fails.

        Raises:
            CallError: the error, if nothing was.
        """
        instead = self._fallback
        if instead is _NONE:
            raise error from error.__cause__
        if not callable(instead):
            value: T = instead
            return value
        made = instead(error) if _takes_error(instead) else instead()
        return await made if inspect.isawaitable(made) else made  # type: ignore[no-any-return]

    def _begin(self) -> tuple[Line, Sending]:
        """Say who is called, by whom and in which time."""
        called = self._called
        if self._used:
            why = "it was awaited before: each call is made once"
            raise InvalidCall(str(called), why, fix=f"write proxy.{called}(...) again")
        self._used = True
        board, running = switchboard(called)
        line = board.line(called.service)
        sending = self._sending(board, running, line)
        if line.target.kind != "local":
            sending.tighten()
        return line, sending

    def _wire(self, plan: Plan, sending: Sending) -> Wire:
        if self._key is not None or plan.operation.keyed:
            sending.key = plan.key(self._key)
        return plan.wire(self._args, self._named)

    def _sending(self, board: Switchboard, running: Running, line: Line) -> Sending:
        now, parent = board.native.now(), current_call()
        limit = line.timeout if self._timeout is None else self._timeout
        deadline = now + limit
        if parent is not None and parent.deadline < deadline:
            deadline = parent.deadline
        internal = _internal(self._called, running.name)
        hurried = is_hurried(deadline - now, limit)
        return Sending(internal, deadline, now, parent, None, hurried, limit, self._args, self._named)


_anonymous: dict[str, Internal] = {}  # by who calls: as many as there are services here


def _internal(called: Called, caller: str) -> Internal:
    """Return who calls: the service, and the user that it works for.

    Raises:
        InvalidCall: if services call each other in a circle.
    """
    who = on_behalf()
    if who is ANONYMOUS:
        known = _anonymous.get(caller)
        if known is None:
            known = _anonymous[caller] = Internal(caller, None, (caller,))
        return known
    if isinstance(who, Internal):
        chain, user = (*(who.chain or (who.caller,)), caller), who.user
    else:
        who = current()
        chain, user = (*who.chain, caller), who if who.kind == "user" else None
    if len(chain) > DEEPEST:
        why = f"it came through {len(chain)} services, which is a circle: {' -> '.join(chain[-4:])}"
        raise InvalidCall(str(called), why, fix="let one of them do without the others")
    return Internal(caller, user, chain)


def _takes_error(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(one.kind in positional and one.default is one.empty for one in parameters)
