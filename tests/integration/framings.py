"""One row of the tables of framing: raw bytes, and what may come of them.

What a handler saw of a request is written ``"POST x/ hello"``: method, host, target, and the body if there is one.
Behind the bytes of every row comes ``PROBE``, so that whoever misreads where a request ends is found out.
"""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "CHUNKED",
    "CHUNKS",
    "PROBE",
    "PROBED",
    "Case",
    "Outcome",
    "any_of",
    "get",
    "last",
    "post",
    "refused",
    "served",
]

PROBE: Final = b"GET /probe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PROBED: Final = "GET x/probe"
CHUNKED: Final = b"Transfer-Encoding: chunked"
CHUNKS: Final = b"2\r\nok\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Outcome:
    """What comes of a row's bytes and the probe behind them.

    Attributes:
        seen: What handlers saw, in order; each was answered 200.
        statuses: A last answer that no handler gave, and its statuses; empty if there is none. It closes.
    """

    seen: tuple[str, ...]
    statuses: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Case:
    """A row: what it is, its bytes, and what may come of them: one outcome, unless RFC 9112 leaves a choice."""

    name: str
    data: bytes
    outcomes: tuple[Outcome, ...]


def get(*headers: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: x") -> bytes:
    """Return a request, headers as they are; no Host if that is empty."""
    return b"\r\n".join([line, *([host] if host else []), *headers, b"", b""])


def post(*headers: bytes, body: bytes = CHUNKS, line: bytes = b"POST / HTTP/1.1") -> bytes:
    """Return a request with a body."""
    return get(*headers, line=line) + body


def served(name: str, data: bytes, *seen: str) -> Case:
    """Return a row whose requests are served, as is the probe."""
    return Case(name, data, (Outcome((*seen, PROBED)),))


def last(name: str, data: bytes, *seen: str) -> Case:
    """Return a row whose requests are served, the last one as the last of its connection."""
    return Case(name, data, (Outcome(seen),))


def refused(name: str, data: bytes, *statuses: int, behind: tuple[str, ...] = ()) -> Case:
    """Return a row that is refused, with 400 unless said otherwise, behind what is served."""
    return Case(name, data, (Outcome(behind, frozenset(statuses or (400,))),))


def any_of(*cases: Case) -> Case:
    """Return a row where RFC 9112 leaves a choice."""
    return Case(cases[0].name, cases[0].data, tuple(outcome for case in cases for outcome in case.outcomes))
