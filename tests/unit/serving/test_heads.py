"""Heads: whether a client is in the middle of one, wherever its bytes are cut."""

import pytest
from tests.hostile.frames import GET, MAGIC, OPENING, POST, block, chopped, data, headers, ping, settings

from evox.serving.hypercorn_adapter.heads import Heads

WHOLE = {
    "opening": OPENING,
    "request": OPENING + headers(1, GET),
    "two": OPENING + headers(1, GET) + headers(3, GET),
    "body": OPENING + headers(1, POST, end=False) + data(1, bytes(1000)) + data(1, b"", end=True),
    "chopped": OPENING + chopped(1, block(GET), 5) + ping(),
}
HALF = {
    "nothing": b"",
    "magic": MAGIC[:-1],
    "no settings": MAGIC,
    "half the settings": MAGIC + settings({4: 65_535})[:-1],
    "head": OPENING + headers(1, GET)[:-1],
    "frame": OPENING + headers(1, GET)[:9],
    "second head": OPENING + headers(1, GET) + headers(3, GET)[:15],
    "no end": OPENING + chopped(1, block(GET), 5)[:-20],
}


def after(sent: bytes, size: int) -> Heads:
    heads = Heads()
    for at in range(0, len(sent), size):
        heads.take(sent[at : at + size])
    return heads


@pytest.mark.parametrize("size", [1, 2, 9, 10, 100_000])
@pytest.mark.parametrize("name", WHOLE)
def test_V4_none_is_begun_after_whole_frames(name: str, size: int) -> None:
    heads = after(WHOLE[name], size)
    assert not heads.begun
    assert "none" in repr(heads)


@pytest.mark.parametrize("size", [1, 2, 9, 10, 100_000])
@pytest.mark.parametrize("name", HALF)
def test_V4_one_is_begun_until_its_last_byte(name: str, size: int) -> None:
    assert after(HALF[name], size).begun


def test_V4_half_a_body_is_no_head() -> None:
    assert not after(OPENING + headers(1, POST, end=False) + data(1, bytes(1000))[:50], 7).begun
