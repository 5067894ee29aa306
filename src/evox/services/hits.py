"""Hits: a kept answer, given again in as few steps as there can be, before anything of its request is parsed.

This is for the plain case: a request without credentials, conditions or body, to an endpoint whose answers are for all.
What is remembered here of an answer is only how its bytes read; whether it may still be given is looked up each time.
"""

import math
import re
from typing import Final

from starlette.responses import Response

from evox.data import DataIO, Store
from evox.data.entries import DATA, FRESH_UNTIL, STORED_AT
from evox.services.answers import Pair, for_all, ready, revive
from evox.services.call import Call

__all__ = ["Hits"]

# Headers that make a request one that is not answered here.
_TELLING: Final = frozenset({b"authorization", b"content-length", b"if-none-match", b"transfer-encoding"})
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~/-]{1,150}")  # a path that reads in a key as it is
_SHORT: Final = 16_384  # bytes of an answer of which is remembered how it reads
_KNOWN: Final = 64


class _Read:
    """How an answer reads.

    Args:
        status: Its status.
        headers: Those that every client gets, less its age and what the cache says.
        body: Its body.
    """

    __slots__ = ("_headers", "_moment", "_own", "body", "status")

    def __init__(self, status: int, headers: tuple[Pair, ...], body: bytes) -> None:
        self.status, self.body, self._own = status, body, headers
        self._moment = (-1, -1)
        self._headers: list[Pair] = []

    def headers(self, age: int, left: int) -> list[Pair]:
        """Return all of its headers; they are the same for a second.

        Args:
            age: Seconds since it was made.
            left: Seconds for which it is fresh.
        """
        if self._moment != (age, left):
            self._moment = age, left
            status = b"evox; hit; ttl=%d" % left
            self._headers = [*self._own, (b"age", b"%d" % age), (b"cache-status", status)]
        return self._headers.copy()  # middleware may change them


class Hits:
    """Gives the kept answers of one endpoint again.

    Args:
        near: Whether a copy will do.
    """

    def __init__(self, *, near: bool) -> None:
        self._near = near
        self._read: dict[bytes, _Read] = {}  # the bytes of an answer are the same object each time, and hashed once

    def __repr__(self) -> str:
        return f"<Hits, {len(self._read)} answers read>"

    def give(self, call: Call, data: DataIO, store: Store, prefix: str) -> Response | None:
        """Return a fresh answer that is here; None says nothing, and the long way is to be gone.

        Args:
            call: The call.
            data: The data of its service, which counts hits.
            store: Where answers are kept.
            prefix: What their keys begin with.
        """
        scope = call.request.scope
        for name, _ in scope["headers"]:
            if name in _TELLING:
                return None
        path: str = scope["path"]
        if scope["query_string"] or scope.get("root_path") or b"%" in scope.get("raw_path", b"%"):
            return None
        if not _PLAIN.fullmatch(path) or scope.get("http_version", "1.1")[0] != "1":
            return None
        row = store.fresh(f"{prefix}{call.method} {path}", self._near)
        if row is None:
            return None
        read = self._read.get(row[DATA]) or self._learn(row[DATA])
        data.through.count_hit()
        now = store.backend.clock()
        headers = read.headers(max(0, math.floor(now - row[STORED_AT])), round(row[FRESH_UNTIL] - now))
        return ready(read.status, headers, read.body)

    def _learn(self, data: bytes) -> _Read:
        """Read an answer, and remember how it reads if it is not long."""
        answer = revive(data)
        read = _Read(answer.status, for_all(answer), answer.body)
        if len(data) <= _SHORT:
            if len(self._read) >= _KNOWN:
                self._read.clear()
            self._read[data] = read
        return read
