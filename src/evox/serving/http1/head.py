"""Head: the head of one request, read by httptools and held to what RFC 9112 says without doubt.

What is unusual is not judged here but left to hypercorn with all of its bytes, so that there is one place that says
what is refused and how. What is taken here must mean the same to every proxy in front of us.
"""

import re
from typing import Any, Final
from urllib.parse import unquote

import httptools

from evox.serving.syntax import HOST

__all__ = ["Head", "Reader", "Unusual"]

_VERSIONS: Final = {b"1.1": b" HTTP/1.1\r\n", b"1.0": b" HTTP/1.0\r\n"}
_NO_OPTIONS: Final[frozenset[bytes]] = frozenset()
_PLAIN: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_METHODS: Final = {one.encode(): one for one in _PLAIN}
# A first line of which there is nothing to be said, whatever headers follow it.
_PATH: Final = rb"[A-Za-z0-9._~%!$&'()*+,;=:@/-]*"
_LINE: Final = re.compile(rb"(%b) (/%b)(?:\?(%b))? HTTP/1\.1" % (b"|".join(_METHODS), _PATH, _PATH))
_BLOCK: Final = 4096  # bytes of headers that are remembered


class Unusual(Exception):
    """A request that the fast lane leaves to others."""


class Head:
    """One request's head.

    Attributes:
        method: E.g. ``"GET"``.
        path: Unquoted.
        raw_path: As it was sent.
        query: What follows the question mark, as it was sent.
        version: ``"1.1"`` or ``"1.0"``.
        headers: Names in lower case, in the order in which they came.
        length: Bytes of the body; None if only its end tells.
        keeps: Whether the client would send more requests.
        waits: Whether it waits to be asked for the body.
    """

    method: str
    path: str
    raw_path: bytes
    query: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    length: int | None = 0
    keeps: bool = True
    waits: bool = False


class Reader:
    """Reads the messages of one connection. Each has to be handed in from its first byte to its last, in order.

    Args:
        most: Headers that a request may have.
    """

    __slots__ = (
        "_block",
        "_body",
        "_complete",
        "_head",
        "_host",
        "_hosts",
        "_in_body",
        "_length",
        "_most",
        "_options",
        "_own",
        "_parser",
        "_same",
        "_target",
    )

    def __init__(self, most: int) -> None:
        self._most = most
        self._parser: Any = httptools.HttpRequestParser(self)
        self._hosts = 0
        self._host: bytes | None = None  # the last one that was looked at
        self._body: list[bytes] = []
        self._complete = self._in_body = False
        self._block = b""
        self._same: list[tuple[bytes, bytes]] = []
        self._length: int = 0
        self._own: int | None = None  # bytes of a body that are still to come, where the parser has not read its head

    def head(self, data: bytes) -> Head:
        """Read a head.

        Args:
            data: All of it, to the empty line.

        Raises:
            Unusual: if it is not plainly right.
        """
        begin = data.find(b"\r\n")
        if data[begin:] == self._block:  # many a client says the same with each of its requests
            line = _LINE.fullmatch(data, 0, begin)
            if line is not None:
                return self._again(line)
        head = self._head = Head()
        head.headers = []
        self._in_body, self._own = False, None
        self._options: frozenset[bytes] | set[bytes] = _NO_OPTIONS
        self._hosts, self._target, self._complete = 0, b"", False
        parser = self._parser
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise Unusual from error
        method: bytes = parser.get_method()
        version: str = parser.get_http_version()
        target = self._target
        head.method, head.version = method.decode(), version
        end = _VERSIONS.get(version.encode())
        if end is None or head.method not in _PLAIN or not data.startswith(method + b" " + target + end):
            raise Unusual
        if not target.startswith(b"/") or b"#" in target or len(head.headers) > self._most:
            raise Unusual
        head.raw_path, _, head.query = target.partition(b"?")
        path = head.raw_path.decode("ascii")
        head.path = unquote(path) if "%" in path else path
        head.keeps = b"close" not in self._options and (version == "1.1" or b"keep-alive" in self._options)
        if version == "1.0":
            head.waits = False  # it knows no such thing, and would take the invitation for an answer
        if self._hosts != 1 or (version == "1.0" and head.length is None):
            raise Unusual  # HTTP/1.0 may leave Host out; few do
        if version == "1.1" and head.keeps and not head.waits and head.length is not None:
            self._remember(data[begin:], head.headers, head.length)
        return head

    def _remember(self, block: bytes, headers: list[tuple[bytes, bytes]], length: int) -> None:
        if len(block) <= _BLOCK:
            self._block, self._same, self._length = block, headers.copy(), length

    def _again(self, line: re.Match[bytes]) -> Head:
        """Return a head whose headers are those of one that was read before."""
        head = Head()
        head.length = self._own = self._length
        method, raw_path, query = line.groups()
        head.method, head.version = _METHODS[method], "1.1"
        head.raw_path, head.query = raw_path, query or b""
        path = raw_path.decode("ascii")
        head.path = unquote(path) if "%" in path else path
        head.headers = self._same.copy()  # middleware may change them
        return head

    def forget(self) -> None:
        """Let go of what was read last: a connection may be idle for long, and there may be many."""
        self._head, self._body, self._target, self._block, self._same = _NOBODY, _NOTHING, b"", b"", _NO_HEADERS

    def body(self, data: bytes) -> tuple[bytes, bool]:
        """Read a part of a body; return what it holds, and whether the message is complete with it.

        Raises:
            Unusual: if it is wrong.
        """
        if self._own is not None:
            self._own -= len(data)
            return data, not self._own
        self._body, self._in_body = [], True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise Unusual from error
        body = self._body
        return (body[0] if len(body) == 1 else b"".join(body)), self._complete

    # --- called by the parser ---------------------------------------------------------------------------------------

    def on_url(self, target: bytes) -> None:
        """Take the target, or a part of it."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if self._in_body:
            return  # a trailer, which nobody has asked for
        name, value = name.lower(), value.rstrip()
        self._head.headers.append((name, value))
        handle = _NOTED.get(name)
        if handle is not None:
            handle(self, value)

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Note the end of a message."""
        self._complete = True

    def _take_host(self, value: bytes) -> None:
        self._hosts += 1
        if value != self._host:
            if not HOST.fullmatch(value):
                raise Unusual
            self._host = value

    def _take_length(self, value: bytes) -> None:
        self._head.length = int(value)

    def _take_coding(self, value: bytes) -> None:
        if value.lower() != b"chunked" or self._head.length is None:
            raise Unusual
        self._head.length = None

    def _take_options(self, value: bytes) -> None:
        self._options = self._options | {one.strip().lower() for one in value.split(b",")}

    def _take_expectation(self, value: bytes) -> None:
        if value.lower() != b"100-continue":
            raise Unusual
        self._head.waits = True

    def _refuse(self, _: bytes) -> None:
        raise Unusual


_NOBODY: Final = Head()
_NOTHING: Final[list[bytes]] = []
_NO_HEADERS: Final[list[tuple[bytes, bytes]]] = []
_NOTED: Final = {
    b"host": Reader._take_host,  # noqa: SLF001  these are its own
    b"content-length": Reader._take_length,  # noqa: SLF001
    b"transfer-encoding": Reader._take_coding,  # noqa: SLF001
    b"connection": Reader._take_options,  # noqa: SLF001
    b"expect": Reader._take_expectation,  # noqa: SLF001
    b"upgrade": Reader._refuse,  # noqa: SLF001
}
