"""Proxy: errors of calls to other services.

What a callee refuses is the business of whoever calls it, and no client's: unhandled, these are a 502, 503 or 504 of
the caller, never the callee's own 401 or 422.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, Final

from evox.errors.base import EvoxError, Place
from evox.errors.secrets import masked

__all__ = [
    "AmbiguousOperation",
    "CallDenied",
    "CallError",
    "CallFailed",
    "CallInvalid",
    "CallNotFound",
    "CallRefused",
    "CallTimeout",
    "CallUnavailable",
    "CircuitOpen",
    "InvalidCall",
    "ProxyError",
    "RegistryUnavailable",
    "UnknownOperation",
    "UnknownService",
    "UnusableAnswer",
]

_TOKEN: Final = re.compile(r"\beyJ[\w-]{6,}(?:\.[\w-]+)*")  # how each JWT begins; a callee may say what it was sent


class ProxyError(EvoxError):
    """Base of all errors of calls to other services."""


class UnknownService(ProxyError):
    """Nobody knows a service of this name."""

    id = "EVX-901"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        close = get_close_matches(name.replace("-", "_"), [one.replace("-", "_") for one in known], 3, 0.5)
        there = f"there {'is' if len(known) == 1 else 'are'} {', '.join(sorted(known))}" if known else "there is none"
        super().__init__(
            f"no service {name!r} is known" + (f"; did you mean {' or '.join(close)}?" if close else ""),
            why=f"it does not run in this process, and no peer has its name: {there}",
            fix=f'run it here too, or say where it is: [tool.evox.peers] {name} = {{ url = "https://..." }}',
        )


class UnknownOperation(ProxyError):
    """A service has no operation of this name, or none of this method."""

    id = "EVX-902"

    def __init__(self, service: str, name: str, known: Sequence[str], place: Place | None = None) -> None:
        close = get_close_matches(name, known, 3, 0.5)
        super().__init__(
            f"service {service!r} has no operation {name!r}"
            + (f"; did you mean {' or '.join(close)}?" if close else ""),
            why=f"its operations are {', '.join(sorted(set(known))) or 'none'}",
            fix="an operation has the name of its handler, or the name= of its decorator",
            place=place,
        )


class AmbiguousOperation(ProxyError):
    """A name stands for several operations of a service, or services."""

    id = "EVX-903"

    def __init__(self, what: str, found: Sequence[str], *, fix: str) -> None:
        super().__init__(f"{what} can mean several things", why=f"it is {', and '.join(found)}", fix=fix)


class InvalidCall(ProxyError, TypeError):
    """A call that cannot be made: its arguments cannot be sent, or it was made before."""

    id = "EVX-904"

    def __init__(self, call: str, why: str, *, fix: str = "") -> None:
        super().__init__(f"{call} cannot be called like this", why=why, fix=fix or "give it what its handler takes")


class RegistryUnavailable(ProxyError):
    """Where a service runs is not known: the registry cannot be reached, and what it last said is too old.

    Attributes:
        reason: Why it cannot be reached.
    """

    id = "EVX-914"
    status = 503
    retryable = True

    def __init__(self, registry: str, service: str, why: str) -> None:
        super().__init__(
            f"where service {service!r} runs is not known",
            why=f"{registry}: {why}",
            fix="start it, or correct its URL; services that run find each other again by themselves",
        )
        self.reason = masked(why)


class CallError(ProxyError):
    """A call that did not end well.

    Attributes:
        service: What was called.
        operation: Which of its operations.
        code: The status that it answered; None if it gave no answer.
        detail: What it said: ``detail`` of a JSON answer, else the whole of it.
        attempts: How often it was tried; 0 if it was never made.
        retry_after: Seconds until a retry makes sense, if it said so.
        may_have_run: Whether the operation may have done something.
    """

    status: ClassVar[int] = 502
    said: ClassVar[str] = "refused the call"
    advice: ClassVar[str] = "handle it where the call is made: except evox.errors.CallError"

    def __init__(
        self,
        service: str,
        operation: str,
        *,
        code: int | None = None,
        detail: Any = None,
        why: str = "",
        fix: str = "",
        attempts: int = 1,
        retry_after: float | None = None,
        may_have_run: bool = True,
    ) -> None:
        tried = f" (tried {attempts} times)" if attempts > 1 else ""
        told = why or _told(detail) or (f"it answered {code}" if code is not None else "there was no answer")
        super().__init__(
            f"{service}.{operation} {self.said}" + (f" with {code}" if code is not None else "") + tried,
            why=told,
            fix=fix or self.advice,
        )
        self.service, self.operation, self.code, self.detail = service, operation, code, detail
        self.attempts, self.retry_after, self.may_have_run = attempts, retry_after, may_have_run
        self._why, self._fix = why, fix

    def tried(self, attempts: int) -> "CallError":
        """Return the same error, of a call that was tried so often."""
        if attempts == self.attempts:
            return self
        made = type(self)(
            self.service,
            self.operation,
            code=self.code,
            detail=self.detail,
            why=self._why,
            fix=self._fix,
            attempts=attempts,
            retry_after=self.retry_after,
            may_have_run=self.may_have_run,
        )
        made.__cause__, made.__suppress_context__ = self.__cause__, self.__suppress_context__
        return made


class CallInvalid(CallError):
    """The callee could not use the arguments: 400 or 422. ``detail`` is as FastAPI says it."""

    id = "EVX-905"
    advice = "call it with arguments that it accepts; detail says which it does not"
    said = "cannot use the arguments, and answered"


class CallDenied(CallError):
    """The callee is not for this caller: 401 or 403."""

    id = "EVX-906"
    advice = (
        "call it on behalf of somebody it is for; to a service in another process that goes along only with "
        "internal_keys in [tool.evox.auth] of both, and a service calls by itself what is private=True"
    )
    said = "is not for this caller, and answered"


class CallNotFound(CallError):
    """There is no such thing: 404 or 410."""

    id = "EVX-907"
    advice = "handle it where the call is made: except evox.errors.CallNotFound"
    said = "found nothing, and answered"


class CallRefused(CallError):
    """The callee refused, with another status of 400 to 499."""

    id = "EVX-908"


class CallFailed(CallError):
    """The callee failed: an answer of 500 or more, or none."""

    id = "EVX-909"
    advice = "see the log of the service; .with_fallback(...) gives something in its stead"
    said = "failed"


class UnusableAnswer(CallFailed):
    """The callee gave an answer that means nothing: a redirect, no JSON, too long, or of another type."""

    id = "EVX-910"
    advice = "see what it answers, and that its peer has the right url"
    said = "gave an answer that cannot be used"


class CallUnavailable(CallFailed):
    """The callee cannot be reached, or has no time: 408, 429, 502, 503, 504, or no answer."""

    id = "EVX-911"
    advice = "try again later; .with_fallback(...) gives something in its stead"
    status = 503
    retryable = True
    said = "is not available"


class CircuitOpen(CallUnavailable):
    """The callee failed so often that it is left alone for a while. Nothing was sent."""

    id = "EVX-912"
    advice = "it is asked again soon; .with_fallback(...) gives something in its stead"
    said = "is left alone for a while"


class CallTimeout(CallUnavailable, TimeoutError):
    """The time of the call was over before there was an answer."""

    id = "EVX-913"
    advice = "give the call more time with .with_timeout(...), or make it faster"
    status = 504
    said = "did not answer in time"


def _told(detail: Any) -> str:
    """Return what may be shown of what a callee said: never the values that it was given, nor a token."""
    if isinstance(detail, str):
        return f"it said: {_TOKEN.sub('***', detail[:1000])[:200]}" if detail else ""
    if isinstance(detail, list):
        shown = [
            f"{'.'.join(map(str, one.get('loc', ())))}: {one.get('msg', '')}" for one in detail if isinstance(one, dict)
        ]
        return _TOKEN.sub("***", "; ".join(shown))[:500]
    return ""
