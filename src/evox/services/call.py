"""Call: one run of one endpoint, from wherever it came.

The pipeline's steps all take the call; nothing about HTTP is in it but what came in with it.
"""

import math
from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias

from evox import context
from evox.auth import ANONYMOUS, Internal, Principal
from evox.errors import UnacceptableClaims
from evox.scheduling import Priority
from evox.services.correlation import Correlation, correlation_of, maybe_correlation
from evox.services.endpoint import Endpoint

__all__ = [
    "INBOUND",
    "OPENED",
    "Call",
    "Inbound",
    "OpenRequest",
    "Origin",
    "begin_request",
    "correlation_now",
    "current_call",
    "inbound_of",
]

OPENED: Final = "evox.opened"  # where the server keeps the open request, among the extensions of an ASGI scope
INBOUND: Final = "evox.inbound"  # where a call from within the process is found, among the same

Origin: TypeAlias = Literal["http", "internal"]


class OpenRequest(Protocol):
    """What a call that came by HTTP knows of the server's side of it."""

    @property
    def left(self) -> bool:
        """Whether its client has left."""

    @property
    def arrived(self) -> bool:
        """Whether all of its body is here, so that nobody has to wait for it."""

    def take_body(self) -> bytes | None:
        """Return all of its body; None where that cannot be done without waiting."""

    def answer(self, status: int, headers: Any, body: bytes) -> Awaitable[None] | None:
        """Send a whole answer; what is returned, if anything, waits until it is on its way."""

    def decide(self, on_disconnect: str | None) -> None:
        """Say what happens when its client leaves, or has left; None: its method decides."""


@dataclass(eq=False)
class Call:
    """One run of an endpoint.

    Attributes:
        endpoint: What is called.
        origin: ``"http"`` from a client, ``"internal"`` from another service.
        service: The service's name.
        method: The HTTP method.
        request: The HTTP request, for calls that came by HTTP.
        parent: The call that made this one, or None.
        internal: That it comes from another service; None for callers from outside.
        principal: Who calls, once its guard has found that out.
        opened: The server's side of the request; None under a server that is not ours.
        deadline: When its time is over, in monotonic seconds.
        whole_body: Whether its body is read to the end before anything is done with it.
        cache: Keeps its endpoint's answers; None if they are not kept.
        keyed: Keeps its endpoint's first answers by ``Idempotency-Key``; None if they are not kept.
        response: What FastAPI collects headers in that are set beside an answer; None where nobody needs to know.
        own_headers: Those that its dependencies have set there.
        kept: Whether its answer may be kept, where that is seen before its dependencies run.
        since: What had changed when it came; see ``Flights.moved``.
        pending: What is to be done with its answer, where that is known only after its dependencies have run.
        wire: What it brings, for calls that come from within the process and need no request.
        bounded: Whether its caller ends it when its time is over.
        level: The level that another service asks for it.
        claims: Whether it says, rightly or not, that another service makes it.
        known: Its correlation, once somebody has asked for it.
        span: The span of its request, where its answer may be kept and OpenTelemetry is told of it.
        seat: The seat that it holds itself, and what undoes that it is on it; None where it rides on its caller's.
        tokens: What undoes that it was made the current one.
        entered: What undoes that its caller was entered, where that has to be undone.
    """

    endpoint: Endpoint
    origin: Origin
    service: str
    method: str
    request: Any = None
    parent: "Call | None" = None
    internal: Internal | None = None
    # What is not given stands on the class until somebody sets it: most calls set few of these.
    principal: Principal = field(default=ANONYMOUS, init=False)
    opened: OpenRequest | None = field(default=None, init=False)
    deadline: float = field(default=math.inf, init=False)
    whole_body: bool = field(default=False, init=False)
    cache: Any = field(default=None, init=False)
    keyed: Any = field(default=None, init=False)
    response: Any = field(default=None, init=False)
    own_headers: tuple[tuple[bytes, bytes], ...] = field(default=(), init=False)
    kept: bool = field(default=False, init=False)
    since: int = field(default=0, init=False)
    pending: Any = field(default=None, init=False)
    wire: Any = field(default=None, init=False)
    bounded: bool = field(default=False, init=False)
    level: Priority | None = field(default=None, init=False)
    claims: bool = field(default=False, init=False)
    known: Correlation | None = field(default=None, init=False)
    span: Any = field(default=None, init=False)
    seat: Any = field(default=None, init=False)
    tokens: Any = field(default=None, init=False)
    entered: Any = field(default=None, init=False)

    def anew(self, request: Any, deadline: float) -> "Call":
        """Return the same call with a request of its own, which no client waits for."""
        made = copy(self)
        made.request, made.deadline, made.opened, made.seat = request, deadline, None, None
        return made

    @property
    def caller(self) -> Principal:
        """Who its answer is made for. Where nobody asks, a handler still knows whom another service works for."""
        if self.internal is not None and not self.principal.is_authenticated:
            return self.internal.principal
        return self.principal

    @property
    def correlation(self) -> Correlation:
        """What it has in common with the calls that led to it: request id and trace."""
        if self.known is None:
            above = None if self.parent is None else self.parent.correlation
            if self.request is not None and (above is None or self.origin == "http"):
                self.known = correlation_of(self.request.scope, above)
            else:
                self.known = above or Correlation()
        return self.known

    @property
    def request_id(self) -> str:
        """The id of the request that it belongs to, the same for all calls that are made to answer it."""
        return self.correlation.request_id


@dataclass(frozen=True, slots=True)
class Inbound:
    """That a request was made by a service of this process. No client can bring one along.

    Attributes:
        internal: Who makes it.
        parent: The call that makes it, or None.
        service: Which service is called.
        operation: Which of its operations, e.g. ``"GET /users/{user_id}"``; as a token, it is good for no other.
    """

    internal: Internal
    parent: Call | None
    service: str
    operation: str

    def check(self, service: str, operation: str | None) -> None:
        """Look whether this is what is called.

        Args:
            service: The service that answers.
            operation: Which of its operations; None for what is none.

        Raises:
            UnacceptableClaims: if it is not: a value in its path has led elsewhere.
        """
        if (service, operation) != (self.service, self.operation):
            raise UnacceptableClaims("it is for another operation")


def inbound_of(scope: Mapping[str, Any]) -> Inbound | None:
    """Return that a request comes from within this process; None if it came in from outside."""
    found: Inbound | None = scope.get("extensions", {}).get(INBOUND)
    return found


def begin_request(scope: Any) -> Correlation:
    """Return the correlation of a request: its own, or that of the call within this process that it stands for.

    Args:
        scope: Its ASGI scope.
    """
    found = inbound_of(scope)
    if found is not None and found.parent is not None:
        return found.parent.correlation
    return correlation_of(scope, None if found is not None else correlation_now())


_call: ContextVar[Call | None] = context.of_request(ContextVar("evox_call", default=None), None)


# Each request calls these, and a function round them would take as long again.
current_call: Final = _call.get
"""Return the call that the current task works for, or None."""
enter_call: Final = _call.set
"""Make a call the current one; returns the token for ``leave_call``."""
leave_call: Final = _call.reset
"""Undo ``enter_call``."""


def correlation_now() -> Correlation | None:
    """Return what the current task works for as its lines tell it, or None where it answers nobody."""
    call = _call.get()
    return call.correlation if call is not None else maybe_correlation()
