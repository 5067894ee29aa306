"""Twins: who serves plain HTTP/1.1, Evox or hypercorn, reads the same bytes as the same requests.

Both get the same conversations in the same pieces. Where one of them reads another request than the other does,
something can be smuggled past whoever stands in front. 400 conversations on each loop, 40,000 with ``EVOX_SOAK``.
"""

import base64
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from tests.lanes import LANES, Lane, served_by
from tests.properties.twins import TALKS, Talk
from tests.support import EvoxProcess, evox_process

SOAK: Final = bool(os.environ.get("EVOX_SOAK"))
TOTAL: Final = 40_000 if SOAK else 400
QUIET, PATIENT = 0.03, 1.0  # a server that said nothing for so long waits for more; when in doubt, the longer one
AGAIN: Final = 3
LIMIT: Final = 10.0  # liveness only
GAP: Final = 0.0005  # between pieces, so that most are read one by one
SERVICE: Final = '''
    import base64
    import json

    from evox import service


    class Echo:
        """Answers with what it has read, in a header: answers to HEAD tell it too."""

        def __init__(self, app):
            self.app = app
            self.served = 0

        async def __call__(self, scope, receive, send):
            if scope["type"] != "http" or scope["path"] == "/health":
                await self.app(scope, receive, send)
                return
            body, more = b"", True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body, more = body + message["body"], message.get("more_body", False)
            self.served += 1
            words = [scope["http_version"], scope["method"], scope["raw_path"], scope["query_string"], body]
            read = [word.decode("latin-1") if isinstance(word, bytes) else word for word in words]
            read.append([[part.decode("latin-1") for part in header] for header in scope["headers"]])
            said = base64.b64encode(json.dumps([self.served, *read]).encode())
            headers = [(b"x-read", said), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b""})


    svc = service("twin").port(0)
    svc.add_middleware(Echo)
'''
SETTINGS: Final = {"EVOX_SERVING__KEEP_ALIVE": "20s"}

# What hypercorn's parser forgives and RFC 9112 lets a server refuse: here, Evox may be the stricter one.
STRICTER: Final = {
    "one length twice": rb"(?i)content-length:[^\n]*,|content-length:[^\n]*\n([^\r\n][^\n]*\n)*content-length:",
    "a control character in a value": rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]",
    "a bare CR in a chunk's extension": rb"\n[0-9A-Fa-f]+;[^\n]*\r[^\n]",
    "a blank behind a chunk's size": rb"\n[0-9A-Fa-f]+[ \t]",
    "a target with characters that no URL has": rb"[A-Z]+ [^ \n]*([#\"<>\\^`{|}]|%(?![0-9A-Fa-f]{2}))",
    "a trailer that means something in a head": (
        rb"(?i)\n0+[^\n]*\r\n([^\r\n]+\r\n)*(content-length|host|transfer-encoding|connection)"
    ),
    "a folded trailer": rb"\n0+\r\n[^\r\n]+\r\n[ \t]",
    "a comma in a host": rb"(?i)host:[^\n]*,",
}


class Heard(NamedTuple):
    """What came of a conversation: each request as it was read, and the statuses of answers that no handler gave."""

    read: list[list[Any]]
    statuses: list[int]


def heard(raw: bytes) -> Heard:
    """Read all answers of a connection, the last of which may be cut."""
    found = Heard([], [])
    before: int | None = None  # requests that the server had served before
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert status.startswith("HTTP/1.1 "), raw
        if "x-read" in headers:
            number, *read = json.loads(base64.b64decode(headers["x-read"]))
            before = number - 1 if before is None else before
            found.read.append([number - before, *read])
        elif not status.startswith("HTTP/1.1 1"):
            found.statuses.append(int(status.split()[1]))
            raw = raw[int(headers.get("content-length", 0)) :]
    return found


def verdict(talk: Talk, fast: Heard, hypercorn: Heard) -> str:
    """Return what is wrong between two that have heard one conversation; empty if nothing is."""
    for one in (fast, hypercorn):
        if [read[0] for read in one.read] != list(range(1, len(one.read) + 1)):
            return "a request was served that was not answered"
        if any(not 400 <= status < 600 for status in one.statuses) or len(one.statuses) > 1:
            return f"statuses {one.statuses}"
    both = min(len(fast.read), len(hypercorn.read))
    if fast.read[:both] != hypercorn.read[:both]:
        return "they read a request in two ways"
    if len(fast.read) > both and not left(hypercorn):
        return f"Evox serves what hypercorn refuses: {fast.read[both]}"
    if len(hypercorn.read) > both and not judged(talk):
        return f"Evox refuses what hypercorn serves: {hypercorn.read[both]}"
    return ""


def left(one: Heard) -> bool:
    """Whether it has refused nothing, but closed after a request of HTTP/1.0: to keep that is its own choice."""
    return not one.statuses and bool(one.read) and one.read[-1][1] == "1.0"


def judged(talk: Talk) -> list[str]:
    """Return for which of the known reasons Evox may refuse what hypercorn serves."""
    return [why for why, pattern in STRICTER.items() if re.search(pattern, talk.data)]


class Twins:
    """Two servers of one service.

    Args:
        folder: For their files.
        backend: The loop of both.
    """

    def __init__(self, folder: Path, backend: str) -> None:
        self._stack = ExitStack()
        self._servers: dict[Lane, EvoxProcess] = {}
        for lane in LANES:
            (folder / lane).mkdir()
            with served_by(lane):
                arguments = ("--json", "--backend", backend)
                process = evox_process(folder / lane, {"twin.py": SERVICE}, *arguments, env=SETTINGS)
                self._servers[lane] = self._stack.enter_context(process)
        self._addresses = {lane: process.address() for lane, process in self._servers.items()}

    def close(self) -> None:
        """End both."""
        self._stack.close()

    def compare(self, talk: Talk) -> str:
        """Return what is wrong with how they hear a conversation; empty if nothing is.

        What is wrong is so each time when they are given more of it, or it was only slow. A soak believes it at once
        where both have closed by themselves: it is then a matter of when the pieces came, and wrong all the same.
        """
        wrong, certain = self._once(talk, QUIET)
        for _ in range(AGAIN if wrong and not (SOAK and certain) else 0):
            wrong, _ = self._once(talk, PATIENT)
            if not wrong:
                break
        return wrong

    def _once(self, talk: Talk, quiet: float) -> tuple[str, bool]:
        ends = self._say(talk, quiet)
        wrong = verdict(talk, *(heard(raw) for raw, _ in ends))
        if wrong:
            note(f"{wrong}\n{talk.pieces}\n{[raw for raw, _ in ends]}")
        return wrong, not any(told for _, told in ends)

    def _say(self, talk: Talk, quiet: float) -> list[tuple[bytes, bool]]:
        with ExitStack() as stack:
            ends = [stack.enter_context(socket.create_connection(self._addresses[lane], LIMIT)) for lane in LANES]
            for one in ends:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in talk.pieces:
                for one in ends:
                    _send(one, piece)
                time.sleep(GAP)
            return [_rest(one, quiet) for one in ends]


def _send(one: socket.socket, data: bytes) -> None:
    try:
        one.sendall(data)
    except ConnectionError:
        return  # it has heard enough


def _rest(one: socket.socket, quiet: float) -> tuple[bytes, bool]:
    """Read to the end, and return all and whether the server waited for more and had to be told that there is none."""
    got, told = b"", False
    one.settimeout(quiet)
    while True:
        try:
            data = one.recv(1 << 16)
        except TimeoutError:
            assert not told, "it does not close"
            told = True
            one.shutdown(socket.SHUT_WR)
            one.settimeout(LIMIT)
            continue
        except ConnectionError:
            return got, told
        if not data:
            return got, told
        got += data


@pytest.fixture
def twins(tmp_path: Path, backend: str) -> Iterator[Twins]:
    made = Twins(tmp_path, backend)
    yield made
    made.close()


def test_V2_both_who_serve_HTTP_1_1_read_the_same_bytes_as_the_same_requests(twins: Twins) -> None:
    @settings(
        derandomize=not SOAK,
        database=None,
        deadline=None,
        max_examples=TOTAL,
        phases=[Phase.generate, *([Phase.shrink] if SOAK else [])],  # to shrink takes longer than a test may
        suppress_health_check=list(HealthCheck),
    )
    @given(talk=TALKS)
    def fuzz(talk: Talk) -> None:
        assert twins.compare(talk) == ""

    fuzz()


def reading(count: int, path: str = "/", version: str = "1.1") -> list[Any]:
    return [count, version, "GET", path, "", "", []]


SERVED, LAST, MORE, OTHER, OLD = reading(1), reading(2), reading(3), reading(1, "/other"), reading(1, version="1.0")
PLAIN: Final = Talk(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ())
DOUBLED: Final = Talk(b"POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", ())


@pytest.mark.parametrize(
    ("talk", "fast", "hypercorn", "wrong"),
    [
        (PLAIN, Heard([SERVED, LAST], []), Heard([SERVED, LAST], []), ""),
        (PLAIN, Heard([SERVED], [400]), Heard([SERVED], [431]), ""),
        (PLAIN, Heard([SERVED], [400]), Heard([SERVED], []), ""),
        (DOUBLED, Heard([], [400]), Heard([SERVED, LAST], []), ""),
        (PLAIN, Heard([OLD, LAST], []), Heard([OLD], []), ""),
        (PLAIN, Heard([OLD, LAST], []), Heard([OLD], [400]), "Evox serves what hypercorn refuses"),
        (PLAIN, Heard([], [400]), Heard([SERVED, LAST], []), "Evox refuses what hypercorn serves"),
        (PLAIN, Heard([SERVED, LAST], []), Heard([SERVED], [400]), "Evox serves what hypercorn refuses"),
        (DOUBLED, Heard([SERVED, LAST], []), Heard([], [400]), "Evox serves what hypercorn refuses"),
        (PLAIN, Heard([SERVED, LAST], []), Heard([OTHER, LAST], []), "they read a request in two ways"),
        (DOUBLED, Heard([OTHER], [400]), Heard([SERVED, LAST], []), "they read a request in two ways"),
        (PLAIN, Heard([SERVED, MORE], []), Heard([SERVED, MORE], []), "a request was served that was not answered"),
        (PLAIN, Heard([SERVED], [200]), Heard([SERVED], [400]), "statuses"),
        (PLAIN, Heard([SERVED], [400, 400]), Heard([SERVED], [400]), "statuses"),
    ],
)
def test_what_differs_between_twins_is_told(talk: Talk, fast: Heard, hypercorn: Heard, wrong: str) -> None:
    found = verdict(talk, fast, hypercorn)
    assert found.startswith(wrong)
    assert bool(found) == bool(wrong)
