"""Answers: responses as they are kept, and as they are given again.

Kept are status, headers and body of what every client that asks the same may see. Clients revalidate by ETag and get
304: what is kept here can be taken away here, and what a client keeps cannot.
"""

import hashlib
import json
import math
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

__all__ = [
    "JSON",
    "Answer",
    "Pair",
    "Replay",
    "answer_of",
    "can_be_shared",
    "copied",
    "dispose",
    "for_all",
    "is_private",
    "is_whole",
    "ready",
    "replayed",
    "respond",
    "revive",
    "says_private",
    "sent_answer",
]

JSON: Final = (b"content-type", b"application/json")
_TAG: Final = re.compile(r'"[^"]*"|[^\s,"/]+')  # quoted, as it may hold a comma, or as people forget to
_LENGTH: Final = struct.Struct(">I")
# A response is made anew for each client; these belong to one delivery of it.
_HOP: Final = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"date", b"server"})
_KEPT_ON_304: Final = frozenset(
    {
        b"age",
        b"cache-control",
        b"cache-status",
        b"content-location",
        b"date",
        b"etag",
        b"expires",
        b"last-modified",
        b"vary",
    }
)


Pair: TypeAlias = tuple[bytes, bytes]


class Answer(NamedTuple):
    """A response that can be given again."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def seal(self) -> bytes:
        """Return it as bytes."""
        names = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers]
        head = json.dumps([self.status, names], separators=(",", ":")).encode()
        return _LENGTH.pack(len(head)) + head + self.body


class Replay(NamedTuple):
    """How an answer is given to one request.

    Attributes:
        status: What ``Cache-Status`` says.
        age: Seconds since it was made; None if it was made just now.
        private: Whether caches that many share may not keep it.
        vary: Names of headers that it depends on.
        own: Headers that dependencies of the request have set.
    """

    status: str
    age: float | None = None
    private: bool = False
    vary: tuple[str, ...] = ()
    own: Sequence[Pair] = ()


def revive(sealed: bytes) -> Answer:
    """Return what ``Answer.seal`` wrote.

    Raises:
        ValueError: if it is something else.
    """
    try:
        (length,) = _LENGTH.unpack_from(sealed)
        status, names = json.loads(sealed[4 : 4 + length])
        headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in names)
    except (struct.error, TypeError, UnicodeError) as error:
        raise ValueError(f"it is no answer: {error}") from error
    return Answer(status, headers, sealed[4 + length :])


def is_private(response: Response, keyed: Iterable[str]) -> bool:
    """Whether a response is for the client alone that asked: streams, cookies, what says so, what varies by more."""
    if not can_be_shared(response) or says_private(response.headers):
        return True
    return bool(_directives(response.headers.getlist("vary")) - {"accept-encoding", *keyed})


def says_private(headers: Mapping[str, str]) -> bool:
    """Whether headers say of themselves that they are for one client alone: cookies, ``private``, ``no-store``."""
    lines = [value for name, value in headers.items() if name.lower() == "cache-control"]
    is_cookie = any(name.lower() == "set-cookie" for name in headers)
    return is_cookie or bool(_directives(lines) & {"private", "no-store"})


def can_be_shared(response: Response) -> bool:
    """Whether a response is all there, and neither a stream nor a file."""
    return type(response).__call__ is Response.__call__ and isinstance(getattr(response, "body", None), bytes)


def copied(response: Response) -> Response:
    """Return a response of one's own: what passes on the way out may change it."""
    return ready(response.status_code, list(response.raw_headers), bytes(response.body))


async def dispose(response: Response) -> None:
    """Close a response that nobody will read."""
    close = getattr(getattr(response, "body_iterator", None), "aclose", None)
    if close is not None:
        await close()


def answer_of(response: Response, without: Sequence[Pair] = ()) -> Answer:
    """Return a response as it can be kept, with an ETag.

    Args:
        response: The response.
        without: Headers in it that are not part of the answer: what dependencies of one request have set.
    """
    headers = [(name, value) for name, value in response.raw_headers if name not in _HOP]
    for pair in without:
        if pair in headers:
            headers.remove(pair)
    body = bytes(response.body)
    if not any(name == b"etag" for name, _ in headers):
        digest = hashlib.blake2b(body, digest_size=12, person=b"evox-etag").hexdigest()
        headers.append((b"etag", f'"{digest}"'.encode()))
    return Answer(response.status_code, tuple(headers), body)


def is_whole(response: Response) -> bool:
    """Whether a response has all of its body already: it is neither a stream nor a file."""
    return isinstance(getattr(response, "body", None), bytes)


def sent_answer(status: int, headers: Iterable[Pair], body: bytes) -> Answer:
    """Return an answer as it was sent to a client, without what is for that one delivery alone: cookies too."""
    return Answer(
        status, tuple((n, v) for n, v in headers if n.lower() not in _HOP and n.lower() != b"set-cookie"), body
    )


def replayed(answer: Answer) -> Response:
    """Make the response that gives an answer again to who repeats a request."""
    return ready(answer.status, [*answer.headers, (b"idempotency-replayed", b"true")], answer.body)


def respond(answer: Answer, request: Request, replay: Replay) -> Response:
    """Make the response to one client: the whole of an answer, or 304 if the client has it."""
    headers = [*answer.headers, *replay.own]
    given = {name for name, _ in headers}
    if b"cache-control" not in given:
        headers.append((b"cache-control", b"private, max-age=0, must-revalidate" if replay.private else _REVALIDATE))
    if replay.vary:
        said = ", ".join(value.decode("latin-1") for name, value in headers if name == b"vary")
        more = [name for name in replay.vary if name not in _directives([said])]
        headers = [pair for pair in headers if pair[0] != b"vary"]
        headers.append((b"vary", ", ".join([said, *more] if said else more).encode("latin-1")))
    if replay.age is not None:
        headers = [pair for pair in headers if pair[0] != b"age"]  # how old it was then is no longer true
        headers.append((b"age", str(max(0, math.floor(replay.age))).encode()))
    headers.append((b"cache-status", replay.status.encode()))
    if 200 <= answer.status < 300 and _has_it(request, headers):
        kept = [pair for pair in headers if pair[0] in _KEPT_ON_304 or pair in replay.own]
        return ready(304, kept, b"")
    return ready(answer.status, headers, answer.body)


_REVALIDATE: Final = b"max-age=0, must-revalidate"


def for_all(answer: Answer) -> tuple[Pair, ...]:
    """Return the headers of an answer that everybody may see, less its age and what the cache says."""
    headers = tuple(pair for pair in answer.headers if pair[0] != b"age")
    says = any(name == b"cache-control" for name, _ in headers)
    return headers if says else (*headers, (b"cache-control", _REVALIDATE))


def ready(status: int, headers: list[Pair], body: bytes) -> Response:
    """Make a response of what is ready to be sent."""
    response = Response.__new__(Response)  # its constructor would compute headers that are there already
    response.status_code, response.body, response.background = status, body, None
    response.raw_headers = headers
    return response


def _has_it(request: Request, headers: list[tuple[bytes, bytes]]) -> bool:
    asked = request.headers.getlist("if-none-match")
    if not asked:
        return False
    own = next((value.decode("latin-1") for name, value in headers if name == b"etag"), "")
    tags = {one for line in asked for one in _TAG.findall(line)}
    return "*" in tags or own.removeprefix("W/") in tags


def _directives(lines: Iterable[Any]) -> set[str]:
    return {one.strip().partition("=")[0].lower() for line in lines for one in line.split(",") if one.strip()}
