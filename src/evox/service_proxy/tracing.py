"""Tracing: the W3C trace context of a call, handed on to whoever is called (W3C Trace Context, level 1).

What a request brought is handed on with a span of its own; a chain that brought none gets one. Where OpenTelemetry is
in use, its current span is what callees see. Nothing is recorded here.
"""

import re
import secrets
import sys
from typing import Final

from evox.services import Call

__all__ = ["trace_headers"]

_PARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")
_STATE: Final = re.compile(r"[\t -~]{1,512}")  # what is handed on of tracestate; a client cannot send all that comes in


def trace_headers(call: Call | None) -> dict[str, str]:
    """Return the headers by which a callee knows which trace it belongs to.

    Args:
        call: The call that makes it, or None.
    """
    headers = _telemetry()
    if headers:
        return headers
    trace, flags, state = _of(call)
    headers = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-{flags}"}
    if state:
        headers["tracestate"] = state
    return headers


def _of(call: Call | None) -> tuple[str, str, str]:
    """Return trace, flags and state of the chain that a call belongs to."""
    first = call
    while first is not None:
        if first.trace is not None:
            return first.trace
        found = _incoming(first)
        if found is not None:
            first.trace = found
            return found
        if first.parent is None:
            break
        first = first.parent
    made = (secrets.token_hex(16), "00", "")
    if first is not None:
        first.trace = made
    return made


def _incoming(call: Call) -> tuple[str, str, str] | None:
    if call.request is None:
        return None
    headers = call.request.headers
    given = headers.getlist("traceparent")
    found = _PARENT.fullmatch(given[0].strip()) if len(given) == 1 else None
    if found is None or (given[0].startswith("00") and found[3]):
        return None
    state = ",".join(headers.getlist("tracestate")).strip()
    return found[1], found[2], state if _STATE.fullmatch(state) else ""


def _telemetry() -> dict[str, str]:
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    headers = {"traceparent": f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"}
    state = span.trace_state.to_header() if span.trace_state else ""
    return headers | ({"tracestate": state} if state else {})
