"""Sending: what travels with a call beside its arguments, and what can be called at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio

from evox import context
from evox.auth import Internal
from evox.scheduling import Priority
from evox.service_proxy.replies import Reply
from evox.service_proxy.streams import Chunks
from evox.services import Call
from evox.services.encoding import Wire
from evox.services.operations import Operation, Operations

__all__ = ["Sending", "Target", "is_hurried"]


@dataclass(slots=True)
class Sending:
    """One attempt of a call, or all of them.

    Attributes:
        internal: Who calls, and for whom.
        deadline: When its time is over, in monotonic seconds.
        began: When it was made.
        parent: The call that makes it, or None.
        key: Its idempotency key.
        hurried: Whether its caller gives it less than half of the time that a call has by itself: that it was too
            little says nothing of the callee.
        limit: How long a call may take by itself, in seconds.
        args: Its arguments by position, as they were given; fakes see those.
        named: Its arguments by name.
    """

    internal: Internal
    deadline: float
    began: float
    parent: Call | None = None
    key: str | None = None
    hurried: bool = False
    limit: float = 10.0
    args: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)

    @property
    def level(self) -> Priority | None:
        """The level of its chain; None if it has none yet."""
        seat, asked = context.maybe_seat(), context.maybe_level()
        return seat.level if seat is not None else None if asked is None else Priority(asked)

    def tighten(self) -> None:
        """Take on what time the task has in which it is made; that ends it by itself, and others are to know of it."""
        left = anyio.current_effective_deadline()
        if left < self.deadline:
            self.deadline, self.hurried = left, is_hurried(left - self.began, self.limit)


def is_hurried(given: float, limit: float) -> bool:
    """Whether a caller gives a call so little time that it is the caller's fault if that is over."""
    return given < limit / 2


class Target(Protocol):
    """Something that can be called: a service of this process, one elsewhere, or a fake."""

    @property
    def name(self) -> str:
        """The service's name."""

    @property
    def kind(self) -> str:
        """``"local"``, ``"remote"`` or ``"fake"``."""

    async def operations(self, sending: Sending) -> Operations:
        """Return what it can do.

        Raises:
            NoAnswer: if that cannot be found out now.
        """

    async def send(self, operation: Operation, wire: Wire, sending: Sending) -> Reply:
        """Make one attempt.

        Raises:
            NoAnswer: if there was no answer.
        """

    async def stream(self, operation: Operation, wire: Wire, sending: Sending) -> "Reply | Chunks":
        """Begin a call whose answer is read part by part; a failure is a reply."""

    def statistics(self) -> Any:
        """Return what is known of it from outside."""
