"""Hostile HTTP/1.1: request lines, headers, framing, smuggling and pipelines."""

from tests.hostile.peer import Hostile, Peer

__all__ = ["HTTP1"]

HOST = b"Host: evox\r\n"
ASK = b"GET /early HTTP/1.1\r\n" + HOST
UPLOAD = b"POST /upload HTTP/1.1\r\n" + HOST
CHUNKED = UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n"


def raw(name: str, why: str, *parts: bytes, half: bool = False) -> Hostile:
    """Return an input that is only bytes, after which our direction may be closed."""

    def script(peer: Peer) -> None:
        peer.send(*parts)
        if half:
            peer.eof()
        peer.read()

    return Hostile(name, "http1", why, script)


def _abandon(peer: Peer) -> None:
    peer.send(UPLOAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 500)
    peer.reset()


def _early_answer(peer: Peer) -> None:
    peer.send(b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 4000000\r\n\r\n", b"x" * 4_000_000)
    peer.read()


def _never_read(peer: Peer) -> None:
    peer.send(b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n")
    peer.read(size=1000)
    peer.reset()


def _wait_for_continue(peer: Peer) -> None:
    peer.send(UPLOAD + b"Content-Length: 10\r\nExpect: 100-continue\r\n\r\n")
    peer.read(until=b"100")
    peer.send(b"GET / HTTP/1.1\r\n\r\n")
    peer.read()


def _after_close(peer: Peer) -> None:
    peer.send(ASK + b"Connection: close\r\n\r\n")
    peer.read(until=b"\r\n\r\n")
    for _ in range(20):
        peer.send(ASK + b"\r\n")
    peer.read()


def _pipeline_and_leave(peer: Peer) -> None:
    peer.send((ASK + b"\r\n") * 800)
    peer.reset()


REQUEST_LINES = (
    raw("empty-lines", "lines before the request without end", b"\r\n" * 20_000),
    raw("binary", "no HTTP at all", bytes(range(256)) * 64),
    raw("method-of-20000-letters", "a method without end", b"A" * 20_000 + b" / HTTP/1.1\r\n\r\n"),
    raw("method-with-separators", "a method that is no token", b"G@T(/) / HTTP/1.1\r\n" + HOST + b"\r\n"),
    raw(
        "target-of-100000-bytes",
        "a target over every cap",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    ),
    raw("target-not-ascii", "bytes above 127 in a target", b"GET /\xff\xfe\xc3 HTTP/1.1\r\n" + HOST + b"\r\n"),
    raw(
        "target-percent-garbage",
        "escapes that are no UTF-8",
        b"GET /%ff%c3%28%00%zz?%ff=%00 HTTP/1.1\r\n" + HOST + b"\r\n",
    ),
    raw(
        "target-absolute-bad",
        "an absolute target with a bad port",
        b"GET http://[::1:99999/ HTTP/1.1\r\n" + HOST + b"\r\n",
    ),
    raw("target-climbs", "dot segments", b"GET /../../%2e%2e/etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n"),
    raw("no-target", "two words where three belong", b"GET HTTP/1.1\r\n" + HOST + b"\r\n"),
    raw("version-0.9", "a request without version", b"GET /\r\n\r\n"),
    raw("version-9.9", "a version that does not exist", b"GET /early HTTP/9.9\r\n" + HOST + b"\r\n"),
    raw("version-2.0-request", "an HTTP/1.1 request that says 2.0", b"GET /early HTTP/2.0\r\n" + HOST + b"\r\n"),
    raw(
        "connect",
        "CONNECT, which asks to become a tunnel",
        b"CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n",
        b"tunnel" * 99,
    ),
    raw("options-star", "a target that is no path", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n"),
    raw("bare-lf", "lines ended by LF alone", b"GET /early HTTP/1.1\nHost: evox\n\n"),
    raw("bare-cr", "lines ended by CR alone", b"GET /early HTTP/1.1\rHost: evox\r\r"),
    raw("half-closed-before-anything", "end of stream first", half=True),
    raw("half-closed-in-request-line", "end of stream in the request line", b"GET /ear", half=True),
)

HEADERS = (
    raw(
        "header-count-flood",
        "5,000 headers in one write",
        ASK + b"".join(b"X-%d: y\r\n" % n for n in range(5_000)) + b"\r\n",
    ),
    raw("header-bytes-flood", "a megabyte of headers", ASK + (b"X-Flood: " + b"y" * 4_000 + b"\r\n") * 250 + b"\r\n"),
    raw("header-line-without-end", "one line of a megabyte", ASK + b"X-Long: " + b"y" * 1_000_000),
    raw("header-nul", "NUL in a value", ASK + b"X-Nul: a\0b\r\n\r\n"),
    raw("header-nul-name", "NUL in a name", ASK + b"X-\0Nul: a\r\n\r\n"),
    raw("header-obs-fold", "a folded value", ASK + b"X-Fold: a\r\n b\r\n\tc\r\n\r\n"),
    raw(
        "header-fold-first", "a fold with nothing to fold", b"GET /early HTTP/1.1\r\n folded: yes\r\n" + HOST + b"\r\n"
    ),
    raw("header-cr-in-value", "CR inside a value", ASK + b"X-Cr: a\rb\r\n\r\n"),
    raw(
        "header-space-before-colon",
        "a name that two parsers read differently",
        ASK + b"Content-Length : 5\r\n\r\nhello",
    ),
    raw("header-empty-name", "a name of no letters", ASK + b": empty\r\n\r\n"),
    raw("header-no-colon", "a line that is no header", ASK + b"just words\r\n\r\n"),
    raw("host-missing", "no host", b"GET /early HTTP/1.1\r\n\r\n"),
    raw("host-twice", "two hosts that differ", ASK + b"Host: other\r\n\r\n"),
    raw("host-not-ascii", "a host that ends up in a redirect", b"GET /early/ HTTP/1.1\r\nHost: \xff\xfe\x80\r\n\r\n"),
    raw("host-breaks-out", "a host that is half a URL", b"GET /early/ HTTP/1.1\r\nHost: a/@b:99999999\\?#[\r\n\r\n"),
    raw("cookie-garbage", "cookies that do not parse", ASK + b"Cookie: " + b'=;,\xff"\\' * 900 + b"\r\n\r\n"),
    raw(
        "forwarded-garbage",
        "proxy headers that do not parse",
        ASK + b"X-Forwarded-For: [::\xff, \r\nForwarded: for=;;\r\n\r\n",
    ),
    raw(
        "answer-splitting",
        "a value that an app puts in a header",
        b"GET /reflect?value=a%0d%0aX-Evil:%201 HTTP/1.1\r\n" + HOST + b"\r\n",
    ),
)

FRAMING = (
    raw(
        "te-and-cl", "two framings", UPLOAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x"
    ),
    raw("cl-twice-differing", "two lengths", UPLOAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    raw("cl-list", "two lengths in one line", UPLOAD + b"Content-Length: 3, 4\r\n\r\nabcd"),
    raw("cl-negative", "a negative length", UPLOAD + b"Content-Length: -1\r\n\r\nabcd"),
    raw("cl-plus", "a sign before a length", UPLOAD + b"Content-Length: +4\r\n\r\nabcd"),
    raw("cl-hex", "a length in hexadecimal", UPLOAD + b"Content-Length: 0x4\r\n\r\nabcd"),
    raw(
        "cl-5000-digits",
        "a length that int() refuses to read",
        UPLOAD + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\nabcd",
    ),
    raw("cl-20-digits", "a length over 64 bits", UPLOAD + b"Content-Length: 99999999999999999999\r\n\r\nabcd"),
    raw("cl-then-nothing", "a body that ends early", UPLOAD + b"Content-Length: 1000\r\n\r\nabcd", half=True),
    raw("te-unknown", "an encoding nobody has", UPLOAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    raw(
        "te-not-last",
        "chunked before another encoding",
        UPLOAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    raw("te-obscured", "a name that hides chunked", UPLOAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    raw(
        "te-in-1.0",
        "chunked in HTTP/1.0",
        b"POST /upload HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    raw("chunk-negative", "a negative chunk", CHUNKED + b"-1\r\nx\r\n0\r\n\r\n"),
    raw("chunk-not-hex", "a chunk of words", CHUNKED + b"five\r\nhello\r\n0\r\n\r\n"),
    raw("chunk-overflow", "a chunk over 64 bits", CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
    raw("chunk-5000-digits", "a size that int() may refuse", CHUNKED + b"0" * 5_000 + b"5\r\nhello\r\n0\r\n\r\n"),
    raw(
        "chunk-extension-flood",
        "100 kB of chunk extension",
        CHUNKED + b"5;" + b"x=y;" * 25_000 + b"\r\nhello\r\n0\r\n\r\n",
    ),
    raw("chunk-without-crlf", "a chunk longer than it says", CHUNKED + b"3\r\nhello\r\n0\r\n\r\n"),
    raw("chunk-of-one-byte-flood", "20,000 chunks of a byte", CHUNKED + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n"),
    raw("chunk-lf", "chunk sizes ended by LF alone", CHUNKED + b"5\nhello\n0\n\n"),
    raw("chunk-cut", "end of stream inside a chunk", CHUNKED + b"ffff\r\nhello", half=True),
    raw(
        "trailer-flood",
        "5,000 trailers",
        CHUNKED + b"0\r\n" + b"".join(b"T-%d: y\r\n" % n for n in range(5_000)) + b"\r\n",
    ),
    raw("trailer-framing", "a length in the trailers", CHUNKED + b"0\r\nContent-Length: 5\r\n\r\nhello"),
    raw(
        "smuggled-in-body",
        "a request inside a body of GET",
        ASK + b"Content-Length: 34\r\n\r\nGET /admin HTTP/1.1\r\nHost: evox\r\n\r\n",
    ),
    raw(
        "expect-garbage",
        "an expectation nobody knows",
        UPLOAD + b"Expect: the-unexpected\r\nContent-Length: 4\r\n\r\nabcd",
    ),
    raw(
        "upgrade-unknown",
        "an upgrade to a protocol nobody has",
        ASK + b"Connection: upgrade\r\nUpgrade: warp/9\r\n\r\n",
        ASK,
    ),
    raw(
        "head-with-body",
        "a body where none belongs",
        b"HEAD /early HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhelloGET",
    ),
    Hostile("expect-then-request", "http1", "100 Continue answered by another request", _wait_for_continue),
)

CONNECTIONS = (
    raw("pipeline-2000", "2,000 requests in one write", (ASK + b"\r\n") * 2_000),
    raw("pipeline-then-garbage", "garbage behind good requests", (ASK + b"\r\n") * 20 + b"\0\xff\r\n\r\n"),
    Hostile("pipeline-then-reset", "http1", "800 requests, and nobody to answer", _pipeline_and_leave),
    Hostile("early-answer-large-body", "http1", "an answer before 4 MB were read", _early_answer),
    Hostile("reset-in-body", "http1", "RST in a body", _abandon),
    Hostile("reset-in-answer", "http1", "RST in an answer of 8 MB", _never_read),
    Hostile("request-after-close", "http1", "requests after Connection: close", _after_close),
)

HTTP1 = (*REQUEST_LINES, *HEADERS, *FRAMING, *CONNECTIONS)
