"""Hostile ways into HTTP/2 without TLS: the upgrade of HTTP/1.1, and the preface sent at once."""

import base64
import struct

from tests.hostile import frames as f
from tests.hostile.peer import Hostile, Peer

__all__ = ["H2C"]


def _settings(*values: tuple[int, int]) -> bytes:
    """Return the value of an HTTP2-Settings header."""
    return base64.urlsafe_b64encode(b"".join(struct.pack(">HI", *one) for one in values)).rstrip(b"=")


def upgrade(
    name: str, why: str, value: bytes | None, *more: bytes, line: bytes = b"GET /early", after: bytes = b""
) -> Hostile:
    """Return an upgrade with these settings; it goes on with ``after`` as if it were accepted."""
    head = line + b" HTTP/1.1\r\nHost: evox\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    if value is not None:
        head += b"HTTP2-Settings: " + value + b"\r\n"
    head += b"".join(one + b"\r\n" for one in more) + b"\r\n"

    def script(peer: Peer) -> None:
        peer.send(head + after)
        peer.read()

    return Hostile(f"upgrade-{name}", "h2c", why, script)


def prior(name: str, why: str, *parts: bytes) -> Hostile:
    """Return an input that starts with the preface, or something like it."""

    def script(peer: Peer) -> None:
        peer.send(*parts)
        peer.read()

    return Hostile(f"prior-{name}", "h2c", why, script)


def _reset_after_101(peer: Peer) -> None:
    peer.send(b"GET /big HTTP/1.1\r\nHost: evox\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: \r\n\r\n")
    peer.read(until=b"101", limit=0.3)
    peer.reset()


ONE = _settings((3, 100))

H2C = (
    upgrade("settings-not-base64", "settings with one letter too many", b"A"),
    upgrade("settings-not-ascii", "settings of bytes above 127", b"\xff\xfe\xff"),
    upgrade("settings-cut", "settings that are no multiple of six bytes", base64.urlsafe_b64encode(b"12345678")),
    upgrade("settings-window-too-large", "an initial window over 2^31-1", _settings((4, 1 << 31))),
    upgrade("settings-push-7", "a flag that is neither 0 nor 1", _settings((2, 7))),
    upgrade("settings-frame-size-1", "a frame size below the least", _settings((5, 1))),
    upgrade("settings-frame-size-huge", "a frame size above the most", _settings((5, 1 << 30))),
    upgrade("settings-huge", "2,000 settings", _settings(*((0x99, n) for n in range(2_000)))),
    upgrade("settings-absent", "no settings at all", None),
    upgrade("settings-empty", "settings of no bytes", b""),
    upgrade("settings-twice", "two settings headers", ONE, b"HTTP2-Settings: " + ONE),
    upgrade("settings-window-zero", "an answer that may never be sent", _settings((4, 0)), line=b"GET /big"),
    upgrade("connect", "a tunnel and an upgrade in one", ONE, line=b"CONNECT evox:80"),
    upgrade(
        "connect-websocket",
        "a tunnel, an upgrade and a WebSocket",
        ONE,
        b"Sec-WebSocket-Version: 13",
        line=b"CONNECT x",
    ),
    upgrade(
        "connect-bad-protocols",
        "a tunnel with a bad subprotocol",
        ONE,
        b"Sec-WebSocket-Protocol: \xff",
        line=b"CONNECT x",
    ),
    upgrade("options-star", "an upgrade of OPTIONS *", ONE, line=b"OPTIONS *"),
    upgrade("with-body", "an upgrade with a body", ONE, b"Content-Length: 5", after=b"hello" + f.OPENING),
    upgrade("expecting-continue", "an upgrade that expects to continue", ONE, b"Expect: 100-continue", after=f.OPENING),
    upgrade("then-http1", "HTTP/1.1 after the switch", ONE, after=b"GET / HTTP/1.1\r\nHost: evox\r\n\r\n" * 20),
    upgrade("then-data-on-1", "a body for the request that was upgraded", ONE, after=f.OPENING + f.data(1, b"more")),
    upgrade("then-stream-1-again", "the upgraded stream opened again", ONE, after=f.OPENING + f.headers(1, f.GET)),
    upgrade("then-garbage", "garbage after the switch", ONE, after=f.MAGIC + b"\xff" * 2_000),
    Hostile("upgrade-then-reset", "h2c", "RST right after the switch", _reset_after_101),
    prior("cut", "half a preface, then HTTP/1.1", f.MAGIC[:18] + b"GET / HTTP/1.1\r\n\r\n"),
    prior(
        "headers", "a preface with headers", b"PRI * HTTP/2.0\r\nHost: evox\r\nX: y\r\n\r\nSM\r\n\r\n" + f.settings()
    ),
    prior(
        "with-length", "a preface with a body", b"PRI * HTTP/2.0\r\nContent-Length: 6\r\n\r\nSM\r\n\r\n" + f.settings()
    ),
    prior("http1.1", "PRI as an ordinary method", b"PRI * HTTP/1.1\r\nHost: evox\r\n\r\nSM\r\n\r\n"),
    prior("garbage", "a preface and 60 kB of ones", f.MAGIC + b"\xff" * 60_000),
    prior("zeros", "a preface and 60 kB of nothing", f.MAGIC + b"\0" * 60_000),
    prior("twice", "the preface twice", f.MAGIC + f.MAGIC + f.settings()),
    prior(
        "after-request",
        "a preface in the middle of HTTP/1.1",
        b"GET /early HTTP/1.1\r\nHost: evox\r\n\r\n" + f.OPENING + f.headers(1, f.GET),
    ),
    prior("no-settings", "a request before any settings", f.MAGIC + f.headers(1, f.GET)),
    prior("tls-hello", "a preface and TLS", f.MAGIC + bytes.fromhex("16030100c8010000c40303") + b"\0" * 190),
)
