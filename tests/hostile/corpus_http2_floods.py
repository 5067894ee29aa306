"""Hostile HTTP/2 connections: frames that do not fit, floods, flow control and priorities."""

from hpack import Encoder
from hyperframe.frame import HeadersFrame
from tests.hostile import frames as f
from tests.hostile.corpus_http2 import speak
from tests.hostile.peer import Hostile, Peer

__all__ = ["HTTP2_FLOODS"]

HALF = (1 << 31) - 1

FRAMES = (
    speak("settings-cut", "settings of five bytes", f.frame(4, 0, 0, b"12345")),
    speak("settings-ack-with-body", "an acknowledgement that says something", f.frame(4, 1, 0, b"123456")),
    speak("settings-on-stream", "settings of a stream", f.frame(4, 0, 1, b"")),
    speak("settings-window-too-large", "an initial window over 2^31-1", f.settings({4: 1 << 31})),
    speak("settings-frame-size", "a frame size below the least", f.settings({5: 1})),
    speak("settings-push", "a flag that is neither 0 nor 1", f.settings({2: 9})),
    speak("settings-unasked-ack", "acknowledgements of nothing", f.settings(ack=True) * 50),
    speak("ping-short", "a ping of four bytes", f.frame(6, 0, 0, b"ping")),
    speak("ping-on-stream", "a ping of a stream", f.frame(6, 0, 1, b"pingping")),
    speak("frame-too-long", "a frame over the size agreed", f.frame(0, 0, 1, b"x" * 20_000)),
    speak("frame-lies-about-length", "a frame that never ends", f.frame(1, 5, 1, b"x" * 10, length=(1 << 24) - 1)),
    speak("window-zero-increment", "a window update of nothing", f.headers(1, f.GET), f.frame(8, 0, 1, b"\0\0\0\0")),
    speak("window-short", "a window update of three bytes", f.frame(8, 0, 0, b"abc")),
    speak("window-on-idle", "a window update of an idle stream", f.window(7, 100)),
    speak("reset-short", "RST_STREAM of two bytes", f.headers(1, f.GET), f.frame(3, 0, 1, b"ab")),
    speak("reset-on-idle", "RST_STREAM of an idle stream", f.reset(1)),
    speak("reset-on-zero", "RST_STREAM of the connection", f.frame(3, 0, 0, b"\0\0\0\1")),
    speak("goaway-short", "GOAWAY of three bytes", f.frame(7, 0, 0, b"abc")),
    speak("priority-short", "PRIORITY of four bytes", f.frame(2, 0, 1, b"abcd")),
    speak("priority-on-zero", "PRIORITY of the connection", f.frame(2, 0, 0, b"abcde")),
    speak("continuation-alone", "CONTINUATION of nothing", f.frame(9, 4, 1, f.block(f.GET))),
    speak(
        "continuation-broken-off",
        "another frame inside a header block",
        f.chopped(1, f.block(f.GET), 5, end=False),
        f.ping(),
    ),
    speak("unknown-frames", "2,000 frames of types nobody knows", f.frame(0x42, 0xFF, 0, b"what") * 2_000),
    speak("altsvc", "ALTSVC from a client", f.frame(10, 0, 0, b"\xff\xff" + b"x" * 30)),
)


def _many(frame: bytes, count: int) -> bytes:
    return frame * count


def _pairs(count: int) -> bytes:
    """Rapid reset, CVE-2023-44487."""
    return b"".join(f.headers(n, f.GET, end=False) + f.reset(n) for n in range(1, 2 * count, 2))


def _amplified(count: int, copies: int) -> bytes:
    """So many times 4 kB of headers a request, from an entry that was sent once; each request is reset at once."""
    large = (b"x", b"~" * 3_900)
    first = [*f.GET, large]
    out = [HeadersFrame(1, Encoder().encode(first, huffman=False), flags=["END_HEADERS"]).serialize(), f.reset(1)]
    again = f.block(f.GET[:2]) + b"\x04\x06/early\x01\x04evox" + b"\xbe" * copies
    out += [f.frame(1, 4, n, again) + f.reset(n) for n in range(3, 2 * count, 2)]
    return b"".join(out)


FLOODS = (
    speak("settings-flood", "10,000 settings to acknowledge", _many(f.settings({3: 100}), 10_000)),
    speak("ping-flood", "10,000 pings to answer", _many(f.ping(), 10_000)),
    speak(
        "empty-data-flood", "10,000 bodies of nothing", f.headers(1, f.POST, end=False), _many(f.data(1, b""), 10_000)
    ),
    speak("window-flood", "10,000 window updates of a byte", f.headers(1, f.GET), _many(f.window(0, 1), 10_000)),
    speak("reset-flood", "10,000 times RST_STREAM of one stream", f.headers(1, f.GET), _many(f.reset(1), 10_000)),
    speak("continuation-flood", "a header block of 5,000 frames", f.chopped(1, b"\x00" * 50_000, 10, end=False)),
    speak(
        "continuation-empty-flood",
        "CONTINUATION frames of nothing",
        f.frame(1, 0, 1, b""),
        _many(f.frame(9, 0, 1, b""), 9_000),
    ),
    speak("rapid-reset", "3,000 requests, each reset at once", _pairs(3_000)),
    speak(
        "streams-over-the-cap", "300 open requests", b"".join(f.headers(n, f.POST, end=False) for n in range(1, 600, 2))
    ),
    speak(
        "requests-3000", "3,000 requests on one connection", b"".join(f.headers(n, f.GET) for n in range(1, 6_000, 2))
    ),
    speak(
        "hpack-bomb",
        "a header of 4 kB referred to 16,000 times",
        f.chopped(1, f.block([*f.GET, (b"x", b"~" * 3_900)], huffman=False) + b"\xbe" * 16_000, 16_000),
    ),
    speak("hpack-amplified", "60 kB of headers for 40 bytes, 3,000 times", _amplified(3_000, 15)),
    speak("hpack-amplified-in-caps", "12 kB of headers for 30 bytes, 3,000 times", _amplified(3_000, 3)),
    speak(
        "hpack-huffman-megabyte",
        "a megabyte of Huffman code",
        f.chopped(1, f.block([*f.GET, (b"x", b"0" * 1_500_000)]), 16_000),
    ),
)


def _stall(peer: Peer) -> None:
    peer.send(f.MAGIC + f.settings({4: 0}) + b"".join(f.headers(n, _big()) for n in range(1, 40, 2)))
    peer.read()


def _big() -> list[tuple[bytes, bytes]]:
    return [(name, b"/big" if name == b":path" else value) for name, value in f.GET]


def _stall_then_reset(peer: Peer) -> None:
    peer.send(f.OPENING + f.headers(1, _big()))
    peer.read()
    peer.send(f.reset(1) + f.priority(1, 3) + f.headers(3, f.GET))
    peer.read()


FLOW = (
    speak("window-overflow", "a connection window over 2^31-1", f.window(0, HALF) + f.window(0, HALF)),
    speak(
        "window-overflow-stream",
        "a stream's window over 2^31-1",
        f.headers(1, f.GET, end=False),
        f.window(1, HALF),
        f.window(1, HALF),
    ),
    speak(
        "window-overflow-by-settings",
        "a window that settings overflow",
        f.headers(1, _big()),
        f.window(1, HALF - 65_535),
        f.settings({4: HALF}),
    ),
    speak(
        "window-negative",
        "windows that settings make negative",
        f.headers(1, _big()),
        then=f.settings({4: 0}) + f.settings({4: 1}) * 50,
    ),
    speak(
        "body-over-window",
        "more body than the window holds",
        f.headers(1, f.POST, end=False),
        _many(f.data(1, b"x" * 16_000), 8),
    ),
    Hostile("h2-zero-window", "http2", "20 answers of 8 MB and no window", _stall),
    Hostile("h2-stall-then-reset", "http2", "an answer that waits for its window is reset", _stall_then_reset),
)


def _chain(count: int) -> bytes:
    return b"".join(f.priority(n, n - 2 if n > 1 else 0) for n in range(1, 2 * count, 2))


def _shared(levels: int) -> bytes:
    """Two streams a level that change places, which in some trees leaves the lower levels under both."""
    out, below = [f.priority(1, 0)], 1
    for level in range(levels):
        upper, lower = 4 * level + 3, 4 * level + 5
        out += [f.priority(upper, 0), f.priority(lower, upper), f.priority(below, lower), f.priority(upper, lower)]
        below = lower
    return b"".join(out)


PRIORITIES = (
    speak("priority-on-itself", "a stream that depends on itself", f.priority(1, 1)),
    speak("priority-flood", "1,500 streams that do not exist", b"".join(f.priority(n, 0) for n in range(1, 3_000, 2))),
    speak(
        "priority-parents-flood",
        "parents that do not exist",
        b"".join(f.priority(n, n + 2) for n in range(1, 3_000, 4)),
    ),
    speak(
        "priority-full-then-request",
        "a request when the tree is full",
        b"".join(f.priority(n, 0) for n in range(3, 1_999, 2)),
        f.headers(1_999, f.GET),
        f.headers(2_001, f.GET),
        f.headers(2_003, f.GET),
    ),
    speak(
        "priority-chain", "a chain 300 deep, and its end moved", _chain(300) + f.priority(599, 3) + f.priority(1, 599)
    ),
    speak("priority-chain-990", "a chain 990 deep", _chain(990)),
    speak(
        "priority-cycle",
        "streams that exchange places in a ring",
        b"".join(
            f.priority(a, b, exclusive=x)
            for a, b, x in [(1, 3, False), (3, 5, True), (5, 1, True), (1, 5, True), (3, 1, False), (5, 3, True)] * 30
        ),
    ),
    speak(
        "priority-shared-branches", "a tree in which paths double with each level", _shared(40) + f.headers(999, f.GET)
    ),
    speak(
        "priority-one-stream-flood",
        "5,000 changes of one stream",
        f.headers(1, _big()),
        b"".join(f.priority(1, 3 + 2 * (n % 9), weight=n % 256) for n in range(5_000)),
    ),
)

HTTP2_FLOODS = (*FRAMES, *FLOODS, *FLOW, *PRIORITIES)
