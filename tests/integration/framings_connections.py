"""Rows of framing: which requests share a connection, and which is the last of it (RFC 9112 section 9)."""

from typing import Final

from tests.integration.framings import CHUNKED, CHUNKS, any_of, get, last, post, refused, served

__all__ = ["EXPECTS", "PERSISTENCE", "PIPELINES"]


def old(*headers: bytes, host: bytes = b"Host: x") -> bytes:
    return get(*headers, line=b"GET / HTTP/1.0", host=host)


PERSISTENCE: Final = (
    served("keep-alive", get(b"Connection: keep-alive"), "GET x/"),
    served("Keep-Alive with a time", get(b"Connection: keep-alive", b"Keep-Alive: timeout=5, max=10"), "GET x/"),
    served("an empty Connection", get(b"Connection:"), "GET x/"),
    served("closed is not close", get(b"Connection: closed"), "GET x/"),
    served("Proxy-Connection", get(b"Proxy-Connection: close"), "GET x/"),
    served("upgrade without an Upgrade", get(b"Connection: upgrade"), "GET x/"),
    served("an Upgrade that nobody knows", get(b"Connection: upgrade", b"Upgrade: foo/1"), "GET x/"),
    served("an Upgrade without upgrade", get(b"Upgrade: foo/1"), "GET x/"),
    served(
        "a length that Connection names",
        post(b"Connection: content-length", b"Content-Length: 2", body=b"ok"),
        "POST x/ ok",
    ),
    last("close", get(b"Connection: close"), "GET x/"),
    last("Close", get(b"connection: Close"), "GET x/"),
    last("close, te", get(b"Connection: close, te"), "GET x/"),
    last("te,close", get(b"Connection: te,close"), "GET x/"),
    last("keep-alive, close", get(b"Connection: keep-alive, close"), "GET x/"),
    last("close, keep-alive", get(b"Connection: close, keep-alive"), "GET x/"),
    last("close in a second header", get(b"Connection: te", b"Connection: close"), "GET x/"),
    last("close and commas", get(b"Connection: ,, close ,"), "GET x/"),
    last("close behind a length", post(b"Connection: close", b"Content-Length: 2", body=b"ok"), "POST x/ ok"),
    last("close behind chunks", post(b"Connection: close", CHUNKED), "POST x/ ok"),
    last("HTTP/1.0", old(), "GET x/"),
    last("HTTP/1.0 without a host", old(host=b""), "GET /"),
    last("HTTP/1.0 and close", old(b"Connection: close"), "GET x/"),
    last("HTTP/1.0 with a length", post(b"Content-Length: 2", body=b"ok", line=b"POST / HTTP/1.0"), "POST x/ ok"),
    any_of(served("HTTP/1.0 and keep-alive", old(b"Connection: keep-alive"), "GET x/"), last("", b"", "GET x/")),
    last("junk behind close", get(b"Connection: close") + b"\0\r\nGET", "GET x/"),
)

EXPECTS: Final = (
    served("100-continue with its body", post(b"Expect: 100-continue", b"Content-Length: 2", body=b"ok"), "POST x/ ok"),
    served("100-Continue with chunks", post(b"Expect: 100-Continue", CHUNKED), "POST x/ ok"),
    served("100-continue without a body", get(b"Expect: 100-continue"), "GET x/"),
    any_of(
        served("another expectation", post(b"Expect: 200-maybe", b"Content-Length: 2", body=b"ok"), "POST x/ ok"),
        refused("", b"", 417),
    ),
    any_of(
        served(
            "two expectations", post(b"Expect: 100-continue, 200-maybe", b"Content-Length: 2", body=b"ok"), "POST x/ ok"
        ),
        refused("", b"", 417),
    ),
    served("an empty expectation", post(b"Expect:", b"Content-Length: 2", body=b"ok"), "POST x/ ok"),
    last(
        "100-continue in HTTP/1.0",
        post(b"Expect: 100-continue", b"Content-Length: 2", body=b"ok", line=b"POST / HTTP/1.0"),
        "POST x/ ok",
    ),
)

PIPELINES: Final = (
    served("two", get() + get(line=b"GET /2 HTTP/1.1"), "GET x/", "GET x/2"),
    served("fifty", b"".join(get(line=b"GET /%d HTTP/1.1" % n) for n in range(50)), *(f"GET x/{n}" for n in range(50))),
    served(
        "fifty with bodies",
        b"".join(post(b"Content-Length: 2", body=b"%02d" % n) for n in range(50)),
        *(f"POST x/ {n:02}" for n in range(50)),
    ),
    served(
        "a length behind chunks", post(CHUNKED) + post(b"Content-Length: 2", body=b"oh"), "POST x/ ok", "POST x/ oh"
    ),
    served(
        "HEAD in between",
        get() + get(line=b"HEAD /2 HTTP/1.1") + get(line=b"GET /3 HTTP/1.1"),
        "GET x/",
        "HEAD x/2",
        "GET x/3",
    ),
    served("HEAD with a body", get(b"Content-Length: 2", line=b"HEAD / HTTP/1.1") + b"ok", "HEAD x/ ok"),
    served(
        "answers without a body in between",
        get(line=b"GET /204 HTTP/1.1") + get(line=b"GET /304 HTTP/1.1"),
        "GET x/204",
        "GET x/304",
    ),
    served("answers in parts in between", get(line=b"GET /parts HTTP/1.1") * 2, "GET x/parts", "GET x/parts"),
    refused("one that is wrong in between", get() + get(b"A : b", line=b"GET /2 HTTP/1.1") + get(), behind=("GET x/",)),
    refused(
        "one whose length is wrong in between",
        get() + post(b"Content-Length: x", body=b"ok") + get(),
        behind=("GET x/",),
    ),
    refused(
        "one whose chunks are wrong in between",
        get() + post(CHUNKED, body=b"x\r\n" + CHUNKS) + get(),
        behind=("GET x/",),
    ),
    refused(
        "one with two lengths of its own in between",
        get() + post(CHUNKED, b"Content-Length: 5", body=CHUNKS),
        behind=("GET x/",),
    ),
    last("one behind close", get(b"Connection: close") + get(line=b"GET /2 HTTP/1.1"), "GET x/"),
    last(
        "one behind close, between others",
        get() + get(b"Connection: close", line=b"GET /2 HTTP/1.1") + get(),
        "GET x/",
        "GET x/2",
    ),
    last("one behind HTTP/1.0", old() + get(line=b"GET /2 HTTP/1.1"), "GET x/"),
)
