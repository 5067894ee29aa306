"""Replies: what a callee answered, and what that means to its caller: a value, or an error of the proxy.

Both ways, within the process and over a socket, end here with a status and bytes, so both mean the same.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time
from types import MappingProxyType
from typing import Any, Final

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from evox.errors import (
    CallDenied,
    CallError,
    CallFailed,
    CallInvalid,
    CallNotFound,
    CallRefused,
    CallUnavailable,
    UnusableAnswer,
)
from evox.service_proxy.items import Items
from evox.service_proxy.streams import NoAnswer
from evox.services.http_errors import ATTEMPTS
from evox.services.operations import NO_TYPE, Operation, Streams
from evox.services.unsent import reads_itself

__all__ = ["ATTEMPTS", "JSON_HEADERS", "NoAnswer", "Reader", "Reply", "is_json"]

JSON_HEADERS: Final = MappingProxyType({"content-type": "application/json"})
_PHRASES: Final = {one.value: one.phrase for one in HTTPStatus}
UNAVAILABLE: Final = frozenset({408, 429, 502, 503, 504})
_STREAMS: Final[Mapping[str, Streams]] = {
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "text/event-stream": "sse",
}
_KINDS: Final[Mapping[int, type[CallError]]] = {
    400: CallInvalid,
    422: CallInvalid,
    401: CallDenied,
    403: CallDenied,
    404: CallNotFound,
    410: CallNotFound,
}


@dataclass(slots=True, unsafe_hash=True)  # nobody changes one; to freeze it takes longer than to make it
class Reply:
    """What a callee answered.

    Attributes:
        status: HTTP status.
        body: All of the body.
        headers: By name in lower case.
        cause: The callee's own error, where it runs in this process.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)
    cause: Exception | None = field(default=None, repr=False)

    @property
    def retry_after(self) -> float | None:
        """Seconds until a retry makes sense, if it says so (RFC 9110, section 10.2.3)."""
        said = self.headers.get("retry-after")
        if said is None:
            return None
        if said.isascii() and said.isdigit():
            return _seconds(said)
        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - time())
        except (TypeError, ValueError, OverflowError):
            return None

    @property
    def age(self) -> float:
        """How old it was when it was given, in seconds (RFC 9111, section 5.1)."""
        said = self.headers.get("age", "")
        return _seconds(said) if said.isascii() and said.isdigit() else 0.0

    @property
    def is_stale(self) -> bool:
        """Whether it is an old answer in the stead of one that could not be made (RFC 9211)."""
        return "stale-if-error" in self.headers.get("cache-status", "")


class Reader:
    """Reads the replies of one operation.

    Args:
        service: The service's name, for errors.
        operation: What was called.
        returns: The type of its answer; ``NO_TYPE`` leaves it as JSON has it.
    """

    def __init__(self, service: str, operation: Operation, returns: Any = NO_TYPE) -> None:
        self._service = service
        self._operation = operation
        self._adapter = _adapter(returns)
        self._by_name = operation.route is not None and not operation.route.response_model_by_alias

    def __repr__(self) -> str:
        return f"<Reader of {self._service}.{self._operation.name}>"

    def value(self, reply: Reply) -> Any:
        """Return the value that a reply stands for.

        Raises:
            CallError: if it stands for none.
        """
        if not 200 <= reply.status < 300:
            raise self.error(reply) from reply.cause
        if not reply.body:
            return None
        if reply.headers is JSON_HEADERS:
            return self._json(reply)
        media = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        if is_json(media):
            return self._json(reply)
        if media.startswith("text/"):
            return self._text(reply)
        return reply.body

    def item(self, text: bytes) -> Any:
        """Return the value of one item of a stream of JSON.

        Raises:
            UnusableAnswer: if it is none.
        """
        return self._json(Reply(200, text))

    def items(self, media: str, limit: int) -> Items:
        """Return what cuts a stream of a content type into items, none of them longer than so many bytes."""
        kind = _STREAMS.get(media.partition(";")[0].strip().lower())
        return Items(kind, self.item, lambda why: self._unusable(Reply(200), why), limit)

    def broken(self, missing: NoAnswer) -> CallError:
        """Return the error of a stream that broke off."""
        return CallUnavailable(self._service, self._operation.name, why=missing.why)

    def error(self, reply: Reply) -> CallError:
        """Return the error that a reply stands for."""
        status = reply.status
        if status < 400:
            where = "a redirect, and redirects are not followed" if 300 <= status < 400 else "no answer to a call"
            return UnusableAnswer(self._service, self._operation.name, code=status, why=f"it is {where}")
        default = CallRefused if status < 500 else CallFailed
        kind = CallUnavailable if status in UNAVAILABLE else _KINDS.get(status, default)
        detail = _detail(reply)
        return kind(self._service, self._operation.name, code=status, detail=detail, retry_after=reply.retry_after)

    def _json(self, reply: Reply) -> Any:
        try:
            if self._adapter is None:
                return json.loads(reply.body)
            if self._by_name:
                return self._adapter.validate_json(reply.body, by_alias=False, by_name=True)
            return self._adapter.validate_json(reply.body)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False, include_context=False)
            if wrong[0]["type"] == "json_invalid":
                raise self._unusable(reply, f"it says that it is JSON, and is none: {wrong[0]['msg']}") from None
            shown = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in wrong[:3])
            raise self._unusable(reply, f"it does not fit the declared return type: {shown}") from None
        except (ValueError, RecursionError) as error:
            raise self._unusable(reply, f"it says that it is JSON, and is none: {error}") from None

    def _text(self, reply: Reply) -> str:
        try:
            return reply.body.decode()
        except UnicodeDecodeError:
            raise self._unusable(reply, "it says that it is text, and is no UTF-8") from None

    def _unusable(self, reply: Reply, why: str) -> UnusableAnswer:
        return UnusableAnswer(self._service, self._operation.name, code=reply.status, why=why)


def is_json(media: str) -> bool:
    """Whether a content type is one of JSON (RFC 6839, section 3.1)."""
    return media == "application/json" or (media.startswith("application/") and media.endswith("+json"))


def _seconds(digits: str) -> float:
    """Return so many seconds; 2**31 for more (RFC 9111, section 1.2.2), of which nobody makes infinity."""
    return min(float(digits), 2.0**31)


def _adapter(returns: Any) -> TypeAdapter[Any] | None:
    if returns is NO_TYPE or returns is Any or not reads_itself(returns):
        return None  # what was written under another name than it is read by would be lost
    try:
        return TypeAdapter(returns)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return None  # no type that pydantic knows: its JSON is all that there is


def _detail(reply: Reply) -> Any:
    """Return what an error says: ``detail`` as FastAPI and RFC 9457 have it, or else all of it."""
    if not reply.body:
        return _PHRASES.get(reply.status)
    media = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if is_json(media):
        try:
            said = json.loads(reply.body)
        except (ValueError, RecursionError):
            return None
        return said.get("detail", said) if isinstance(said, dict) else said
    return reply.body[:1000].decode(errors="replace") if media.startswith("text/") else None
