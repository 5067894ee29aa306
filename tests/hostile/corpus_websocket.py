"""Hostile WebSockets: handshakes, frames, fragments, closing and compression."""

import struct
import zlib

from tests.hostile import frames as f
from tests.hostile.peer import Hostile, Peer
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, Ping, TextMessage

__all__ = ["WEBSOCKET", "conversation"]

DEFLATE = "permessage-deflate; client_max_window_bits"
BITS = "permessage-deflate; client_max_window_bits="


def handshake(name: str, why: str, *more: bytes, path: str = "/echo", **changes: str | bytes | None) -> Hostile:
    """Return a handshake with headers changed, and a frame behind it."""

    def script(peer: Peer) -> None:
        peer.send(f.ws_request(path, **changes), *more)
        peer.read()
        peer.send(f.ws(1, b"are you there"))
        peer.read(0.05)

    return Hostile(f"ws-{name}", "websocket", why, script)


def speak(name: str, why: str, *parts: bytes, extensions: str | None = None, listen: bool = True) -> Hostile:
    """Return a good handshake, and what follows the 101 to it."""

    def script(peer: Peer) -> None:
        peer.send(f.ws_request(sec_websocket_extensions=extensions))
        peer.read(until=b"\r\n\r\n")
        peer.send(*parts)
        if listen:
            peer.read()
        else:
            peer.reset()

    return Hostile(f"ws-{name}", "websocket", why, script)


def deflated(payload: bytes) -> bytes:
    """Return a payload as permessage-deflate sends it."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (squeezer.compress(payload) + squeezer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def parts(size: int, count: int) -> bytes:
    """Return a message of so many compressed frames of so many bytes each."""
    one = deflated(b"0" * size)
    return f.ws(2, one, fin=False, rsv=4) + f.ws(0, one, fin=False) * (count - 1)


def bomb(size: int) -> bytes:
    """Return a text of so many bytes in one compressed frame."""
    return f.ws(1, deflated(b"0" * size), rsv=4)


def conversation() -> bytes:
    """Return what a well-behaved client sends: handshake, texts, bytes, a ping, a close."""
    client = Connection(ConnectionType.CLIENT)
    events = (TextMessage("hello"), Ping(b"p"), BytesMessage(b"\0\1\2"), TextMessage("ö" * 200))
    return f.ws_request() + b"".join(client.send(event) for event in events) + f.ws_close(1000, b"bye")


def _before_accept(peer: Peer) -> None:
    peer.send(f.ws_request("/patient") + f.ws(1, b"too early"))
    peer.send(f.ws(1, b"much too early") * 30)
    peer.read()


def _http10(peer: Peer) -> None:
    peer.send(f.ws_request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    peer.read()


HANDSHAKES = (
    handshake("no-key", "a handshake without key", sec_websocket_key=None),
    handshake("key-not-base64", "a key that is none", sec_websocket_key="\xff\xfe not base64"),
    handshake("no-version", "a handshake without version", sec_websocket_version=None),
    handshake("version-99", "a version nobody has", sec_websocket_version="99"),
    handshake("no-connection", "an upgrade that the connection header does not name", connection=None),
    handshake("connection-not-ascii", "a connection header above 127", connection=b"upgrade, \xff"),
    handshake("no-upgrade", "a handshake that upgrades to nothing", upgrade=None),
    handshake("upgrade-list", "an upgrade to one of many", upgrade="warp, websocket"),
    handshake("with-body", "a handshake with a body", b"x" * 99, content_length="99"),
    handshake("chunked", "a handshake in chunks", b"5\r\nhello\r\n0\r\n\r\n", transfer_encoding="chunked"),
    handshake("extension-not-ascii", "an extension above 127", sec_websocket_extensions=b"\xff"),
    handshake("extension-bits-words", "window bits of words", sec_websocket_extensions=BITS + "x"),
    handshake(
        "extension-bits-empty", "window bits of nothing", sec_websocket_extensions=BITS.replace("client", "server")
    ),
    handshake("extension-bits-99", "window bits over the most", sec_websocket_extensions=BITS + "99"),
    handshake(
        "extension-bits-4400-digits",
        "window bits that int() refuses to read",
        sec_websocket_extensions=BITS.replace("client", "server") + "1" * 4_400,
    ),
    handshake("extension-thrice", "one extension three times", sec_websocket_extensions=", ".join([DEFLATE] * 3)),
    handshake("extension-flood", "8,000 offers", sec_websocket_extensions="permessage-deflate," * 800),
    handshake("subprotocol-not-ascii", "a subprotocol above 127", sec_websocket_protocol=b"\xfe\xff"),
    handshake("host-not-idna", "a host that is no name", host=b"\xff..xn--\x80"),
    handshake("http1.1-after", "HTTP/1.1 behind the handshake", b"GET / HTTP/1.1\r\nHost: evox\r\n\r\n"),
    handshake("expecting-continue", "a handshake that expects to continue", expect="100-continue", content_length="5"),
    Hostile("ws-http1.0", "websocket", "a handshake in HTTP/1.0", _http10),
    Hostile("ws-data-before-accept", "websocket", "frames before the 101", _before_accept),
)

FRAMES = (
    speak("unmasked", "frames without mask", f.ws(1, b"hello", mask=False)),
    speak("reserved-bits", "reserved bits nobody agreed on", f.ws(1, b"hello", rsv=7)),
    speak("compressed-unasked", "compression nobody agreed on", f.ws(1, deflated(b"hello"), rsv=4)),
    speak("opcode-3", "a kind of data nobody knows", f.ws(3, b"hello")),
    speak("opcode-15", "a kind of control nobody knows", f.ws(15, b"hello")),
    speak("ping-fragmented", "a ping in parts", f.ws(9, b"a", fin=False), f.ws(0, b"b")),
    speak("ping-of-126", "a ping over 125 bytes", f.ws(9, b"p" * 126)),
    speak("ping-of-64-bits", "a ping of 2^62 bytes", b"\x89\xff" + struct.pack(">Q", 1 << 62) + b"mask"),
    speak(
        "length-of-63-bits",
        "a message of 2^63-1 bytes",
        b"\x82\xff" + struct.pack(">Q", (1 << 63) - 1) + b"maskmore" * 99,
    ),
    speak("length-of-64-bits", "a length with its highest bit set", b"\x82\xff" + b"\xff" * 8 + b"mask"),
    speak("length-not-least", "five bytes announced in 64 bits", b"\x81\xff" + struct.pack(">Q", 5) + b"\0\0\0\0hello"),
    speak("length-never-comes", "a frame that is never finished, and RST", f.ws(2, b"x", length=60_000), listen=False),
    speak("continuation-first", "the rest of nothing", f.ws(0, b"rest")),
    speak("text-in-text", "a message inside a message", f.ws(1, b"a", fin=False), f.ws(1, b"b")),
    speak("fragments-10000", "a message in 10,000 parts", f.ws(1, b"a", fin=False), f.ws(0, b"a", fin=False) * 10_000),
    speak(
        "fragments-empty", "a message in 10,000 empty parts", f.ws(2, b"", fin=False), f.ws(0, b"", fin=False) * 10_000
    ),
    speak("ping-flood", "10,000 pings, unread", f.ws(9, b"p" * 125) * 10_000, listen=False),
    speak("pong-flood", "10,000 pongs to nothing", f.ws(10, b"p") * 10_000),
    speak("text-flood", "20,000 messages, unread", f.ws(1, b"echo me") * 20_000, listen=False),
    speak("utf8-invalid", "a text that is none", f.ws(1, b"\xff\xfe\xc3\x28")),
    speak("utf8-cut", "a text that ends in a letter", f.ws(1, "ö".encode()[:1])),
    speak("utf8-surrogate", "half a letter of UTF-16", f.ws(1, b"\xed\xa0\x80")),
    speak("bytes-to-text", "bytes to a handler that wants text", f.ws(2, b"\xff")),
    speak("message-20-megabytes", "a message over every cap", f.ws(2, b"x" * 20_000_000)),
    speak("garbage", "no frames at all", bytes(range(255, -1, -1)) * 50),
    speak("http-again", "HTTP/1.1 in a WebSocket", b"GET / HTTP/1.1\r\nHost: evox\r\n\r\n"),
)

CLOSING = (
    *(
        speak(f"close-code-{code}", "a code that nobody may send", f.ws_close(code))
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535)
    ),
    speak("close-of-one-byte", "half a code", f.ws(8, b"\x03")),
    speak("close-reason-not-utf8", "a reason that is no text", f.ws_close(1000, b"\xff\xff")),
    speak("close-of-126", "a reason over 125 bytes", f.ws_close(1000, b"r" * 124)),
    speak("close-twice", "two ends", f.ws_close(1000) * 2),
    speak("frames-after-close", "messages behind the end", f.ws_close(1000) + f.ws(1, b"more") * 50),
    speak(
        "close-in-fragments", "the end inside a message", f.ws(1, b"a", fin=False) + f.ws_close(1001) + f.ws(0, b"b")
    ),
)

ONE = deflated(b"evox" * 99)
COMPRESSION = (
    speak("deflate-garbage", "compressed data that is none", f.ws(1, b"\xff" * 50, rsv=4), extensions=DEFLATE),
    speak("deflate-cut", "compressed data that stops", f.ws(1, deflated(b"0" * 9_000)[:4], rsv=4), extensions=DEFLATE),
    speak("deflate-control", "a compressed ping", f.ws(9, deflated(b"p"), rsv=4), extensions=DEFLATE),
    speak(
        "deflate-continuation",
        "compression that begins in the middle",
        f.ws(1, b"a", fin=False),
        f.ws(0, deflated(b"b"), rsv=4),
        extensions=DEFLATE,
    ),
    speak(
        "deflate-ping-inside",
        "a ping inside a compressed message",
        f.ws(1, ONE[:5], fin=False, rsv=4),
        f.ws(9, b"p"),
        f.ws(0, ONE[5:]),
        extensions=DEFLATE,
    ),
    speak("deflate-empty", "compressed data of no bytes", f.ws(1, b"", rsv=4) * 20, extensions=DEFLATE),
    speak("deflate-bomb", "100 MB of text in 100 kB", bomb(100_000_000), extensions=DEFLATE),
    speak("deflate-bombs", "20 texts of 15 MB in 300 kB", bomb(15_000_000) * 20, extensions=DEFLATE),
    speak("deflate-bomb-in-parts", "1 GB of bytes in parts of 10 MB", parts(10_000_000, 100), extensions=DEFLATE),
)

WEBSOCKET = (*HANDSHAKES, *FRAMES, *CLOSING, *COMPRESSION)
