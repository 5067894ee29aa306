"""RFC 9112 as raw bytes: what is served, what is refused, and that nothing is ever read as a request that is none."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketAttribute, SocketStream
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.integration import framings_bodies as bodies
from tests.integration import framings_connections as connections
from tests.integration import framings_heads as heads
from tests.integration.framings import CHUNKED, PROBE, PROBED, Case, Outcome, get, post, refused
from tests.lanes import running

from evox import service

pytestmark = pytest.mark.usefixtures("http1")

LIMIT: Final = 5.0  # liveness only
HEAD_BYTES, HEAD_COUNT = 4_096, 40
BODY_TIMEOUT: Final = 0.1  # of bodies that never end
TABLES: Final = {
    "lengths": bodies.LENGTHS,
    "codings": bodies.CODINGS,
    "chunks": bodies.PARTS,
    "trailers": bodies.TRAILERS,
    "versions": heads.VERSIONS,
    "request lines": heads.LINES,
    "targets": heads.TARGETS,
    "hosts": heads.HOSTS,
    "header lines": heads.NAMES,
    "persistence": connections.PERSISTENCE,
    "expectations": connections.EXPECTS,
    "pipelines": connections.PIPELINES,
}
BODILESS: Final = {"/204": 204, "/304": 304}


class Recorder:
    """Answers all requests itself, and notes each whose body it has read to its end.

    ``/204`` and ``/304`` answer with these, ``/parts`` in parts without a length.

    Args:
        app: Never called with a request.
        seen: What it notes.
    """

    def __init__(self, app: ASGIApp, seen: list[str]) -> None:
        self._app, self._seen = app, seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message.get("more_body", False)
        host = b"".join(value for name, value in scope["headers"] if name == b"host")
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        words = [scope["method"].encode(), host + target, *([body] if body else [])]
        self._seen.append(b" ".join(words).decode("latin-1"))
        path = scope["path"]
        length = [] if path in {"/204", "/304", "/parts"} else [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": BODILESS.get(path, 200), "headers": length})
        if path == "/parts":
            for part in (b"one", b"two"):
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"" if path in BODILESS else body})


class Answer(NamedTuple):
    """One answer, as its bytes say."""

    status: int
    headers: dict[str, str]
    body: bytes


class Served:
    """A server and what its handler saw."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.service = service("framed")
        self.service.add_middleware(Recorder, seen=self.seen)
        self.address = ("", 0)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[SocketStream]:
        """Connect; what is sent goes out at once."""
        async with await anyio.connect_tcp(*self.address) as stream:
            stream.extra(SocketAttribute.raw_socket).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield stream

    async def ask(self, *parts: bytes) -> bytes:
        """Send parts, each once the server may have read the one before, and return all until it closes.

        Raises:
            TimeoutError: if it does not close.
        """
        self.seen.clear()
        with anyio.fail_after(LIMIT):
            async with self.connected() as stream:
                for part in parts:
                    try:
                        await stream.send(part)
                    except anyio.BrokenResourceError:
                        break  # it has heard enough
                    for _ in range(5 if len(parts) > 1 else 0):
                        await anyio.lowlevel.checkpoint()
                return await rest(stream)


async def rest(stream: SocketStream) -> bytes:
    got = b""
    try:
        while True:
            got += await stream.receive()
    except anyio.EndOfStream:
        return got


@asynccontextmanager
async def serving(**limits: float) -> AsyncIterator[Served]:
    served = Served()
    limits |= {"header_bytes": HEAD_BYTES, "header_count": HEAD_COUNT}
    async with running(served.service, sockets=True, settings={"serving": limits}) as env:
        host, _, port = env.url("framed").removeprefix("http://").partition(":")
        served.address = (host, int(port))
        yield served


def answers(raw: bytes, methods: list[str]) -> Iterator[Answer]:
    """Read answers strictly, to requests of these methods; whatever comes behind them must be one to no request."""
    asked = iter(methods)
    while raw:
        head, blank, raw = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status = first.split()[:2]
        assert (version, blank) == ("HTTP/1.1", b"\r\n\r\n"), head
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if status.startswith("1"):
            yield Answer(int(status), headers, b"")
            continue
        body = b""
        if next(asked, "") != "HEAD" and status not in {"204", "304"}:
            if headers.get("transfer-encoding") == "chunked":
                while size := int(raw[: raw.index(b"\r\n")], 16):
                    _, _, raw = raw.partition(b"\r\n")
                    body, raw = body + raw[:size], raw[size + 2 :]
                raw = raw.removeprefix(b"0\r\n\r\n")
            else:
                length = int(headers.get("content-length", len(raw)))
                body, raw = raw[:length], raw[length:]
        yield Answer(int(status), headers, body)


def judged(raw: bytes, seen: list[str]) -> Outcome | str:
    """Return what came of a row, or what is wrong with its answers."""
    found = [one for one in answers(raw, [one.split()[0] for one in seen]) if one.status >= 200]
    given = [BODILESS.get(one.split()[1][1:], 200) for one in seen]
    if [one.status for one in found[: len(seen)]] != given:
        return f"{seen} were answered {[one.status for one in found]}"
    if len(found) > len(seen) + 1:
        return f"{len(found)} answers to {seen}"
    if not found or found[-1].headers.get("connection", "").lower() != "close":
        return f"the last answer does not say that it closes: {raw[-500:]!r}"
    return Outcome(tuple(seen), frozenset(one.status for one in found[len(seen) :]))


def fits(came: Outcome | str, case: Case) -> bool:
    """Whether what came of a row is one of its outcomes."""
    if isinstance(came, str):
        return False
    return any(
        came.seen == one.seen and bool(came.statuses) == bool(one.statuses) and came.statuses <= one.statuses
        for one in case.outcomes
    )


async def wrong(served: Served, case: Case, *parts: bytes) -> Any:
    """Send a row and the probe, and return what came of it if that should not; None otherwise."""
    try:
        came = judged(await served.ask(*parts), served.seen)
    except TimeoutError:
        came = "no end"
    return None if fits(came, case) else came


@pytest.mark.parametrize("table", TABLES)
async def test_V4_each_row_comes_out_as_its_table_says_and_nothing_is_smuggled(table: str) -> None:
    async with serving(body_timeout=BODY_TIMEOUT) as served:
        found = {case.name: await wrong(served, case, case.data + PROBE) for case in TABLES[table]}
    assert {name: came for name, came in found.items() if came} == {}


def test_V4_no_two_rows_of_a_table_have_one_name() -> None:
    assert all(len({case.name for case in table}) == len(table) for table in TABLES.values())
    assert sum(len(table) for table in TABLES.values()) >= 120


SPLIT: Final = {
    "head": Case("", get(b"Accept: a/b", line=b"GET /a?b HTTP/1.1"), (Outcome(("GET x/a?b", PROBED)),)),
    "length": Case("", post(b"Content-Length: 5", body=b"hello"), (Outcome(("POST x/ hello", PROBED)),)),
    "chunks": Case(
        "", post(CHUNKED, body=b"2;a=b\r\nok\r\n003\r\nay!\r\n0\r\nA: b\r\n\r\n"), (Outcome(("POST x/ okay!", PROBED)),)
    ),
    "pipeline": Case(
        "",
        post(CHUNKED) + get(line=b"HEAD / HTTP/1.1") + post(b"Content-Length: 2", body=b"oh"),
        (Outcome(("POST x/ ok", "HEAD x/", "POST x/ oh", PROBED)),),
    ),
    "fold": refused("", get(b"A: b", b" c")),
    "bare LF": refused("", get(b"A: b\nC: d")),
    "bare CR": refused("", get(b"A: b\rC: d")),
    "chunk without an end": refused("", post(CHUNKED, body=b"2\r\nok0\r\n\r\n")),
    "length and chunked": refused("", post(b"Content-Length: 5", CHUNKED)),
    "body that ends with a bare LF": refused("", post(CHUNKED, body=b"2\r\nok\r\n0\r\n\n")),
    "trailer that ends with a bare LF": refused("", post(CHUNKED, body=b"2\r\nok\r\n0\r\nA: b\n\r\n")),
}


@pytest.mark.parametrize("name", SPLIT)
async def test_V4_it_is_the_same_wherever_the_bytes_of_a_request_are_cut_in_two(name: str) -> None:
    case = SPLIT[name]
    data, found = case.data + PROBE, {}
    async with serving() as served:
        for at in range(1, len(case.data) + 5):
            found[data[:at]] = await wrong(served, case, data[:at], data[at:])
    assert {cut: came for cut, came in found.items() if came} == {}


@pytest.mark.parametrize("count", [HEAD_COUNT, HEAD_COUNT + 1])
async def test_V4_headers_are_counted_to_the_last_one(count: int) -> None:
    async with serving() as served:
        raw = await served.ask(get(*[b"A: b"] * (count - 1)) + PROBE)
        came = judged(raw, served.seen)
    assert came == (Outcome(("GET x/", PROBED)) if count <= HEAD_COUNT else Outcome((), frozenset({431})))


@pytest.mark.parametrize("over", [0, 1])
async def test_V4_heads_are_measured_to_the_last_byte(over: int) -> None:
    shapes: dict[str, Callable[[bytes], bytes]] = {
        "value": lambda fill: get(b"A: " + fill),
        "name": lambda fill: get(fill + b": b"),
        "target": lambda fill: get(line=b"GET /" + fill + b" HTTP/1.1"),
    }
    found = {}
    async with serving() as served:
        for where, shape in shapes.items():
            room = HEAD_BYTES + over - len(shape(b"")) + len(b"\r\n")  # the blank line is not counted
            raw = await served.ask(shape(b"a" * room) + PROBE)
            found[where] = [one.status for one in answers(raw, [])]
    assert found == dict.fromkeys(shapes, [431] if over else [200, 200])


async def answered(data: bytes, methods: list[str]) -> list[Answer]:
    """Return the answers to requests that are served on one connection."""
    async with serving() as served:
        return list(answers(await served.ask(data + PROBE), methods))


async def test_an_answer_to_HEAD_has_no_body() -> None:
    asked = [get(line=b"HEAD " + path + b" HTTP/1.1") for path in (b"/", b"/parts", b"/204", b"/304")]
    found = await answered(b"".join(asked), ["HEAD"] * 4 + ["GET"])
    assert [one.status for one in found] == [200, 200, 204, 304, 200]


async def test_an_answer_that_may_have_no_body_announces_none() -> None:
    asked = [get(line=b"%s /%d HTTP/1.1" % (method, path)) for path in (204, 304) for method in (b"GET", b"POST")]
    found = await answered(b"".join(asked), [])
    assert [one.status for one in found] == [204, 204, 304, 304, 200]
    assert not any({"transfer-encoding", "content-length"} & {*one.headers} for one in found[:-1])


async def test_an_answer_in_parts_is_chunked() -> None:
    first, second = await answered(get(line=b"GET /parts HTTP/1.1"), ["GET", "GET"])
    assert (first.headers["transfer-encoding"], first.body, second.status) == ("chunked", b"onetwo", 200)


@pytest.mark.parametrize("keep", [[], [b"Connection: keep-alive"]], ids=["close", "keep-alive"])
async def test_an_answer_in_parts_to_HTTP_1_0_ends_with_its_connection(keep: list[bytes]) -> None:
    (found,) = await answered(get(*keep, line=b"GET /parts HTTP/1.0"), ["GET"])
    assert "transfer-encoding" not in found.headers
    assert (found.status, found.body, found.headers["connection"]) == (200, b"onetwo", "close")


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue"])
async def test_a_client_that_waits_is_told_to_go_on_before_its_body(value: bytes) -> None:
    async with serving() as served, served.connected() as stream:
        with anyio.fail_after(LIMIT):
            await stream.send(post(b"Expect: " + value, b"Content-Length: 2", body=b""))
            said = await stream.receive()
            assert said.startswith(b"HTTP/1.1 100 ")
            assert said.endswith(b"\r\n\r\n")
            assert served.seen == []
            await stream.send(b"ok" + PROBE)
            assert [one.status for one in answers(await rest(stream), [])] == [200, 200]
    assert served.seen == ["POST x/ ok", PROBED]


@pytest.mark.parametrize(
    "head",
    [
        post(b"Expect: 100-continue", b"Content-Length: 2", body=b"ok", line=b"POST / HTTP/1.0"),
        post(b"Expect: 200-maybe", b"Content-Length: 2", body=b"ok"),
    ],
    ids=["HTTP/1.0", "another expectation"],
)
async def test_nobody_else_is_told_to_go_on(head: bytes) -> None:
    assert 100 not in [one.status for one in await answered(head, [])]
