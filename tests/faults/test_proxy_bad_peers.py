"""Peers that speak no HTTP, or badly: each call of one ends with a clear error in its time, and nothing is left."""

import gzip
import json
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest
from tests.faults.raw_peer import OK, answer, calling, raw_peer
from tests.unit.testing.peers import until

from evox.core import proxy
from evox.errors import CallError, CallFailed, CallTimeout, CallUnavailable, UnusableAnswer
from evox.services import problem_of

SECRET = "sk_live_51H"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def endless(start: bytes, part: bytes, pause: float = 0.0) -> Callable[[Any], Awaitable[None]]:
    """Return what sends one part after the other, for as long as it is read."""

    async def send(stream: Any) -> None:
        await stream.send(start)
        while True:
            await stream.send(part)
            await anyio.sleep(pause)

    return send


async def silent(stream: Any) -> None:
    """Read what comes, and say nothing."""
    while True:
        await stream.receive()


NONSENSE: dict[str, bytes | None] = {
    "closed before the answer": None,
    "garbage": b"\x00\xff\x16\x03\x01" + SECRET.encode() * 9 + b"\r\n\r\n",
    "a page without HTTP": f"<html>{SECRET}</html>\r\n\r\n".encode(),
    "half a status line": b"HTTP/1.1 2",
    "no status": b"HTTP/1.1 \r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status 999999": b"HTTP/1.1 999999 OK\r\n\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "half of the headers": b"HTTP/1.1 200 OK\r\ncontent-ty",
    "a header without a colon": b"HTTP/1.1 200 OK\r\n" + SECRET.encode() + b"\r\n\r\n",
    "a header with a null": b"HTTP/1.1 200 OK\r\nx: a\x00" + SECRET.encode() + b"\r\n\r\n",
    "two lengths": HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\n1",
    "a length that is none": HEAD + b"content-length: " + SECRET.encode() + b"\r\n\r\n1",
    "a negative length": HEAD + b"content-length: -1\r\n\r\n1",
    "a length of 400 digits": HEAD + b"content-length: " + b"9" * 400 + b"\r\n\r\n1",
    "less than its length": HEAD + b"content-length: 10\r\nconnection: close\r\n\r\n1",
    "nothing of its length": HEAD + b"content-length: 10\r\nconnection: close\r\n\r\n",
    "chunks that are none": HEAD + b"transfer-encoding: chunked\r\n\r\n" + SECRET.encode() + b"\r\n1\r\n",
    "a chunk that is cut": HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\nff\r\n1",
    "a chunk of 2**64": HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 30 + b"\r\n1",
    "no last chunk": HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n1\r\n1\r\n",
    "an unknown transfer encoding": HEAD + b"transfer-encoding: gzip\r\n\r\n1",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
    "an old answer and another": b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 20",
}


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE)
async def test_an_answer_that_is_no_http_is_a_clear_error_that_repeats_nothing_of_it(said: bytes | None) -> None:
    async def once(stream: Any) -> None:
        if said is not None:
            await stream.send(said)

    async with raw_peer(once, OK) as peer, calling(peer):
        with anyio.fail_after(4):
            with pytest.raises(CallFailed) as caught:
                await proxy.users.get_user(1)
            text = str(caught.value)
            assert SECRET not in text
            assert len(text) < 600
            assert await proxy.users.get_user(1) == 1


ENDLESS: dict[str, Any] = {
    "headers": endless(b"HTTP/1.1 200 OK\r\n", b"x-more: " + b"a" * 4000 + b"\r\n"),
    "a header": endless(b"HTTP/1.1 200 OK\r\nx: ", b"a" * 4000),
    "a status line": endless(b"HTTP/1.1 200 ", b"O" * 4000),
    "1xx answers": endless(b"", b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"),
    "a body": endless(HEAD + b"connection: close\r\n\r\n", b" " * 4000),
    "chunks": endless(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"400\r\n" + b" " * 1024 + b"\r\n"),
    "trailers": endless(HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n", b"x: " + b"a" * 4000 + b"\r\n"),
    "a chunk's extension": endless(HEAD + b"transfer-encoding: chunked\r\n\r\n1;", b"a" * 4000),
    "one byte at a time": endless(HEAD + b"content-length: 100000\r\n\r\n", b" ", 0.01),
    "headers a byte at a time": endless(b"HTTP/1.1 200 OK\r\nx: ", b"a", 0.01),
    "nothing": silent,
}


@pytest.mark.parametrize("said", ENDLESS.values(), ids=ENDLESS)
async def test_an_answer_without_an_end_is_over_in_its_time_and_its_connection_is_closed(said: Any) -> None:
    async with raw_peer(said, OK) as peer, calling(peer, proxy={"answer_bytes": 100_000, "connections": 1}):
        with anyio.fail_after(5):
            with pytest.raises(CallFailed) as caught:
                await proxy.users.get_user(1).with_timeout(0.4)
            assert isinstance(caught.value, CallTimeout | UnusableAnswer | CallUnavailable)
            await until(lambda: peer.open == 0)
            assert await proxy.users.get_user(1) == 1


async def test_a_body_that_is_longer_than_may_be_is_not_read_to_its_end() -> None:
    body = b'"' + b"a" * 3_000_000 + b'"'
    async with raw_peer(answer(body), OK) as peer, calling(peer, proxy={"answer_bytes": 1000}):
        with pytest.raises(UnusableAnswer, match="longer than 1000 bytes"):
            await proxy.users.anything()
        assert await proxy.users.get_user(1) == 1


@pytest.mark.parametrize(
    "encoding", ["gzip", "GZIP", "deflate", "br", "zstd", "gzip, gzip", "x-none", "identity, gzip"]
)
async def test_a_compressed_answer_nobody_asked_for_is_not_unpacked(encoding: str) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    async with raw_peer(answer(bomb, f"content-encoding: {encoding}")) as peer, calling(peer):
        with pytest.raises(UnusableAnswer, match="compressed"):
            await proxy.users.get_user(1)
        assert b"accept-encoding: identity" in peer.heads[0].lower()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_no_token_goes_elsewhere(status: int) -> None:
    async with raw_peer(OK) as thief:
        moved = answer(b"", f"location: {thief.url}/users/1", status=f"{status} Moved")
        async with raw_peer(moved) as peer, calling(peer):
            for call in (proxy.users.get_user(1), proxy.users.add_user("Ada")):
                with pytest.raises(UnusableAnswer, match="redirect") as caught:
                    await call
                assert str(thief.port) not in str(caught.value)
        assert not thief.heads


BODIES: dict[str, tuple[bytes, str]] = {
    "nothing like JSON": (SECRET.encode(), "application/json"),
    "half of it": (b'{"a": [1, ', "application/json"),
    "too deep": (b"[" * 200_000 + b"]" * 200_000, "application/json"),
    "too deep, of objects": (b'{"a":' * 100_000, "application/json"),
    "NaN": (b"NaN", "application/json"),
    "Infinity": (b"-Infinity", "application/json"),
    "a number of 10,000 digits": (b"9" * 10_000, "application/json"),
    "of another type": (json.dumps(SECRET).encode(), "application/json"),
    "null": (b"null", "application/json"),
    "no UTF-8": (b'"\xff\xfe\xfd"', "application/json"),
    "half a surrogate": (b'"\\ud800"', "application/json"),
    "text that is no UTF-8": (b"\xff" + SECRET.encode(), "text/plain"),
    "text of another charset": (SECRET.encode("utf-16"), "text/plain; charset=utf-16"),
}


@pytest.mark.parametrize("given", BODIES.values(), ids=BODIES)
async def test_a_body_that_does_not_fit_the_declared_type_is_a_clear_error(given: tuple[bytes, str]) -> None:
    body, media = given
    async with raw_peer(answer(body, media=media)) as peer, calling(peer):
        for call in (proxy.users.get_user(1), proxy.users.add_user("Ada")):
            with pytest.raises(UnusableAnswer) as caught:
                await call
            assert SECRET not in str(caught.value)
            assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "name", [one for one in BODIES if one not in ("null", "of another type", "text of another charset")]
)
async def test_a_body_whose_type_is_not_known_is_a_value_or_a_clear_error(name: str) -> None:
    body, media = BODIES[name]
    async with raw_peer(answer(body, media=media)) as peer, calling(peer):
        ended = await proxy.gather(proxy.users.anything(), return_exceptions=True)
        assert isinstance(ended[0], UnusableAnswer | str | float)
        assert SECRET not in str(ended[0])


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "205 Reset Content"])
async def test_a_body_where_none_may_be_does_not_become_the_next_answer(status: str) -> None:
    hidden = answer(OK, status=status)
    async with raw_peer(hidden, answer(b"2")) as peer, calling(peer, proxy={"connections": 1}):
        with suppress(CallError):
            await proxy.users.anything()
        for _ in range(3):
            assert await proxy.users.get_user(1) == 2


async def test_an_answer_to_head_has_no_body_and_leaves_nothing_for_the_next_call() -> None:
    async with raw_peer(answer(b"11"), answer(b"2")) as peer, calling(peer, proxy={"connections": 1}):
        assert await proxy.users.peek() is None
        with anyio.fail_after(4):
            assert await proxy.users.get_user(1) == 2


@pytest.mark.parametrize(
    "said", ["9" * 400, "-1", "Fri, 99 Foo 9999 99:99:99 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "٣", ""]
)
async def test_a_retry_after_that_means_nothing_reaches_no_client_and_breaks_no_answer(said: str) -> None:
    busy = answer(b"{}", f"age: {'9' * 400}", "retry-after: " + said.encode().decode("latin-1"), status="503 Busy")
    async with raw_peer(busy) as peer, calling(peer):
        with pytest.raises(CallUnavailable) as caught:
            await proxy.users.get_user(1)
        wait = caught.value.retry_after
        assert wait is None or 0 <= wait < math.inf
        assert problem_of(caught.value).status_code == 503


async def test_an_age_that_means_nothing_is_a_finite_number() -> None:
    async with raw_peer(answer(b"1", f"age: {'9' * 400}")) as peer, calling(peer):
        assert math.isfinite((await proxy.users.get_user(1).outcome()).age)


async def test_two_answers_at_once_are_not_taken_for_those_of_two_calls() -> None:
    async with raw_peer(answer(b"1") + answer(b"666"), answer(b"2")) as peer, calling(peer, proxy={"connections": 1}):
        assert await proxy.users.get_user(1) == 1
        await anyio.sleep(0.05)
        assert await proxy.users.get_user(2) == 2
