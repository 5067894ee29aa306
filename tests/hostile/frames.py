"""HTTP/2 and WebSocket frames, well-formed and not, as bytes.

Header blocks are encoded by a fresh encoder each, which never refers to earlier ones, so that blocks can be put in any
order.
"""

import struct
from collections.abc import Iterable, Mapping

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

__all__ = [
    "CONNECT",
    "GET",
    "MAGIC",
    "OPENING",
    "POST",
    "block",
    "chopped",
    "data",
    "frame",
    "goaway",
    "headers",
    "ping",
    "priority",
    "reset",
    "settings",
    "window",
    "ws",
    "ws_close",
    "ws_request",
]

Pairs = Iterable[tuple[bytes, bytes]]

MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GET = ((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"evox"), (b":path", b"/early"))
POST = ((b":method", b"POST"), *GET[1:])
CONNECT = (
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"http"),
    (b":authority", b"evox"),
    (b":path", b"/echo"),
    (b"sec-websocket-version", b"13"),
)


def frame(kind: int, flags: int, stream: int, payload: bytes, *, length: int | None = None) -> bytes:
    """Return any frame, with a length that may lie."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def block(pairs: Pairs, *, huffman: bool = True) -> bytes:
    """Return a header block."""
    return bytes(Encoder().encode([(name, value) for name, value in pairs], huffman=huffman))


def headers(stream: int, pairs: Pairs, *, end: bool = True) -> bytes:
    """Return a whole HEADERS frame."""
    flags = ["END_HEADERS", "END_STREAM"] if end else ["END_HEADERS"]
    return HeadersFrame(stream, block(pairs), flags=flags).serialize()


def chopped(stream: int, encoded: bytes, size: int, *, end: bool = True) -> bytes:
    """Return a header block as HEADERS and CONTINUATION frames of so many bytes; ``end`` says END_HEADERS."""
    parts = [encoded[at : at + size] for at in range(0, len(encoded), size)] or [b""]
    out = HeadersFrame(stream, parts[0], flags=["END_STREAM"] + (["END_HEADERS"] if end and len(parts) == 1 else []))
    rest = [ContinuationFrame(stream, part) for part in parts[1:]]
    if rest and end:
        rest[-1].flags.add("END_HEADERS")
    return b"".join(one.serialize() for one in (out, *rest))


def data(stream: int, payload: bytes = b"x", *, end: bool = False) -> bytes:
    """Return a DATA frame."""
    return DataFrame(stream, payload, flags=["END_STREAM"] if end else []).serialize()


def settings(values: Mapping[int, int] | None = None, *, ack: bool = False) -> bytes:
    """Return a SETTINGS frame."""
    return SettingsFrame(0, dict(values or {}), flags=["ACK"] if ack else []).serialize()


def ping(payload: bytes = b"pingping") -> bytes:
    """Return a PING frame."""
    return PingFrame(0, payload).serialize()


def priority(stream: int, depends: int, *, exclusive: bool = False, weight: int = 15) -> bytes:
    """Return a PRIORITY frame."""
    return PriorityFrame(stream, depends_on=depends, stream_weight=weight, exclusive=exclusive).serialize()


def reset(stream: int, code: int = 8) -> bytes:
    """Return an RST_STREAM frame."""
    return RstStreamFrame(stream, code).serialize()


def window(stream: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return WindowUpdateFrame(stream, increment).serialize()


def goaway(last: int = 0, code: int = 0) -> bytes:
    """Return a GOAWAY frame."""
    return GoAwayFrame(0, last_stream_id=last, error_code=code).serialize()


OPENING = MAGIC + settings()


def ws(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True, length: int = -1
) -> bytes:
    """Return any WebSocket frame, with a length that may lie.

    Args:
        opcode: 0 to 15.
        payload: Not masked yet.
        fin: Whether it is the last of its message.
        rsv: The three reserved bits as a number.
        mask: Whether to mask, as every client must.
        length: What to announce instead of the true length.
    """
    size = len(payload) if length < 0 else length
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if mask else 0
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 1 << 16:
        head = bytes([first, bit | 126]) + struct.pack(">H", size)
    else:
        head = bytes([first, bit | 127]) + struct.pack(">Q", size)
    if not mask:
        return head + payload
    key = b"\x11\x22\x33\x44"
    whole = int.from_bytes(payload, "big") ^ int.from_bytes((key * (len(payload) // 4 + 1))[: len(payload)], "big")
    return head + key + whole.to_bytes(len(payload), "big")


def ws_close(code: int, reason: bytes = b"") -> bytes:
    """Return a close frame."""
    return ws(8, struct.pack(">H", code) + reason)


def ws_request(path: str = "/echo", **changes: str | bytes | None) -> bytes:
    """Return a WebSocket handshake with headers changed, by name with underscores; None leaves one out."""
    wanted: dict[str, str | bytes | None] = {
        "host": "evox",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec_websocket_version": "13",
        **changes,
    }
    out = f"GET {path} HTTP/1.1\r\n".encode()
    for name, value in wanted.items():
        if value is not None:
            raw = value if isinstance(value, bytes) else value.encode("latin-1")
            out += name.replace("_", "-").encode() + b": " + raw + b"\r\n"
    return out + b"\r\n"
