"""Mutated conversations against ``evox run``: whatever the bytes become, the next request is answered.

Valid conversations over HTTP/1.1, HTTP/2 and WebSocket are flipped, cut, doubled and spliced, always in the same way:
500 in all on each loop, 5,000 with ``EVOX_SOAK``; as many again for the other one who serves plain HTTP/1.1.
"""

import os
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.hostile import frames as f
from tests.hostile.corpus_websocket import conversation
from tests.hostile.peer import Address, Peer, connect, health
from tests.hostile.victim import Victims

pytestmark = pytest.mark.usefixtures("http1")

TOTAL: Final = 5_000 if os.environ.get("EVOX_SOAK") else 500
BATCH: Final = 10

ASK = b"GET /early?q=1 HTTP/1.1\r\nHost: evox\r\nAccept: */*\r\nCookie: a=b\r\n\r\n"
UPLOAD = b"POST /upload HTTP/1.1\r\nHost: evox\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\nhello world"
CHUNKS = b"POST /upload HTTP/1.1\r\nHost: evox\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\n"
UPGRADE = (
    b"GET /early HTTP/1.1\r\nHost: evox\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
)
BODY = (*f.POST[:3], (b":path", b"/upload"), (b"content-length", b"11"), (b"accept", b"*/*"))

CONVERSATIONS: Final = {
    "http1": (ASK, ASK + UPLOAD + ASK, CHUNKS + ASK),
    "h2c": (UPGRADE + f.OPENING + f.headers(3, f.GET), f.OPENING + f.headers(1, f.GET) + f.ping() + f.goaway()),
    "http2": (
        f.OPENING
        + f.headers(1, BODY, end=False)
        + f.data(1, b"hello world", end=True)
        + f.headers(3, f.GET)
        + f.reset(3),
        f.OPENING + f.window(0, 9_000) + f.priority(3, 1) + f.chopped(1, f.block(f.POST), 9) + f.settings({4: 9}),
    ),
    "websocket": (
        conversation(),
        f.ws_request(sec_websocket_extensions="permessage-deflate") + f.ws(1, b"hello", rsv=4),
    ),
    "websocket-http2": (
        f.OPENING + f.headers(1, f.CONNECT, end=False) + f.data(1, f.ws(1, b"hello") + f.ws_close(1000)),
    ),
}

Step = tuple[str, int, int, bytes]
STEPS: Final = st.tuples(
    st.sampled_from(["flip", "insert", "delete", "double", "splice", "cut", "number"]),
    st.integers(0, 4_095),
    st.integers(1, 64),
    st.binary(min_size=1, max_size=8),
)


def mutated(conversation: bytes, steps: list[Step], donor: bytes) -> bytes:
    """Return a conversation after some mutations; ``donor`` is what is spliced in."""
    for kind, where, length, extra in steps:
        at = where % (len(conversation) + 1)
        before, inside, after = conversation[:at], conversation[at : at + length], conversation[at + length :]
        conversation = {
            "flip": before
            + bytes(byte ^ extra[n % len(extra)] for n, byte in enumerate(inside[:3]))
            + inside[3:]
            + after,
            "insert": before + extra + inside + after,
            "delete": before + after,
            "double": before + inside * 2 + after,
            "splice": before + donor[where % len(donor) :][: length * 4] + inside + after,
            "cut": before,
            "number": before + b"9" * length * 80 + after,
        }[kind]
    return conversation


def batches(kind: str) -> st.SearchStrategy[list[bytes]]:
    """Return batches of mutations of one kind of conversation."""
    own = st.sampled_from(CONVERSATIONS[kind])
    anyone = st.sampled_from([one for group in CONVERSATIONS.values() for one in group])
    one = st.builds(mutated, own, st.lists(STEPS, min_size=1, max_size=5), anyone)
    return st.lists(one, min_size=BATCH, max_size=BATCH)


@pytest.fixture(scope="module")
def victims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victims]:
    victims = Victims(tmp_path_factory.mktemp)
    yield victims
    victims.close()


@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_V2_the_next_request_is_answered_after_any_mutation_of_a_conversation(
    kind: str, backend: str, victims: Victims
) -> None:
    victim = victims.get(backend)
    address = victim.address()

    @settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=TOTAL // BATCH // len(CONVERSATIONS),
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(batch=batches(kind))
    def fuzz(batch: list[bytes]) -> None:
        for data in batch:
            _say(address, data)
        health(address)
        assert victim.process.poll() is None, victim.err

    fuzz()


def _say(address: Address, data: bytes) -> None:
    try:
        with connect(address) as peer:
            _talk(peer, data)
    except OSError as error:
        raise AssertionError(f"nobody accepts connections after the one before {data!r}") from error


def _talk(peer: Peer, data: bytes) -> None:
    peer.send(data)
    peer.read(0.01, limit=0.1)
    peer.eof()
    peer.read(0.01, limit=0.1)
