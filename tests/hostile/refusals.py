"""Refusals: a request that has to be refused beside its twin, the same without that one defect; and how both are sent.

Bytes go to a real socket as they are: a client's library would not send all of them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import anyio
from tests.hostile.forge import Ring

__all__ = ["Answer", "Ask", "Header", "Make", "Pair", "bearer", "pieces", "send"]

Header: TypeAlias = tuple[str, str | bytes]
LIMIT = 10.0
_PIECE = re.compile(r"[A-Za-z0-9_+/=-]{16,}")


@dataclass(frozen=True)
class Ask:
    """One request.

    Attributes:
        headers: Besides Host and the length of a body that is not chunked. Texts are sent as UTF-8.
        target: Path and query.
        method: GET, or POST with a body.
        body: What follows the head.
    """

    headers: tuple[Header, ...] = ()
    target: str = "/gold"
    method: str = "GET"
    body: bytes = b""

    def head(self) -> bytes:
        """Return all that precedes the body."""
        lines = [f"{self.method} {self.target} HTTP/1.1".encode()]
        names = {name.lower() for name, _ in self.headers}
        lines += [] if "host" in names else [b"Host: vault.example"]
        for name, value in self.headers:
            lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()))
        is_chunked = "transfer-encoding" in names
        lines += [f"Content-Length: {len(self.body)}".encode()] if self.body and not is_chunked else []
        return b"\r\n".join([*lines, b"Connection: close", b"", b""])


Make: TypeAlias = Callable[[], Ask]


@dataclass(frozen=True)
class Pair:
    """A request that has to be refused, and its twin, which has to be let in.

    Attributes:
        name: What is wrong, in words joined by dashes.
        reason: How the record of the refusal begins: the check that failed.
        bad: Makes the one; it is made when it is sent, for tokens grow old.
        twin: Makes the other.
        status: 401, or 403 where all is well but the roles.
        ring: Which keys the service has.
    """

    name: str
    reason: str
    bad: Make
    twin: Make
    status: int = 401
    ring: Ring = "secret"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Answer:
    """What came back: a status, headers in their order without the date, a body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    raw: bytes


def bearer(token: str, scheme: str = "Bearer") -> Ask:
    """Return a request with a token where it belongs."""
    return Ask((("Authorization", f"{scheme} {token}"),))


def pieces(ask: Ask) -> set[str]:
    """Return all in a request that looks like a part of a token."""
    sent = ask.head().partition(b"\r\n")[2].replace(b"x-www-form-urlencoded", b"") + b"\n" + ask.body
    return set(_PIECE.findall(ask.target + sent.decode("latin-1")))


async def send(url: str, ask: Ask) -> Answer:
    """Send a request on a connection of its own and read the whole answer."""
    host, _, port = url.removeprefix("http://").partition(":")
    raw = b""
    with anyio.fail_after(LIMIT):
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(ask.head() + ask.body)
            try:
                while True:
                    raw += await stream.receive()
            except anyio.EndOfStream:
                pass
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    fields = [line.partition(": ") for line in lines]
    headers = tuple((name.lower(), value) for name, _, value in fields if name.lower() != "date")
    return Answer(int(status.split()[1]), headers, body, raw)
