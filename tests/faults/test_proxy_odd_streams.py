"""Streams as odd peers write them: cut into the same items however they arrive, or a clear error."""

from typing import Any

import anyio
import pytest
from tests.faults.raw_peer import answer, calling, raw_peer
from tests.faults.test_proxy_streams import into, items
from tests.unit.testing.peers import until

from evox.core import proxy
from evox.errors import CallFailed, CallUnavailable, UnusableAnswer

ODD: dict[str, tuple[bytes, str, Any]] = {
    "no last line feed": (b"1\n2", "application/jsonl", [1, 2]),
    "empty lines": (b"\n1\n\n\r\n2\n\n", "application/jsonl", [1, 2]),
    "comments": (b": hi\n\ndata: 1\n\n:\n\n: a\ndata: 2\n\n", "text/event-stream", [1, 2]),
    "CRLF": (b"data: 1\r\n\r\ndata: 2\r\n\r\n", "text/event-stream", [1, 2]),
    "CR": (b"data: 1\r\rdata: 2\r\r", "text/event-stream", [1, 2]),
    "a mark of bytes": (b"\xef\xbb\xbfdata: 1\n\n", "text/event-stream", [1]),
    "other fields": (b"id: 7\nevent: x\nretry: 1\ndata:1\n\nid: 8\n\n", "text/event-stream", [1]),
    "data of two lines": (b"data: 1\ndata: \ndata\n\n", "text/event-stream", [1]),
    "no item": (b"", "application/jsonl", []),
    "no JSON": (b"1\nsk_live_51H\n", "application/jsonl", UnusableAnswer),
    "half an item": (b'1\n{"a": ', "application/jsonl", UnusableAnswer),
    "too deep": (b"1\n" + b"[" * 200_000 + b"\n", "application/jsonl", UnusableAnswer),
    "an event too deep": (b"data: " + b"[" * 200_000 + b"\n\n", "text/event-stream", UnusableAnswer),
    "of another type": (b'1\n"sk_live_51H"\n', "application/jsonl", UnusableAnswer),
    "no UTF-8": (b'1\n"\xff"\n', "application/jsonl", UnusableAnswer),
}


@pytest.mark.parametrize("chunk", [1, 2, 7, 1_000_000])
@pytest.mark.parametrize("name", ODD)
async def test_a_stream_is_cut_into_the_same_items_however_it_arrives(name: str, chunk: int) -> None:
    body, media, expected = ODD[name]
    parts = [body[at : at + chunk] for at in range(0, min(len(body), 3000), chunk)] if chunk < 1000 else [body]
    if chunk < 1000 and len(body) > 3000:
        parts.append(body[len(parts) * chunk :])

    async def send(stream: Any) -> None:
        await stream.send(f"HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part)
        await stream.send(framed + b"0\r\n\r\n")
        await stream.receive()

    async with raw_peer(send) as peer, calling(peer):
        if isinstance(expected, list):
            assert await items(proxy.users.numbers()) == expected
            return
        with pytest.raises(expected) as caught:
            await items(proxy.users.numbers())
        assert "sk_live" not in str(caught.value)


async def test_a_stream_that_is_cut_raises_and_does_not_end() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\n"
    for cut in (b"content-length: 9\r\n\r\n1\n2\n", b"transfer-encoding: chunked\r\n\r\n4\r\n1\n2\n\r\n"):

        async def send(stream: Any, cut: bytes = cut) -> None:
            await stream.send(head + cut)

        read: list[int] = []
        async with raw_peer(send) as peer, calling(peer):
            with pytest.raises(CallUnavailable, match="broke off"):
                await into(read, proxy.users.numbers())
        assert read == [1, 2]


async def test_a_stream_without_an_item_in_it_takes_no_endless_memory() -> None:
    async def send(stream: Any) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\n\r\n")
        while True:
            await stream.send(b"1" * 65536)

    async with raw_peer(send) as peer, calling(peer, proxy={"answer_bytes": 1_000_000}):
        with anyio.fail_after(5), pytest.raises(UnusableAnswer, match="longer than"):
            await items(proxy.users.numbers())
        await until(lambda: peer.open == 0)


async def test_a_compressed_stream_is_refused() -> None:
    async with raw_peer(answer(b"1\n", "content-encoding: gzip", media="application/jsonl")) as peer, calling(peer):
        with pytest.raises(CallFailed, match="compressed"):
            await items(proxy.users.numbers())
