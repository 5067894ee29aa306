"""Tracing: the trace context and the request id of a call, handed on to whoever is called (W3C Trace Context, level 1).

What a request brought is handed on with a span of its own; a chain that brought none gets one. Where OpenTelemetry is
in use, its current span is what callees see, those in this process too. Nothing is recorded here.
"""

import secrets

from evox import spans
from evox.services import Call, correlation_now
from evox.services.correlation import REQUEST_ID, Correlation, current_span

__all__ = ["span_headers", "trace_headers"]


def trace_headers(call: Call | None) -> dict[str, str]:
    """Return the headers by which a callee knows which trace and request it belongs to.

    Args:
        call: The call that makes it, or None.
    """
    known = call.correlation if call is not None else correlation_now()
    headers = {} if known is None else {REQUEST_ID: known.request_id}
    return headers | (_telemetry() or _own(known or Correlation()))


def span_headers() -> list[tuple[bytes, bytes]]:
    """Return what a request within this process brings along, for FastAPI to begin its span below the current one."""
    if spans.tracer() is None:
        return []
    return [(name.encode(), value.encode("latin-1")) for name, value in _telemetry().items()]


def _own(known: Correlation) -> dict[str, str]:
    trace, flags, state = known.trace
    headers = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-{flags}"}
    return headers | ({"tracestate": state} if state else {})


def _telemetry() -> dict[str, str]:
    span = current_span()
    if span is None:
        return {}
    headers = {"traceparent": f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"}
    state = span.trace_state.to_header() if span.trace_state else ""
    return headers | ({"tracestate": state} if state else {})
