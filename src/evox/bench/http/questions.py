"""Questions: what is asked of every contestant, and which answers are right.

A question is one request, written out as bytes once, and a check of the answer that it gets. How fast they are sent is
not decided here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["MEGABYTE", "NAMES", "QUESTIONS", "Kind", "Question", "named"]

Kind = Literal["closed", "open", "events", "calls"]

MEGABYTE: Final = 1_000_000
ORDER: Final = {"name": "lamp", "price": 12.5, "quantity": 3, "tags": ["light", "brass"]}
WRONG: Final = {"name": "lamp", "price": "dear", "tags": ["light", "brass"]}
ITEM: Final = {"item_id": 7, "name": "item 7"}


@dataclass(frozen=True, slots=True)
class Question:
    """What is measured.

    Attributes:
        name: How it is named in commands.
        title: What it asks, for tables.
        note: What has to be known to read its table, or nothing.
        kind: How it is measured: ``closed`` sends the next request when an answer came, ``open`` at fixed times,
            ``events`` listens, ``calls`` stays within a process.
        method: Of the request.
        path: Of the request.
        body: Of the request.
        answer: The JSON that the answer has; None where frameworks differ.
        statuses: Which of them are right.
        size: Bytes of the answer's body where it is not JSON.
        guarded: Whether it is sent with a token, to the service that asks for one.
        connections: How many are open at a time, where the command does not say.
        share: Of what the base can do at most, for ``open``.
    """

    name: str
    title: str
    note: str = ""
    kind: Kind = "closed"
    method: str = "GET"
    path: str = "/items/7"
    body: bytes = b""
    answer: Any = None
    statuses: frozenset[int] = frozenset({200})
    size: int | None = None
    guarded: bool = False
    connections: int | None = None
    share: float = 1.0

    @property
    def plain(self) -> bool:
        """Whether wrk can send it: small requests, as fast as they are answered."""
        return self.kind == "closed" and self.size is None and len(self.body) < MEGABYTE

    def headers(self, token: str) -> dict[str, str]:
        """Return the headers of the request; Host and Content-Length are the sender's."""
        headers = {"Accept": "*/*"}
        if self.body:
            headers["Content-Type"] = "application/octet-stream" if len(self.body) == MEGABYTE else "application/json"
        if self.guarded:
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def request(self, token: str) -> bytes:
        """Return the whole request as it is sent."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers(token).items()]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body

    def wrong(self, status: int, body: bytes) -> str | None:
        """Return what is wrong with an answer, or None."""
        if status not in self.statuses:
            return f"status {status}: {body[:100]!r}"
        if self.size is not None:
            return None if len(body) == self.size else f"{len(body)} bytes in place of {self.size}"
        if self.answer is None:
            return None
        try:
            found = json.loads(body)
        except ValueError:
            return f"this is no JSON: {body[:100]!r}"
        return None if found == self.answer else f"another answer: {body[:100]!r}"


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode()


_half: Final = "Requests are sent at fixed times, whether or not the server keeps up, and times count from then."

QUESTIONS: Final = (
    Question("json", "plain JSON", path="/json", answer={"message": "Hello, World!"}),
    Question("path-parameter", "a GET with an int in its path", answer=ITEM),
    Question("body", "a POST with a validated body", method="POST", path="/orders", body=_json(ORDER), answer=ORDER),
    Question(
        *("invalid-body", "a POST whose body is refused", "Litestar and BlackSheep answer 400, the others 422."),
        method="POST",
        path="/orders",
        body=_json(WRONG),
        statuses=frozenset({400, 422}),
    ),
    Question(
        *(
            "cached",
            "a GET whose answer is kept",
            "Evox and Litestar keep it; the others have no cache and answer anew.",
        ),
        path="/cached/7",
        answer=ITEM,
    ),
    Question(
        *("authorised", "a GET with an HS256 token that needs a role"), path="/authorised/7", answer=ITEM, guarded=True
    ),
    Question(
        *("upload", "an upload of 1 MB"),
        method="POST",
        path="/upload",
        body=bytes(MEGABYTE),
        answer={"size": MEGABYTE},
        connections=4,
    ),
    Question("download", "a download of 1 MB", path="/download", size=MEGABYTE, connections=4),
    Question(
        *("events", "100 clients that listen to server-sent events", "Events a second, of all clients together."),
        kind="events",
        path="/events",
        connections=100,
    ),
    Question("half-load", "p50 and p99 at half of what {base} can do", _half, kind="open", answer=ITEM, share=0.5),
    Question("high-load", "p50 and p99 at 80 % of what {base} can do", _half, kind="open", answer=ITEM, share=0.8),
    Question(
        *("calls", "a call of another service within the process", "In µs, beside the bare coroutine; by Evox alone."),
        kind="calls",
    ),
)
NAMES: Final = tuple(one.name for one in QUESTIONS)


def named(names: Sequence[str]) -> list[Question]:
    """Return the questions of these names in their own order, all where none is named."""
    return [one for one in QUESTIONS if not names or one.name in names]
