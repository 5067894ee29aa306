"""What tests of spans share: a tracer provider of OpenTelemetry's SDK that is installed for the time of a block.

OpenTelemetry lets a process install one, once. So its variable is set and put back, as those who install one see it;
that this is what ``set_tracer_provider`` does is tested in a process of its own. Other tests see no provider.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

__all__ = ["Recorded", "about", "recording"]


class Recorded:
    """The spans that have ended, and what OpenTelemetry has complained of."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter
        self.complaints: list[str] = []

    @property
    def all(self) -> list[ReadableSpan]:
        """All, in the order in which they ended."""
        return list(self._exporter.get_finished_spans())

    def ours(self) -> list[ReadableSpan]:
        """Those that Evox has told, in the order in which they began."""
        found = [one for one in self.all if one.instrumentation_scope is not None]
        mine = [one for one in found if one.instrumentation_scope and one.instrumentation_scope.name == "evox"]
        return sorted(mine, key=lambda one: one.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of one name."""
        return [one for one in self.all if one.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only one of a name."""
        found = self.named(name)
        assert len(found) == 1, f"{len(found)} of {name!r} in {[one.name for one in self.all]}"
        return found[0]

    def above(self, span: ReadableSpan) -> list[str]:
        """The names of those above a span, the nearest first."""
        names: list[str] = []
        known = {one.context.span_id: one for one in self.all if one.context is not None}
        while span.parent is not None:
            if span.parent.span_id not in known:
                return [*names, "?"]
            span = known[span.parent.span_id]
            names.append(span.name)
        return names

    def written(self) -> str:
        """All that is told, as a text."""
        return "\n".join(one.to_json() for one in self.all)

    def clear(self) -> None:
        """Forget them."""
        self._exporter.clear()


def about(span: ReadableSpan) -> Mapping[str, Any]:
    """What is told of a span."""
    return dict(span.attributes or {})


class _Complaints(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.append(record.getMessage())


_made: list[tuple[TracerProvider, InMemorySpanExporter]] = []


@contextmanager
def recording() -> Iterator[Recorded]:
    """Record spans; none are left, and OpenTelemetry must have nothing to complain of: a context left open, say."""
    if not _made:
        exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        _made.append((provider, exporter))
    [(provider, exporter)] = _made
    found = Recorded(exporter)
    handler, logger = _Complaints(found.complaints), logging.getLogger("opentelemetry")
    logger.addHandler(handler)
    before, trace._TRACER_PROVIDER = trace._TRACER_PROVIDER, provider
    found.clear()
    try:
        yield found
        assert found.complaints == []
        assert not trace.get_current_span().get_span_context().is_valid, "a span is still the current one"
    finally:
        trace._TRACER_PROVIDER = before
        logger.removeHandler(handler)
        found.clear()
