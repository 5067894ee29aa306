"""Hops: what OpenTelemetry is told of calls: a span from when one is made until its answer is there, of all attempts.

It is the current span of the task meanwhile, so it is handed on to a callee elsewhere, and what a callee in the process
does is below it. A stream's lasts until its end, and is the current one only until that begins: nobody knows in which
task it is read.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final

from evox import spans
from evox.errors import CallFailed
from evox.errors.secrets import masked
from evox.service_proxy.breaker import Breaker
from evox.service_proxy.replies import NoAnswer, Reply
from evox.service_proxy.sending import Target
from evox.service_proxy.streams import Chunks
from evox.services.operations import Operation

__all__ = ["in_hop", "note_retry", "streamed_in_hop"]

_ATTEMPTS: Final = "evox.proxy.attempts"
_BREAKER: Final = "evox.proxy.breaker"
_STATUS: Final = "http.response.status_code"


async def in_hop(
    target: Target, operation: Operation, breaker: Breaker, made: Awaitable[tuple[Reply, int]]
) -> tuple[Reply, int]:
    """Wait for an answer, and tell of it.

    Args:
        target: What is called.
        operation: Which of its operations.
        breaker: The target's.
        made: The call, not begun yet.

    Raises:
        CallFailed: if there is no answer.
    """
    span = _begun(target, operation, breaker)
    with span:
        try:
            reply, tried = await made
        except CallFailed as error:
            span.set({_ATTEMPTS: error.attempts})
            raise
        finally:
            _note_breaker(span, breaker)
        span.set({_ATTEMPTS: tried})
        _note_answer(span, reply)
        return reply, tried


async def streamed_in_hop(
    target: Target, operation: Operation, breaker: Breaker, made: Awaitable[Reply | Chunks]
) -> Reply | Chunks:
    """Wait for the beginning of an answer that is read part by part, and tell of it until its end.

    Raises:
        CallFailed: if it does not begin.
    """
    span = _begun(target, operation, breaker)
    span.enter()
    error: BaseException | None = None
    begun: Reply | Chunks | None = None
    try:
        begun = await made
    except BaseException as raised:
        error = raised
        raise
    finally:
        span.leave(error)
        _note_breaker(span, breaker)
        if error is not None:
            span.end(error)
    if isinstance(begun, Reply):
        _note_answer(span, begun)
        span.end()
        return begun
    return _Told(begun, span)


def note_retry(tried: int, reply: Reply | None, missing: NoAnswer | None) -> None:
    """Tell that a call is made again.

    Args:
        tried: How often it was tried before.
        reply: What was answered last, if anything was.
        missing: Why nothing was.
    """
    span = spans.current()
    if span is not None:
        why: dict[str, Any] = {} if reply is None else {_STATUS: reply.status}
        why |= {} if missing is None else {"evox.proxy.why": masked(missing.why)[: spans.LONGEST]}
        span.add_event("evox.proxy.retry", {"http.request.resend_count": tried} | why)


def _begun(target: Target, operation: Operation, breaker: Breaker) -> spans.Span:
    about = {
        "service.peer.name": target.name,
        "evox.proxy.operation": operation.name,
        "evox.proxy.kind": target.kind,
        "http.request.method": operation.method,
    }
    span = spans.Span(f"evox.proxy {target.name}.{operation.name}", about, client=True)
    _note_breaker(span, breaker)
    return span


def _note_breaker(span: spans.Span, breaker: Breaker) -> None:
    if breaker.state != "closed":
        span.set({_BREAKER: breaker.state})


def _note_answer(span: spans.Span, reply: Reply) -> None:
    span.set({_STATUS: reply.status})
    if reply.status >= 400:
        spans.fail(span.span, str(reply.status))


@dataclass(slots=True)
class _Told:
    """An answer that is read part by part, and told of when it ends."""

    chunks: Chunks
    span: spans.Span

    @property
    def media(self) -> str:
        return self.chunks.media

    async def receive(self) -> bytes | None:
        try:
            part = await self.chunks.receive()
        except NoAnswer as error:
            spans.fail(self.span.span, "timeout" if error.is_timeout else "broken_off")
            self.span.end()
            raise
        except BaseException as error:
            self.span.end(error)
            raise
        if part is None:
            self.span.end()
        return part

    async def aclose(self) -> None:
        self.span.end()
        await self.chunks.aclose()
