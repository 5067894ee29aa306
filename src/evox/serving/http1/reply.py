"""Reply: an answer as bytes. Head and body go out in one write where the app has both."""

import re
import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from evox.services import problem

__all__ = ["CONTINUE", "Reply", "refusal"]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_BODILESS: Final = frozenset({204, 304})
_STATUSES: Final = {
    status: f"HTTP/1.1 {status} {phrase}\r\n".encode()
    for status, phrase in ((one.value, one.phrase) for one in HTTPStatus)
}
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What may stand in a value: anything but control characters, of which CR and LF end a line.
_PRINTABLE: Final = bytes(one for one in range(256) if one == 9 or (one >= 32 and one != 127))
_KEPT: Final = 500  # names and headers that are remembered; an app that makes them up must not fill the memory
_SHORT: Final = 100  # bytes of a header that is remembered


class Reply:
    """The head of one answer, and how its body is sent.

    Args:
        status: Its status, of 200 or more: others come before an answer.
        headers: Its headers, as ASGI has them.
        method: Of the request.
        version: Of the request.

    Attributes:
        bodiless: Whether it has no body, whatever the app sends.
        closes: Whether its headers say that the connection ends with it.
        left: Bytes of its body that are still to come; None where it does not say.

    Raises:
        ValueError: if a header cannot be sent.
    """

    closes: bool = False
    dated: bool = False
    chunked: bool = False
    left: int | None = None

    def __init__(self, status: int, headers: Iterable[tuple[bytes, bytes]], method: str, version: str) -> None:
        self._status, self._version = status, version
        self.bodiless = method == "HEAD" or status in _BODILESS
        lines = b""
        for one in headers:
            try:
                known = _lines.get(one)
            except TypeError:  # a list, or bytes that can be changed
                known = None
            line, left = known or self._line(*map(bytes, one))
            lines += line
            if left is not None:
                self.left = left
        self._head = lines

    def _line(self, name: bytes, value: bytes) -> tuple[bytes, int | None]:
        """Return a header as it is sent, and the length that it announces, if it does."""
        begin = _names.get(name) or _learn(name)
        if begin == b"transfer-encoding: ":
            return b"", None  # how its body is delimited is ours to say
        line = begin + value.strip() + b"\r\n"
        if len(line.translate(None, _PRINTABLE)) != len(b"\r\n"):
            raise _unsendable(line)
        made = line, int(value) if begin == b"content-length: " else None
        if begin == b"connection: ":
            self.closes = self.closes or b"close" in value.lower()
        elif begin == b"date: ":
            self.dated = True
        elif len(line) <= _SHORT:
            if len(_lines) >= _KEPT:
                _lines.clear()
            _lines[name, value] = made
        return made

    def head(self, *, closes: bool, whole: int | None) -> bytes:
        """Return the head.

        Args:
            closes: Whether the connection ends with the answer.
            whole: Bytes of the body where all of it is there; None if it comes in parts.
        """
        status = self._status
        more = b""
        if self.left is None and status != 204:
            if whole is not None and not self.bodiless:
                self.left = whole
                more = b"content-length: %d\r\n" % whole
            elif not self.bodiless and self._version == "1.1":
                self.chunked = True
                more = b"transfer-encoding: chunked\r\n"
        if (closes or self.endless) and not self.closes:
            more += b"connection: close\r\n"
        elif self._version == "1.0" and not self.closes:
            more += b"connection: keep-alive\r\n"
        line = _STATUSES.get(status) or b"HTTP/1.1 %d \r\n" % status
        if self.dated:  # a head has one date
            return b"%b%b%b\r\n" % (line, self._head, more)
        return b"%b%b%bdate: %b\r\n\r\n" % (line, self._head, more, _date())

    def part(self, body: bytes) -> bytes:
        """Return a part of the body as it is sent.

        Raises:
            RuntimeError: if there is more of it than its headers say.
        """
        if self.left is None:
            return b"%x\r\n%b\r\n" % (len(body), body) if self.chunked else body
        self.left -= len(body)
        if self.left < 0:
            raise RuntimeError("the app has sent more than its content-length says")
        return body

    def end(self) -> bytes:
        """Return what tells the end of the body."""
        return _LAST_CHUNK if self.chunked else b""

    @property
    def lacks(self) -> bool:
        """Whether some of the body that its headers announce was not sent."""
        return bool(self.left) and not self.bodiless

    @property
    def endless(self) -> bool:
        """Whether only the end of the connection tells where its body ends."""
        return self.left is None and not self.chunked and not self.bodiless


def refusal(status: int, what: str) -> bytes:
    """Return the answer to a client that will not be served, after which the connection is closed."""
    response = problem(status, HTTPStatus(status).phrase, detail=what)
    reply = Reply(status, response.raw_headers, "GET", "1.1")
    return reply.head(closes=True, whole=len(response.body)) + bytes(response.body)


_names: dict[bytes, bytes] = {}
_lines: dict[tuple[bytes, bytes], tuple[bytes, int | None]] = {}  # what a reply makes of a header, once that was seen


def _learn(name: bytes) -> bytes:
    """Return how a header of this name begins.

    Raises:
        ValueError: if no header has such a name.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"the app has sent a header whose name cannot be sent: {name[:100]!r}")
    if len(_names) >= _KEPT:
        _names.clear()
    begin = _names[name] = name.lower() + b": "
    return begin


def _unsendable(line: bytes) -> ValueError:
    name, _, value = line.partition(b": ")
    return ValueError(f"the app has sent a header whose value cannot be sent: {name.decode()}: {value[:100]!r}")


_second = 0
_text = b""


def _date() -> bytes:
    """Return the time as RFC 9110 writes it; made once a second."""
    global _second, _text
    now = int(time.time())
    if now != _second:
        _second, _text = now, formatdate(now, usegmt=True).encode()
    return _text
