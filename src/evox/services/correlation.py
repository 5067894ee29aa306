"""Correlation: by what all that is written for one request is known to belong together, here and in services it calls.

It has a request id, which a client may have given, and a W3C trace (Trace Context, level 1). Both are worked out when
somebody asks first, so a request of which nobody writes anything pays for neither. Nothing is recorded here.
"""

import os
import re
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

from evox import context

__all__ = [
    "REQUEST_ID",
    "Correlation",
    "Trace",
    "correlation_of",
    "current_span",
    "enter_correlation",
    "leave_correlation",
    "maybe_correlation",
]

REQUEST_ID: Final = "x-request-id"
Trace: TypeAlias = tuple[str, str, str]
_KEY: Final = "evox.correlation"  # where it is found in an ASGI scope, and in copies of one
_ID: Final = re.compile(rb"[A-Za-z0-9._~-]{1,128}")
_PARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")
_STATE: Final = re.compile(
    rb"[\t -~]{1,512}"
)  # what is handed on of tracestate; a client cannot send all that comes in


class Correlation:
    """What one request, and each call that it leads to in this process, have in common.

    Args:
        headers: Those of the request, as ASGI has them; none for what no client has begun.
        parent: That of the request within which it is made, if it is.
    """

    __slots__ = ("_headers", "_parent", "_request_id", "_trace")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]] = (), parent: "Correlation | None" = None) -> None:
        self._headers, self._parent = headers, parent
        self._request_id: str | None = None
        self._trace: Trace | None = None

    def __repr__(self) -> str:
        return f"<Correlation {self._request_id or 'not asked for yet'}>"

    @property
    def request_id(self) -> str:
        """The client's ``x-request-id`` where it is one header of 1 to 128 plain characters; else one made here."""
        if self._request_id is None:
            given = self._given(REQUEST_ID.encode())
            if len(given) == 1 and _ID.fullmatch(given[0]):
                self._request_id = given[0].decode()
            else:
                self._request_id = os.urandom(8).hex() if self._parent is None else self._parent.request_id
        return self._request_id

    @property
    def trace(self) -> Trace:
        """Trace, flags and state that it belongs to; made here where no caller has brought one."""
        known = self.known_trace
        if known is None and self._parent is not None:
            known = self._parent.trace
        if known is None:
            known = self._trace = (os.urandom(16).hex(), "00", "")
        return known

    @property
    def known_trace(self) -> Trace | None:
        """As ``trace``, but None where there is none yet."""
        if self._trace is None:
            self._trace = self._incoming()
            if self._trace is None and self._parent is not None:
                return self._parent.known_trace
        return self._trace

    @property
    def trace_id(self) -> str | None:
        """The trace as logs name it: of OpenTelemetry's current span, or the known one; None where there is none."""
        span = current_span()
        if span is not None:
            return f"{span.trace_id:032x}"
        return self.known_trace[0] if self.known_trace is not None else None

    def _incoming(self) -> Trace | None:
        given = self._given(b"traceparent")
        found = _PARENT.fullmatch(given[0].strip()) if len(given) == 1 else None
        if found is None or (given[0].startswith(b"00") and found[3]):
            return None
        state = b",".join(self._given(b"tracestate")).strip()
        return found[1].decode(), found[2].decode(), state.decode() if _STATE.fullmatch(state) else ""

    def _given(self, name: bytes) -> list[bytes]:
        return [value for key, value in self._headers if key.lower() == name]


_current: ContextVar[Correlation | None] = context.of_request(ContextVar("evox_correlation", default=None), None)


def correlation_of(scope: Any, parent: Correlation | None = None) -> Correlation:
    """Return the correlation of an ASGI scope; it is made once, and copies of the scope have the same.

    Args:
        scope: The scope of a request or WebSocket.
        parent: That of the request within which it is made, if it is.
    """
    found: Correlation | None = scope.get(_KEY)
    if found is None:
        found = scope[_KEY] = Correlation(scope.get("headers", ()), parent)
    return found


# Each request calls these, and a function round them would take as long again.
enter_correlation: Final = _current.set
"""Let what the current task does belong to a request; returns the token for ``leave_correlation``."""
leave_correlation: Final = _current.reset
"""Undo ``enter_correlation``."""
maybe_correlation: Final = _current.get
"""Return that of the request that the current task answers, or None. Calls have their own; see ``Call``."""


def current_span() -> Any:
    """Return the context of OpenTelemetry's current span; None where it is not in use, or there is no span."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    span = trace.get_current_span().get_span_context()
    return span if span.is_valid else None
