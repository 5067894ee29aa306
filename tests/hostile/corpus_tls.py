"""Hostile TLS: garbage instead of a handshake, handshakes that stop, and protocols that change after it."""

import socket
import ssl
from contextlib import suppress

from tests.hostile import frames as f
from tests.hostile.peer import Hostile, Peer, lenient

__all__ = ["TLS", "client_hello"]

REQUEST = b"GET /early HTTP/1.1\r\nHost: evox\r\n\r\n"
H2, HTTP1 = ("h2",), ("http/1.1",)


def client_hello(*alpn: str) -> bytes:
    """Return a real ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = lenient(alpn).wrap_bio(incoming, outgoing, server_hostname="evox")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def raw(name: str, why: str, *parts: bytes, half: bool = False, rst: bool = False) -> Hostile:
    """Return an input below TLS: bytes in place of the handshake."""

    def script(peer: Peer) -> None:
        peer.send(*parts)
        if rst:
            peer.reset()
            return
        if half:
            peer.eof()
        peer.read()

    return Hostile(f"tls-{name}", "tls", why, script)


def inside(name: str, why: str, alpn: tuple[str, ...], *parts: bytes) -> Hostile:
    """Return an input that follows a good handshake."""

    def script(peer: Peer) -> None:
        peer.send(*parts)
        peer.read()

    return Hostile(f"tls-{name}", "tls", why, script, alpn)


def _below(name: str, why: str, data: bytes, alpn: tuple[str, ...] = HTTP1) -> Hostile:
    """Return raw bytes sent below an established TLS connection."""

    def script(peer: Peer) -> None:
        peer.send(REQUEST)
        bare = peer.socket
        assert isinstance(bare, ssl.SSLSocket)
        peer.socket = socket.socket(fileno=bare.detach())
        try:
            peer.send(data)
            peer.read()
        finally:
            peer.socket.close()

    return Hostile(f"tls-{name}", "tls", why, script, alpn)


def _half_handshake(peer: Peer) -> None:
    peer.send(client_hello("http/1.1"))
    peer.read()
    peer.reset()


def _close_at_once(peer: Peer) -> None:
    peer.socket.close()


def _close_in_answer(peer: Peer) -> None:
    peer.send(b"GET /big HTTP/1.1\r\nHost: evox\r\n\r\n")
    peer.read(size=1_000)
    peer.reset()


def _record(kind: int, payload: bytes, version: bytes = b"\x03\x03") -> bytes:
    return bytes([kind]) + version + len(payload).to_bytes(2, "big") + payload


HANDSHAKES = (
    raw("garbage", "no TLS at all", bytes(range(256)) * 40),
    raw("zeros", "100 kB of nothing", b"\0" * 100_000),
    raw("plain-http", "HTTP/1.1 on the port of TLS", REQUEST),
    raw("plain-h2", "HTTP/2 on the port of TLS", f.OPENING + f.headers(1, f.GET)),
    raw("nothing", "a connection that is closed unused", half=True),
    raw("nothing-reset", "a connection that is reset unused", rst=True),
    raw("hello-cut", "half a ClientHello, and the end", client_hello()[:100], half=True),
    raw("hello-cut-reset", "half a ClientHello, and RST", client_hello()[:100], rst=True),
    raw("hello-twice", "two ClientHellos", client_hello() * 2),
    raw("hello-then-garbage", "garbage in place of the second flight", client_hello(), b"\xff" * 500),
    raw("hello-then-plain", "HTTP/1.1 in place of the second flight", client_hello(), REQUEST),
    raw(
        "hello-bad-alpn",
        "a ClientHello whose lengths lie",
        client_hello("h2").replace(b"\x00\x03\x02h2", b"\xff\xff\xffh2"),
    ),
    raw("hello-unknown-alpn", "protocols nobody has", client_hello("warp/9")),
    raw("hello-ssl3", "a record of SSL 3.0", _record(22, b"\x01\0\0\x2e\x03\0" + b"\0" * 44, b"\x03\0")),
    raw("record-too-long", "a record over 16 kB", b"\x16\x03\x01\xff\xff" + b"\x01" * 65_535),
    raw("record-empty-flood", "5,000 empty records", _record(22, b"") * 5_000),
    raw("alert-first", "an alert before anything", _record(21, b"\x02\x28")),
    raw("data-first", "data before any handshake", _record(23, b"x" * 500)),
    raw("heartbeat", "a heartbeat that lies about its length", client_hello(), _record(24, b"\x01\xff\xff")),
    Hostile("tls-half-handshake", "tls", "RST between two flights", _half_handshake),
)

ESTABLISHED = (
    Hostile("tls-close-after-handshake", "tls", "a handshake for nothing", _close_at_once, HTTP1),
    Hostile("tls-close-after-handshake-h2", "tls", "a handshake for nothing, with HTTP/2", _close_at_once, H2),
    Hostile("tls-reset-after-handshake", "tls", "a handshake, and RST", Peer.reset, HTTP1),
    Hostile("tls-reset-in-answer", "tls", "RST in an answer of 8 MB", _close_in_answer, HTTP1),
    inside("no-alpn", "no protocol agreed, and HTTP/2", (), f.OPENING + f.headers(1, f.GET)),
    inside("h2-then-http1", "HTTP/2 agreed, and HTTP/1.1", H2, REQUEST * 3),
    inside("http1-then-h2", "HTTP/1.1 agreed, and HTTP/2", HTTP1, f.OPENING + f.headers(1, f.GET)),
    inside(
        "http1-then-upgrade",
        "h2c inside TLS",
        HTTP1,
        REQUEST[:-2] + b"Upgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: A\r\n\r\n",
    ),
    inside("h2-then-garbage", "HTTP/2 agreed, and garbage", H2, b"\xff" * 5_000),
    inside(
        "h2-path-not-ascii",
        "a :path above 127, with TLS",
        H2,
        f.OPENING + f.headers(1, (*f.GET[:3], (b":path", b"/\xff"))),
    ),
    inside(
        "h2-connect-plain",
        "CONNECT without :path, with TLS",
        H2,
        f.OPENING + f.headers(1, [(b":method", b"CONNECT"), (b":authority", b"x")]),
    ),
    inside("hello-inside", "TLS in TLS", HTTP1, client_hello()),
    inside(
        "websocket-extension-bad",
        "window bits of words, with TLS",
        HTTP1,
        f.ws_request(sec_websocket_extensions="permessage-deflate; client_max_window_bits=x"),
    ),
    inside("many-records", "a request of one byte a record", HTTP1, *(bytes([one]) for one in REQUEST * 20)),
    _below("renegotiation", "a ClientHello after the handshake", client_hello()),
    _below("garbage-inside", "records that do not decrypt", _record(23, b"\0" * 500)),
    _below("plain-inside", "plain HTTP/1.1 after the handshake", REQUEST),
    _below("plain-inside-h2", "plain HTTP/1.1 after the handshake of HTTP/2", REQUEST, H2),
    _below("alert-fatal", "a fatal alert that is not encrypted", _record(21, b"\x02\x50")),
    _below("key-update-flood", "records that look like key updates", _record(23, b"\x18\0\0\x01\x01") * 500),
)

TLS = (*HANDSHAKES, *ESTABLISHED)
