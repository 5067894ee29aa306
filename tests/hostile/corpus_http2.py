"""Hostile HTTP/2 requests: header blocks, streams, bodies and extended CONNECT, on a connection that began well."""

from tests.hostile import frames as f
from tests.hostile.peer import Hostile, Peer

__all__ = ["HTTP2_REQUESTS", "speak"]


def speak(
    name: str, why: str, *parts: bytes, opening: bytes = f.OPENING, then: bytes = b"", wait: bytes = b""
) -> Hostile:
    """Return an input that opens a connection, sends all of it, waits for ``wait`` and sends ``then``."""

    def script(peer: Peer) -> None:
        peer.send(opening + b"".join(parts))
        if wait or then:
            peer.read(until=wait, limit=0.4) if wait else peer.read()
        if then:
            peer.send(then)
            peer.read()
        elif not wait:
            peer.read()

    return Hostile(f"h2-{name}", "http2", why, script)


def asks(name: str, why: str, *pairs: tuple[bytes, bytes], end: bool = True) -> Hostile:
    """Return an input of one header block."""
    return speak(name, why, f.headers(1, pairs, end=end))


def _without(*names: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(pair for pair in f.GET if pair[0] not in names)


def _with(name: bytes, value: bytes, base: tuple[tuple[bytes, bytes], ...] = f.GET) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((have, value if have == name else old) for have, old in base)


PSEUDO = (
    asks("no-path", "no :path", *_without(b":path")),
    asks("no-method", "no :method", *_without(b":method")),
    asks("no-scheme", "no :scheme", *_without(b":scheme")),
    asks("no-authority", "no host at all", *_without(b":authority")),
    asks("no-headers", "an empty header block"),
    asks("path-empty", "an empty :path", *_with(b":path", b"")),
    asks("path-relative", "a :path without slash", *_with(b":path", b"early")),
    asks("path-not-ascii", "a :path above 127", *_with(b":path", b"/\xff\xfe")),
    asks("path-with-space", "a :path that would be two words in HTTP/1.1", *_with(b":path", b"/early HTTP/1.1")),
    asks("method-not-ascii", "a :method above 127", *_with(b":method", b"G\xcbT")),
    asks("method-empty", "an empty :method", *_with(b":method", b"")),
    asks("pseudo-twice", "two :path", *f.GET, (b":path", b"/other")),
    asks("pseudo-unknown", "a pseudo-header nobody knows", *f.GET, (b":evil", b"1")),
    asks("pseudo-late", "a pseudo-header behind a header", (b"x-first", b"1"), *f.GET),
    asks("status-in-request", "a :status in a request", *f.GET, (b":status", b"200")),
    asks("authority-and-host", "two hosts", *f.GET, (b"host", b"other")),
    asks("connect-plain", "CONNECT, which has no :path", (b":method", b"CONNECT"), (b":authority", b"evil:443")),
    asks(
        "connect-plain-open",
        "CONNECT without :path, kept open",
        (b":method", b"CONNECT"),
        (b":authority", b"x"),
        end=False,
    ),
    asks("connect-with-path", "CONNECT with a :path", *_with(b":method", b"CONNECT")),
    asks("connect-lower-case", "a method that is CONNECT only in upper case", *_with(b":method", b"connect")),
    asks("protocol-without-connect", ":protocol on GET", *f.GET, (b":protocol", b"websocket")),
)

HEADERS = (
    asks("name-upper-case", "a name in upper case", *f.GET, (b"X-Upper", b"1")),
    asks("name-empty", "a name of no letters", *f.GET, (b"", b"1")),
    asks("name-with-colon", "a name with a colon inside", *f.GET, (b"a:b", b"1")),
    asks("name-with-newline", "a name with a line end", *f.GET, (b"a\r\nb", b"1")),
    asks("value-with-newline", "a value that would be two headers in HTTP/1.1", *f.GET, (b"x", b"1\r\nevil: 1")),
    asks("value-nul", "NUL in a value", *f.GET, (b"x", b"\0")),
    asks("connection-header", "a connection header", *f.GET, (b"connection", b"close")),
    asks("transfer-encoding", "chunked in HTTP/2", *f.POST, (b"transfer-encoding", b"chunked")),
    asks("te-gzip", "te other than trailers", *f.GET, (b"te", b"gzip")),
    asks("cl-5000-digits", "a length that int() refuses to read", *f.POST, (b"content-length", b"9" * 5_000)),
    asks("cl-words", "a length of words", *f.POST, (b"content-length", b"five")),
    asks("cl-negative", "a negative length", *f.POST, (b"content-length", b"-5")),
    asks("answer-splitting", "a value that an app puts in a header", *_with(b":path", b"/reflect?value=a%0d%0aX:%201")),
    asks("huge-list", "200 kB of headers", *f.GET, *((b"x-%d" % n, b"y" * 400) for n in range(30))),
    speak("hpack-garbage", "a header block of ones", f.frame(1, 5, 1, b"\xff" * 500)),
    speak("hpack-index-70", "an index that nothing is at", f.frame(1, 5, 1, bytes([0x80 | 70]))),
    speak("hpack-index-zero", "the index that does not exist", f.frame(1, 5, 1, b"\x80")),
    speak("hpack-cut-string", "a string longer than its block", f.frame(1, 5, 1, b"\x00\x7f\xff\xff\x03abc")),
    speak("hpack-huge-integer", "an integer without end", f.frame(1, 5, 1, b"\xff" * 4_000 + b"\x01")),
    speak("hpack-bad-huffman", "padding that is no padding", f.frame(1, 5, 1, b"\x00\x83\xff\xff\xff\x81a")),
    speak("hpack-table-size", "a table of 2^32 bytes", f.frame(1, 5, 1, b"\x3f\xe1\xff\xff\xff\x0f" + f.block(f.GET))),
)

STREAMS = (
    speak("data-on-idle", "a body without a request", f.data(1)),
    speak("data-on-zero", "a body for the connection", f.frame(0, 0, 0, b"x")),
    speak("data-after-end", "a body behind its end", f.headers(1, f.POST), f.data(1) * 20),
    speak(
        "data-after-early-answer",
        "a body that arrives after its answer",
        f.headers(1, f.POST, end=False),
        wait=b"early",
        then=f.data(1, b"x" * 999) * 12,
    ),
    speak(
        "data-long-after-answer",
        "a body in the same breath as its answer",
        f.headers(1, f.POST, end=False) + f.data(1) * 200,
    ),
    speak("data-after-reset", "a body behind RST_STREAM", f.headers(1, f.POST, end=False), f.reset(1), f.data(1) * 9),
    speak(
        "cl-too-short",
        "more body than the length says",
        f.headers(1, (*f.POST, (b"content-length", b"1")), end=False),
        f.data(1, b"x" * 99),
    ),
    speak(
        "cl-too-long",
        "less body than the length says",
        f.headers(1, (*f.POST, (b"content-length", b"99")), end=False),
        f.data(1, end=True),
    ),
    speak("cl-without-body", "a length and no body", f.headers(1, (*f.POST, (b"content-length", b"99")))),
    speak(
        "padding-too-long",
        "more padding than frame",
        f.headers(1, f.POST, end=False),
        f.frame(0, 8, 1, b"\xff" + b"x" * 9),
    ),
    speak(
        "padding-without-length",
        "padded, and no room to say how much",
        f.headers(1, f.POST, end=False),
        f.frame(0, 8, 1, b""),
    ),
    speak(
        "padding-only",
        "a body of nothing but padding",
        f.headers(1, f.POST, end=False),
        f.frame(0, 8, 1, b"\xff" + b"\0" * 255) * 40,
    ),
    speak(
        "headers-padding-too-long",
        "a header block shorter than its padding",
        f.frame(1, 0xD, 1, b"\xff" + f.block(f.GET)),
    ),
    speak(
        "trailers-without-end",
        "trailers that do not end the stream",
        f.headers(1, f.POST, end=False),
        f.headers(1, [(b"x", b"y")], end=False),
    ),
    speak(
        "trailers-pseudo",
        "a pseudo-header in trailers",
        f.headers(1, f.POST, end=False),
        f.headers(1, [(b":path", b"/")]),
    ),
    speak("stream-even", "a stream that only a server opens", f.headers(2, f.GET)),
    speak("stream-zero", "a request for the connection", f.frame(1, 5, 0, f.block(f.GET))),
    speak("stream-backwards", "stream numbers that fall", f.headers(9, f.GET), f.headers(3, f.GET)),
    speak("stream-reused", "a stream opened twice", f.headers(1, f.GET), then=f.headers(1, f.GET)),
    speak(
        "self-dependency-headers",
        "a request that depends on itself",
        f.frame(1, 0x25, 1, b"\0\0\0\1\x10" + f.block(f.GET)),
    ),
    speak(
        "push-promise",
        "a push from a client",
        f.headers(1, f.GET, end=False),
        f.frame(5, 4, 1, b"\0\0\0\2" + f.block(f.GET)),
    ),
    speak(
        "goaway-then-more",
        "requests behind GOAWAY",
        f.headers(1, f.GET),
        f.goaway(),
        f.headers(3, f.GET),
        f.headers(5, f.GET),
    ),
    speak("goaway-with-novel", "GOAWAY with 16 kB of reasons", f.frame(7, 0, 0, b"\0" * 8 + b"why" * 5_000)),
)


def web(name: str, why: str, *parts: bytes, changes: tuple[tuple[bytes, bytes], ...] = f.CONNECT) -> Hostile:
    """Return an extended CONNECT, and what follows its 200."""
    then = b"".join(parts)
    return speak(f"websocket-{name}", why, f.headers(1, changes, end=False), then=then)


EXTENDED = (
    web("no-version", "extended CONNECT without a version", changes=f.CONNECT[:-1]),
    web("protocol-unknown", "a protocol nobody has", changes=_with(b":protocol", b"warp", f.CONNECT)),
    web("path-not-ascii", "extended CONNECT to a path above 127", changes=_with(b":path", b"/\xff", f.CONNECT)),
    web("subprotocol-not-ascii", "a subprotocol above 127", changes=(*f.CONNECT, (b"sec-websocket-protocol", b"\xff"))),
    web("extension-not-ascii", "an extension above 127", changes=(*f.CONNECT, (b"sec-websocket-extensions", b"\xff"))),
    web(
        "extension-bad",
        "window bits of words",
        changes=(*f.CONNECT, (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits=x")),
    ),
    web(
        "data-after-close", "frames behind a close frame", f.data(1, f.ws_close(1000)), f.data(1, f.ws(1, b"more")) * 9
    ),
    web(
        "bad-frame-then-more",
        "frames behind a frame that is none",
        f.data(1, b"\xff" * 40),
        f.data(1, f.ws(1, b"more")) * 9,
    ),
    web(
        "reset-then-frames",
        "frames behind RST_STREAM",
        f.data(1, f.ws(1, b"hi")),
        f.reset(1),
        f.data(1, f.ws(1, b"more")),
    ),
    speak(
        "websocket-data-before-accept",
        "frames before the answer",
        f.headers(1, f.CONNECT, end=False),
        f.data(1, f.ws(1, b"early")),
    ),
    speak("websocket-ended", "extended CONNECT that is over at once", f.headers(1, f.CONNECT)),
)


def _leave(peer: Peer) -> None:
    peer.send(f.OPENING + b"".join(f.headers(n, f.POST, end=False) for n in range(1, 160, 2)))
    peer.reset()


HTTP2_REQUESTS = (
    *PSEUDO,
    *HEADERS,
    *STREAMS,
    *EXTENDED,
    Hostile("h2-open-80-and-reset", "http2", "80 open requests, and nobody to answer", _leave),
)
