"""Spans: what is told to OpenTelemetry, where the process has a tracer provider. Elsewhere nothing is, for a look.

FastAPI tells of requests by itself; rooms tell of what it cannot know through here. Nothing of OpenTelemetry is
imported: FastAPI brings its API, and whoever installs a provider has imported that. Of an error its type is told. What
it says may hold what a client has sent, so that is told only of calls that got no answer, and masked.
"""

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Final, Self

from evox.errors import CallFailed
from evox.errors.secrets import masked

__all__ = ["NOTHING", "Span", "annotate", "begin", "current", "fail", "of_task", "tracer", "within"]

_MODULES: Final = sys.modules
_API: Final = "opentelemetry.trace"
_PROVIDER: Final = "_TRACER_PROVIDER"
_LOOK: Final = object()
_NONE: Final = object()
LONGEST: Final = 500  # characters of what is told of an error
NOTHING: Final = nullcontext()


class _Known:
    """What was found when it was looked last.

    Attributes:
        names: The variables of OpenTelemetry's API; none while nobody has imported it.
        seen: The one of them that changes when a provider is installed, as it was then.
        provider: The provider.
        tracer: Ours; None where nobody would see what it tells.
    """

    __slots__ = ("names", "provider", "seen", "tracer")

    def __init__(self) -> None:
        self.names: Mapping[str, Any] = {}
        self.seen = self.provider = self.tracer = None

    def look(self) -> Any:
        """Look which provider there is, and return our tracer of it."""
        api = _MODULES.get(_API)
        if api is None:
            return None
        found = api.get_tracer_provider()  # installs the one that the environment names, if it does
        if found is not self.provider:
            self.provider, self.tracer = found, _tracer_of(api, found)
        self.names = vars(api)
        self.seen = self.names.get(_PROVIDER, _NONE)  # which is looked for each time
        return self.tracer


_KNOWN: Final = _Known()


def tracer() -> Any:
    """Return the tracer that spans are begun with; None where no tracer provider is installed.

    It is asked for each call, and OpenTelemetry's own answer takes longer than many a call. So its variable is read;
    should it be gone one day, OpenTelemetry is asked.
    """
    known = _KNOWN
    return known.tracer if known.names.get(_PROVIDER, _LOOK) is known.seen else known.look()


def _tracer_of(api: Any, provider: Any) -> Any:
    if isinstance(provider, api.ProxyTracerProvider | api.NoOpTracerProvider):
        return None
    made = provider.get_tracer("evox", _MODULES["evox"].__version__)
    return None if isinstance(made, api.NoOpTracer) else made


def current() -> Any:
    """Return the current span, if there is one that is recorded; else None."""
    if tracer() is None:
        return None
    span = _MODULES[_API].get_current_span()
    return span if span.is_recording() else None


def annotate(span: Any, attributes: Mapping[str, Any]) -> None:
    """Set attributes of a span that may have ended, or be none."""
    if span is not None and span.is_recording():
        span.set_attributes(attributes)


def begin(name: str, attributes: Mapping[str, Any], *, start: int | None = None) -> "Span | None":
    """Begin a span below the current one, and return it; None where nobody would see it.

    Args:
        name: Its name.
        attributes: What is known of it.
        start: When it began, in nanoseconds of wall-clock time; now if None.
    """
    return None if tracer() is None else Span(name, attributes, start=start)


def within(
    name: str, attributes: Mapping[str, Any], *, client: bool = False, root: bool = False
) -> AbstractContextManager["Span | None"]:
    """Return a span for the time of a ``with`` block, where it is the current one; see ``Span``.

    Args:
        name: Its name.
        attributes: What is known of it.
        client: Whether it is a call of somebody else.
        root: Whether it begins a trace of its own, as what led to it may have ended; it gets a link to that.
    """
    return NOTHING if tracer() is None else Span(name, attributes, client=client, root=root)


def of_task(service: str, name: str) -> AbstractContextManager["Span | None"]:
    """Return the span of one run of a background task or job; a request that has started it may be over by then."""
    if tracer() is None:
        return NOTHING
    return Span(f"evox.task {service}/{masked(name)}", {"evox.service": service}, root=True)


class Span:
    """One span, ended by whoever has begun it. Made by ``begin`` and ``within``, where there is a tracer.

    In a ``with`` block it is the current one, and ended with the block; what the block raises is told of it. The block
    has to begin and end in the same task, and may not yield.

    Args:
        name: Its name.
        attributes: What is known of it.
        client: Whether it is a call of somebody else.
        root: Whether it begins a trace of its own.
        start: When it began, in nanoseconds of wall-clock time.
    """

    __slots__ = ("_token", "span")

    def __init__(
        self,
        name: str,
        attributes: Mapping[str, Any],
        *,
        client: bool = False,
        root: bool = False,
        start: int | None = None,
    ) -> None:
        api = _MODULES[_API]
        kind = api.SpanKind.CLIENT if client else api.SpanKind.INTERNAL
        above, links = None, []
        if root:
            before = api.get_current_span().get_span_context()
            links = [api.Link(before)] if before.is_valid else []
            above = api.set_span_in_context(api.INVALID_SPAN)
        self.span = tracer().start_span(name, above, kind, dict(attributes), links, start)
        self._token: Any = None

    def __repr__(self) -> str:
        return f"<Span {getattr(self.span, 'name', 'not recorded')}>"

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(error)
        self.end(error)

    def enter(self) -> None:
        """Make it the current one of this task."""
        self._token = _MODULES["opentelemetry.context"].attach(_MODULES[_API].set_span_in_context(self.span))

    def leave(self, error: BaseException | None) -> None:
        """Undo ``enter``.

        Args:
            error: What ends the task's work, if anything. One that is closed and not run on may be closed in any
                context; its own is gone with it.
        """
        if not isinstance(error, GeneratorExit):
            _MODULES["opentelemetry.context"].detach(self._token)

    def set(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes."""
        annotate(self.span, attributes)

    def end(self, error: BaseException | None = None) -> None:
        """End it, if it has not ended, and tell of an error or a cancellation."""
        if error is not None:
            fail(self.span, error)
        if self.span.is_recording():
            self.span.end()


def fail(span: Any, error: BaseException | str) -> None:
    """Tell that what a span stands for has failed; or that it was cancelled, which is no failure.

    Args:
        span: The span.
        error: Why, as an error or a short word for its kind.
    """
    if not span.is_recording():
        return
    if isinstance(error, BaseException) and not isinstance(error, Exception):
        span.set_attribute("evox.cancelled", True)
        return
    api = _MODULES[_API]
    told = masked(error.why)[:LONGEST] if isinstance(error, CallFailed) and error.why else None
    span.set_attribute("error.type", error if isinstance(error, str) else _type_of(error))
    span.set_status(api.Status(api.StatusCode.ERROR, told))


def _type_of(error: Exception) -> str:
    """Return the type of an error as FastAPI's spans name it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
