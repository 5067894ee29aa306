"""V4: a client that says the same in each of its requests is understood as one of which nothing is known."""

from hypothesis import given
from hypothesis import strategies as st

from evox.serving.http1.head import Head, Reader, Unusual

BLOCKS = [
    b"Host: a\r\n",
    b"Host: a\r\nAccept: */*\r\n",
    b"Host: a\r\nContent-Length: 3\r\n",
    b"Host: a\r\nContent-Length: 0\r\n",
    b"Host: a\r\nTransfer-Encoding: chunked\r\n",
    b"Host: a\r\nConnection: close\r\n",
    b"Host: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n",
    b"Host: a\r\nHost: a\r\n",
    b"Accept: */*\r\n",
    b"",
]
BODIES = {b"Content-Length: 3": b"abc", b"Transfer-Encoding": b"1\r\nx\r\n0\r\n\r\n"}
LINES = st.one_of(
    st.sampled_from(
        [
            b"GET / HTTP/1.1",
            b"GET /a%20b?c=d%20e HTTP/1.1",
            b"POST /a?b?c HTTP/1.1",
            b"HEAD /? HTTP/1.1",
            b"DELETE /a/../b;c HTTP/1.1",
            b"GET / HTTP/1.0",
            b"GET / HTTP/2.0",
            b"GET /a b HTTP/1.1",
            b"GET  / HTTP/1.1",
            b"GET /#a HTTP/1.1",
            b"GET /\xc3\xa4 HTTP/1.1",
            b"GET http://a/ HTTP/1.1",
            b"OPTIONS * HTTP/1.1",
            b"get / HTTP/1.1",
            b"CONNECT a:1 HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b" GET / HTTP/1.1",
        ]
    ),
    st.binary(max_size=12).map(lambda odd: b"GET /" + odd.replace(b"\n", b"") + b" HTTP/1.1"),
)


def seen(reader: Reader, data: bytes) -> Head | None:
    try:
        return reader.head(data)
    except Unusual:
        return None


def plain(head: Head | None) -> object:
    if head is None:
        return None
    names = ("method", "path", "raw_path", "query", "version", "headers", "length", "keeps", "waits")
    return {name: getattr(head, name) for name in names}


def read(reader: Reader, head: Head, body: bytes) -> list[tuple[bytes, bool]]:
    """Read a body in two parts."""
    if head.length == 0:
        return []
    return [reader.body(part) for part in (body[:2], body[2:])]


@given(st.lists(st.tuples(LINES, st.sampled_from(BLOCKS)), min_size=2, max_size=6))
def test_V4_a_head_that_repeats_headers_reads_as_it_would_alone(requests: list[tuple[bytes, bytes]]) -> None:
    reader = Reader(100)
    for line, block in requests:
        data, alone = line + b"\r\n" + block + b"\r\n", Reader(100)
        body = next((body for name, body in BODIES.items() if name in block), b"")
        head, expected = seen(reader, data), seen(alone, data)
        assert plain(head) == plain(expected)
        if head is None or expected is None or not head.keeps:
            return  # others go on with the connection, or it ends
        assert read(reader, head, body) == read(alone, expected, body)


def test_V4_headers_that_are_said_again_are_a_list_of_their_own() -> None:
    """Middleware may change them."""
    reader = Reader(100)
    for _ in range(3):
        head = reader.head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert head.headers == [(b"host", b"a")]
        head.headers.append((b"x-mine", b"1"))


def test_V4_nothing_is_remembered_of_a_connection_that_is_idle() -> None:
    reader = Reader(100)
    reader.head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert reader._block
    reader.forget()
    assert (reader._block, reader._same) == (b"", [])
