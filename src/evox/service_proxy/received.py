"""Received: what would come of an answer through a socket, for calls that need none."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from evox.service_proxy.replies import JSON_HEADERS, NoAnswer, Reply

__all__ = ["received", "refuse_compressed", "sendable"]

_NAME: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")  # RFC 9110, section 5.6.2
_ENDS: Final = re.compile(r"[\x00\n\v\f\r]")  # what no value of a header can hold
_NO_BODY: Final = frozenset({204, 304})


def received(reply: Reply, limit: int, *, is_head: bool = False) -> Reply:
    """Return an answer as it would come through a socket.

    Args:
        reply: The answer.
        limit: Bytes of a body at most.
        is_head: Whether it answers HEAD, and is as long as it says elsewhere.

    Raises:
        NoAnswer: if it would not come, or not be used.
    """
    if reply.headers is not JSON_HEADERS or reply.status < 200:
        reply = _checked(reply, is_head=is_head)
    if len(reply.body) > limit:
        raise NoAnswer(f"its answer is longer than {limit} bytes", sent=True, final=True)
    return reply


def _checked(reply: Reply, *, is_head: bool) -> Reply:
    if reply.status < 200 or not sendable(reply.headers):  # what a server answers instead
        return Reply(500, b"Internal Server Error", {"content-type": "text/plain; charset=utf-8"}, reply.cause)
    refuse_compressed(reply.headers)
    if reply.status in _NO_BODY:
        return replace(reply, body=b"") if reply.body else reply
    length = reply.headers.get("content-length")
    if length is not None and not is_head and length != str(len(reply.body)):
        raise NoAnswer("its answer is not as long as it says", sent=True)
    return reply


def sendable(headers: Mapping[str, str]) -> bool:
    """Whether headers can be sent: one with a line feed in it cannot.

    Args:
        headers: Those of an answer, by name in lower case.
    """
    return all(_NAME.fullmatch(name) and not _ENDS.search(value) for name, value in headers.items())


def refuse_compressed(headers: Mapping[str, str]) -> None:
    """Refuse an answer that is compressed, which nobody has asked for.

    Args:
        headers: Those of the answer, by name in lower case.

    Raises:
        NoAnswer: if it is.
    """
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise NoAnswer("its answer is compressed, which was not asked for", sent=True, final=True)
