"""Conversations in HTTP/1.1 for two servers that are to read them alike: a grammar, and what is done to its sentences.

Most are valid. The others have what a sloppy reader forgives: folds, bare LFs, doubled lengths, bytes too many or too
few; and all of it comes in pieces that end anywhere.
"""

from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

__all__ = ["TALKS", "Talk"]

LAST: Final = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
METHODS: Final = (b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"BREW")
TARGETS: Final = (
    b"/",
    b"/a/b?c=d&e",
    b"/a%2Fb%00",
    b"//y/a",
    b"/a/../b",
    b"/?",
    b"*",
    b"http://y/a?b",
    b"http://y:8",
    b"/;a=b",
)
HEADERS: Final = (
    b"Accept: */*",
    b"A: b",
    b"a: c",
    b"A:",
    b"A: \xe4\xff",
    b"A: b \t c \t",
    b"Cookie: a=b; c=d",
    b"Connection: keep-alive",
    b"Connection: te",
    b"Keep-Alive: timeout=5",
    b"Expect: 100-continue",
    b"TE: trailers",
    b"Content-Type: text/plain",
)
# Headers that say again, or otherwise, where a body ends, or that the connection does.
ODD_HEADERS: Final = (
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"Content-Length: 5, 5",
    b"Content-Length: +5",
    b"Content-Length:",
    b"Content-Length : 5",
    b"Content_Length: 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: CHUNKED",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding:\tchunked\t",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer_Encoding: chunked",
    b"Connection: close",
    b"Connection: close, te",
    b"Host: y",
    b"Host:",
    b" A: b",
    b"A",
)
TRAILERS: Final = (
    b"A: b",
    b"A: b",
    b"A:",
    b"Content-Length: 9",
    b"Host: y",
    b"Connection: close",
    b"A : b",
    b" A",
    b"A",
)
BITS: Final = (
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n\n",
        b"\r\n ",
        b"\0",
        b" ",
        b"\t",
        b"\x0b",
        b"\x0c",
        b"\x7f",
        b"\x80",
        b"\xff",
    ),
    *(
        b":",
        b";",
        b",",
        b"#",
        b"%",
        b"?",
        b"@",
        b'"',
        b"\\",
        b"-",
        b"+",
        b"_",
        b"x",
        b"0",
        b"1",
        b"5",
        b"a",
        b"f",
        b"0x",
    ),
    *(b"chunked", b"GET / HTTP/1.1\r\n", b"Host: x\r\n", b"0\r\n\r\n", b"HTTP/1.0", b"00000000000000000"),
)


@dataclass(frozen=True)
class Talk:
    """What a client says on one connection.

    Attributes:
        data: All of it, with a last request that asks for the end.
        cuts: Where its pieces end.
    """

    data: bytes
    cuts: tuple[int, ...]

    @property
    def pieces(self) -> list[bytes]:
        """What it sends, piece by piece."""
        ends = sorted({min(cut, len(self.data)) for cut in self.cuts} | {len(self.data)})
        return [self.data[begin:end] for begin, end in zip([0, *ends], ends, strict=False) if begin < end]


def seldom(strategy: st.SearchStrategy[list[Any]], one_in: int) -> st.SearchStrategy[list[Any]]:
    """Return lists that are empty but once in so many times."""
    return st.sampled_from(range(one_in)).flatmap(lambda drawn: strategy if drawn == one_in - 1 else st.just([]))


def chunked(parts: list[bytes], extension: bytes, trailers: list[bytes]) -> bytes:
    """Return a body in chunks."""
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts if part)
    return chunks + b"0\r\n" + b"".join(trailer + b"\r\n" for trailer in trailers) + b"\r\n"


TEXT: Final = st.sampled_from(
    [b"", b"a", b"hello", b"0\r\n\r\n", b"GET /within HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\xff" * 20]
)
BODIES: Final[st.SearchStrategy[tuple[list[bytes], bytes]]] = st.one_of(
    st.just(([], b"")),
    st.builds(lambda body: ([b"Content-Length: %d" % len(body)], body), TEXT),
    st.builds(
        lambda parts, extension, trailers: ([b"Transfer-Encoding: chunked"], chunked(parts, extension, trailers)),
        st.lists(TEXT, max_size=3),
        st.sampled_from([b""] * 8 + [b";a", b";a=b", b';a="b c"', b" ; a", b";a\nb", b" ", b"\t"]),
        seldom(st.lists(st.sampled_from(TRAILERS), min_size=1, max_size=2), 3),
    ),
)


def request(
    words: tuple[bytes, bytes, bytes],
    headers: list[bytes],
    body: tuple[list[bytes], bytes],
    odd: list[tuple[int, bytes]],
) -> bytes:
    """Return one request; odd headers go where they are said to."""
    lines = [b"Host: x", *headers, *body[0]]
    for at, line in odd:
        lines.insert(at % (len(lines) + 1), line)
    return b"\r\n".join([b" ".join(words), *lines, b"", b""]) + body[1]


WORDS: Final = st.tuples(
    st.sampled_from(METHODS), st.sampled_from(TARGETS), st.sampled_from([b"HTTP/1.1"] * 18 + [b"HTTP/1.0", b"HTTP/1.2"])
)

HEADER_LISTS: Final = st.lists(st.sampled_from(HEADERS), max_size=3)
ODD: Final = st.tuples(st.integers(0, 9), st.sampled_from(ODD_HEADERS))
REQUESTS: Final = st.builds(request, WORDS, HEADER_LISTS, BODIES, seldom(st.lists(ODD, min_size=1, max_size=2), 6))
STEPS: Final = st.tuples(
    st.sampled_from(["insert", "delete", "replace", "LF", "fold", "double"]),
    st.integers(0, 2_000),
    st.sampled_from(BITS),
)


def mutated(data: bytes, steps: list[tuple[str, int, bytes]]) -> bytes:
    """Return bytes after some mutations."""
    for kind, where, bit in steps:
        at = where % (len(data) + 1)
        line = data.rfind(b"\r\n", 0, at) + 2  # where the line begins
        end = data.find(b"\r\n", at)
        end = len(data) if end < 0 else end
        data = {
            "insert": data[:at] + bit + data[at:],
            "delete": data[:at] + data[at + 1 :],
            "replace": data[:at] + bit + data[at + len(bit) :],
            "LF": data[:end] + data[end + 1 :],
            "fold": data[:end] + b"\r\n " + bit + data[end:],
            "double": data[:end] + b"\r\n" + data[max(line, 0) : end] + data[end:],
        }[kind]
    return data


def talk(requests: list[bytes], steps: list[tuple[str, int, bytes]], cuts: list[int]) -> Talk:
    return Talk(mutated(b"".join(requests), steps) + LAST, tuple(cuts))


TALKS: Final = st.builds(
    talk,
    st.lists(REQUESTS, min_size=1, max_size=4),
    seldom(st.lists(STEPS, min_size=1, max_size=3), 2),
    st.lists(st.integers(1, 600), max_size=4),
)
