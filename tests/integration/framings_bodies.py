"""Rows of framing: Content-Length, Transfer-Encoding, chunks and trailers (RFC 9112 sections 6 and 7)."""

from typing import Final

from tests.integration.framings import CHUNKED, CHUNKS, Case, any_of, get, last, post, refused, served

__all__ = ["CODINGS", "LENGTHS", "PARTS", "TRAILERS"]

WITHIN: Final = get(line=b"GET /within HTTP/1.1")
TOO_MUCH: Final = (400, 413, 431)
JUNK: Final = ("POST x/",)  # a body that nobody announced is junk where the next request should begin


def length(value: bytes, body: bytes = b"hello") -> bytes:
    return post(b"Content-Length: " + value, body=body)


def coding(value: bytes) -> bytes:
    return post(b"Transfer-Encoding:" + value)


def chunks(body: bytes) -> bytes:
    return post(CHUNKED, body=body)


def choice(name: str, data: bytes, *seen: str, statuses: tuple[int, ...] = (400,)) -> Case:
    """Return a row that may be served or refused."""
    return any_of(served(name, data, *seen), refused(name, data, *statuses))


LENGTHS: Final = (
    served("a length", length(b"5"), "POST x/ hello"),
    served("a length of 0", length(b"0", b""), "POST x/"),
    served("a length with zeros before it", length(b"0005"), "POST x/ hello"),
    served("a length with blanks around it", length(b" \t5 \t"), "POST x/ hello"),
    served("a length, its name in capitals", post(b"CONTENT-LENGTH: 5", body=b"hello"), "POST x/ hello"),
    served("a length without a blank before it", post(b"content-length:5", body=b"hello"), "POST x/ hello"),
    served("a length of a GET", get(b"Content-Length: 5") + b"hello", "GET x/ hello"),
    served("no length, no body", post(body=b""), "POST x/"),
    served("a request within a body", length(b"%d" % len(WITHIN), WITHIN), f"POST x/ {WITHIN.decode()}"),
    refused("a body longer than its length", length(b"2"), behind=("POST x/ he",)),
    refused("a body without a length", post(body=b"hello"), behind=JUNK),
    choice("one length twice", post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), "POST x/ hello"),
    choice("one length twice in one header", length(b"5, 5"), "POST x/ hello"),
    choice("one length twice, in two spellings", length(b"5,05"), "POST x/ hello"),
    refused("lengths that differ", post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!")),
    refused("lengths that differ, the greater first", post(b"Content-Length: 6", b"Content-Length: 5", body=b"hello!")),
    refused("lengths that differ in one header", length(b"5, 6")),
    refused("a length and 0", post(b"Content-Length: 5", b"Content-Length: 0", body=b"hello")),
    refused("a length and an empty one", post(b"Content-Length: 5", b"Content-Length:", body=b"hello")),
    refused("a length and a comma", length(b"5,")),
    refused("a comma and a length", length(b",5")),
    refused("+5", length(b"+5")),
    refused("-5", length(b"-5")),
    refused("-0", length(b"-0", b"")),
    refused("0x5", length(b"0x5")),
    refused("5.0", length(b"5.0")),
    refused("5e0", length(b"5e0")),
    refused("5 5", length(b"5 5")),
    refused("0_5", length(b"0_5")),
    refused("5;", length(b"5;")),
    refused('"5"', length(b'"5"')),
    refused("a digit that is not ASCII", length(b"\xd9\xa5")),
    refused("an empty length", length(b"")),
    refused("a word", length(b"five")),
    refused("VT before a length", length(b"\x0b5")),
    refused("FF behind a length", length(b"5\x0c")),
    refused("NUL behind a length", length(b"5\0")),
    refused("a blank before the colon of a length", post(b"Content-Length : 5", body=b"hello")),
    refused("a tab before the colon of a length", post(b"Content-Length\t: 5", body=b"hello")),
    refused("a length on a line of its own", post(b"Content-Length:", b" 5", body=b"hello")),
    refused("a blank before the name of a length", post(b"Accept: a/b", b" Content-Length: 5", body=b"hello")),
    refused("a length with an underscore is none", post(b"Content_Length: 5", body=b"hello"), behind=JUNK),
    refused("20 digits", length(b"9" * 20), 400, 413),
    refused("2 to the power of 63", length(b"9223372036854775808"), 400, 413),
    refused("2 to the power of 64, and 5", length(b"18446744073709551621"), 400, 413),
    refused("2 to the power of 32, and 5", length(b"4294967301"), 400, 413),
    refused("400 digits", length(b"1" * 400), 400, 413, 431),
)

CODINGS: Final = (
    served("chunked", coding(b" chunked"), "POST x/ ok"),
    served("chunked without a blank", coding(b"chunked"), "POST x/ ok"),
    served("CHUNKED", coding(b" CHUNKED"), "POST x/ ok"),
    served("ChunkeD", post(b"TRANSFER-encoding: ChunkeD"), "POST x/ ok"),
    served("chunked with blanks around it", coding(b" \t chunked \t"), "POST x/ ok"),
    served("chunked in a GET", get(CHUNKED) + CHUNKS, "GET x/ ok"),
    served("TE is another thing", post(b"TE: trailers, chunked", CHUNKED), "POST x/ ok"),
    refused("chunked and a length", post(CHUNKED, b"Content-Length: 2")),
    refused("a length and chunked", post(b"Content-Length: 2", CHUNKED)),
    refused("a length of 0 and chunked", post(b"Content-Length: 0", CHUNKED)),
    refused("a length that is none and chunked", post(b"Content-Length: x", CHUNKED)),
    refused("a length and gzip", post(b"Content-Length: 2", b"Transfer-Encoding: gzip", body=b"ok"), 400, 501),
    refused("a length and identity", post(b"Content-Length: 2", b"Transfer-Encoding: identity", body=b"ok"), 400, 501),
    refused("a length and an empty coding", post(b"Content-Length: 2", b"Transfer-Encoding:", body=b"ok"), 400, 501),
    refused("chunked twice", post(CHUNKED, CHUNKED), 400, 501),
    refused("chunked, chunked", coding(b" chunked, chunked"), 400, 501),
    refused("gzip, chunked", coding(b" gzip, chunked"), 400, 501),
    refused("chunked, gzip", coding(b" chunked, gzip"), 400, 501),
    refused("gzip and chunked in two headers", post(b"Transfer-Encoding: gzip", CHUNKED), 400, 501),
    refused("chunked and identity in two headers", post(CHUNKED, b"transfer-encoding: identity"), 400, 501),
    refused("chunked and an empty one", post(CHUNKED, b"transfer-encoding:"), 400, 501),
    refused("identity", coding(b" identity"), 400, 501),
    refused("chunked, identity", coding(b" chunked, identity"), 400, 501),
    refused("an empty coding", coding(b""), 400, 501),
    refused("xchunked", coding(b" xchunked"), 400, 501),
    refused("chunkedx", coding(b" chunkedx"), 400, 501),
    refused("chunk", coding(b" chunk"), 400, 501),
    refused("chunked;q", coding(b" chunked;q=1"), 400, 501),
    refused("chunked in quotes", coding(b' "chunked"'), 400, 501),
    refused("chunked and a comma", coding(b" chunked,"), 400, 501),
    refused("a comma and chunked", coding(b" ,chunked"), 400, 501),
    refused("chunked chunked", coding(b" chunked chunked"), 400, 501),
    refused("VT before chunked", coding(b" \x0bchunked"), 400, 501),
    refused("FF behind chunked", coding(b" chunked\x0c"), 400, 501),
    refused("NUL behind chunked", coding(b" chunked\0"), 400, 501),
    refused("a control character behind chunked", coding(b" chunked\x1f"), 400, 501),
    refused("a byte above 127 before chunked", coding(b" \xa0chunked"), 400, 501),
    refused("bare CR behind chunked", coding(b" chunked\r")),
    refused("a blank before the colon", post(b"Transfer-Encoding : chunked")),
    refused("a tab before the colon", post(b"Transfer-Encoding\t: chunked")),
    refused("NUL before the colon", post(b"Transfer-Encoding\0: chunked")),
    refused("chunked on a line of its own", coding(b"\r\n chunked")),
    refused("chunked in two lines", coding(b" chun\r\n\tked")),
    refused("a blank before the first header", get(CHUNKED, host=b" Host: x") + CHUNKS),
    refused("a coding behind a bare LF", post(b"Accept: a/b\nTransfer-Encoding: chunked")),
    refused("a coding behind a bare CR", post(b"Accept: a/b\rTransfer-Encoding: chunked")),
    refused("a coding with an underscore is none", post(b"Transfer_Encoding: chunked"), behind=JUNK),
    refused("chunked in HTTP/1.0", post(CHUNKED, line=b"POST / HTTP/1.0")),
    refused("chunked and keep-alive in HTTP/1.0", post(CHUNKED, b"Connection: keep-alive", line=b"POST / HTTP/1.0")),
)

PARTS: Final = (
    served("two chunks", chunks(b"2\r\nok\r\n3\r\nay!\r\n0\r\n\r\n"), "POST x/ okay!"),
    served("no chunk", chunks(b"0\r\n\r\n"), "POST x/"),
    served("a size in capitals", chunks(b"A\r\n0123456789\r\n0\r\n\r\n"), "POST x/ 0123456789"),
    served("a size in small letters", chunks(b"a\r\n0123456789\r\n0\r\n\r\n"), "POST x/ 0123456789"),
    served("a size with zeros before it", chunks(b"0002\r\nok\r\n0\r\n\r\n"), "POST x/ ok"),
    served("a last size of zeros", chunks(b"2\r\nok\r\n000\r\n\r\n"), "POST x/ ok"),
    served("an extension", chunks(b"2;a\r\nok\r\n0\r\n\r\n"), "POST x/ ok"),
    served("an extension with a value", chunks(b"2;a=b;c=d\r\nok\r\n0;e=f\r\n\r\n"), "POST x/ ok"),
    served("an extension with a quoted value", chunks(b'2;a="b c"\r\nok\r\n0\r\n\r\n'), "POST x/ ok"),
    choice("an extension with blanks", chunks(b"2 ; a = b\r\nok\r\n0\r\n\r\n"), "POST x/ ok"),
    choice("a blank behind a size", chunks(b"2 \r\nok\r\n0\r\n\r\n"), "POST x/ ok"),
    choice("a tab behind a size", chunks(b"2\t\r\nok\r\n0\r\n\r\n"), "POST x/ ok"),
    choice("a size of 17 digits", chunks(b"0" * 16 + CHUNKS), "POST x/ ok"),
    served(
        "chunks and a request in one of them", chunks(b"c\r\n0\r\n\r\nGET / H\r\n0\r\n\r\n"), "POST x/ 0\r\n\r\nGET / H"
    ),
    refused("an empty size", chunks(b"\r\nok\r\n0\r\n\r\n")),
    refused("an extension without a size", chunks(b";a\r\nok\r\n0\r\n\r\n")),
    refused("-2", chunks(b"-2\r\nok\r\n0\r\n\r\n")),
    refused("+2", chunks(b"+2\r\nok\r\n0\r\n\r\n")),
    refused("0x2", chunks(b"0x2\r\nok\r\n0\r\n\r\n")),
    refused("0X2", chunks(b"0X2\r\nok\r\n0\r\n\r\n")),
    refused("2h", chunks(b"2h\r\nok\r\n0\r\n\r\n")),
    refused("g", chunks(b"g\r\nok\r\n0\r\n\r\n")),
    refused("2.0", chunks(b"2.0\r\nok\r\n0\r\n\r\n")),
    refused("0_2", chunks(b"0_2\r\nok\r\n0\r\n\r\n")),
    refused("2 0", chunks(b"2 0\r\nok\r\n0\r\n\r\n")),
    refused("2,2", chunks(b"2,2\r\nok\r\n0\r\n\r\n")),
    refused("a blank before a size", chunks(b" 2\r\nok\r\n0\r\n\r\n")),
    refused("a blank before the last size", chunks(b"2\r\nok\r\n 0\r\n\r\n")),
    refused("NUL behind a size", chunks(b"2\0\r\nok\r\n0\r\n\r\n")),
    refused("VT behind a size", chunks(b"2\x0b\r\nok\r\n0\r\n\r\n")),
    refused("a digit that is not ASCII", chunks(b"\xef\xbc\x92\r\nok\r\n0\r\n\r\n")),
    refused(
        "a size of 2 to the power of 64, and 2", chunks(b"1" + b"0" * 15 + b"02\r\nok\r\n0\r\n\r\n"), 400, 408, 413
    ),
    refused("a size of 2 to the power of 63", chunks(b"8000000000000000\r\nok\r\n0\r\n\r\n"), 400, 408, 413),
    refused("a size of 16 f", chunks(b"f" * 16 + b"\r\nok\r\n0\r\n\r\n"), 400, 408, 413),
    refused("a size of 17 f", chunks(b"f" * 17 + b"\r\nok\r\n0\r\n\r\n"), 400, 408, 413),
    refused("a size of 2 to the power of 32, and 2", chunks(b"100000002\r\nok\r\n0\r\n\r\n"), 400, 408, 413),
    refused("a size of 21 digits", chunks(b"0" * 20 + CHUNKS)),
    refused("a size that ends with a bare LF", chunks(b"2\nok\r\n0\r\n\r\n")),
    refused("a size that ends with a bare CR", chunks(b"2\rok\r\n0\r\n\r\n")),
    refused("a last size that ends with a bare LF", chunks(b"2\r\nok\r\n0\n\r\n")),
    refused("an extension with a bare LF", chunks(b"2;a\nb\r\nok\r\n0\r\n\r\n")),
    refused("an extension that hides a chunk behind a bare LF", chunks(b"2;\n\r\nok\r\n0\r\n\r\n")),
    refused("a chunk that ends with a bare LF", chunks(b"2\r\nok\n0\r\n\r\n")),
    refused("a chunk that ends with a bare CR", chunks(b"2\r\nok\r0\r\n\r\n")),
    refused("a chunk without an end", chunks(b"2\r\nok0\r\n\r\n")),
    refused("a chunk that is too long", chunks(b"2\r\nokk\r\n0\r\n\r\n")),
    refused("a chunk that is too short", chunks(b"3\r\nok\r\n0\r\n\r\n")),
    refused("a blank line between chunks", chunks(b"2\r\nok\r\n\r\n0\r\n\r\n")),
    refused("a body that ends with a bare LF", chunks(b"2\r\nok\r\n0\r\n\n")),
    refused("a body that ends with a bare CR", chunks(b"2\r\nok\r\n0\r\n\rGET / HTTP/1.1\r\n\r\n")),
    refused("a body without its last blank line", chunks(b"2\r\nok\r\n0\r\nGET /within HTTP/1.1\r\n")),
    choice("a long extension", chunks(b"2;" + b"a" * 5_000 + b"\r\nok\r\n0\r\n\r\n"), "POST x/ ok", statuses=TOO_MUCH),
    choice("an extension with a bare CR", chunks(b"2;a\rb\r\nok\r\n0\r\n\r\n"), "POST x/ ok"),
)

TRAILERS: Final = (
    served("a trailer", chunks(b"2\r\nok\r\n0\r\nA: b\r\n\r\n"), "POST x/ ok"),
    served("two trailers", chunks(b"2\r\nok\r\n0\r\nA: b\r\nC:\r\n\r\n"), "POST x/ ok"),
    choice("a length in a trailer does not count", chunks(b"2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n"), "POST x/ ok"),
    choice("a coding in a trailer does not count", chunks(b"2\r\nok\r\n0\r\n" + CHUNKED + b"\r\n\r\n"), "POST x/ ok"),
    choice("a host in a trailer does not count", chunks(b"2\r\nok\r\n0\r\nHost: y\r\n\r\n"), "POST x/ ok"),
    any_of(
        choice("a close in a trailer", chunks(b"2\r\nok\r\n0\r\nConnection: close\r\n\r\n"), "POST x/ ok"),
        last("", b"", "POST x/ ok"),
    ),
    refused("a trailer without a colon", chunks(b"2\r\nok\r\n0\r\nA\r\n\r\n")),
    refused("a trailer without a name", chunks(b"2\r\nok\r\n0\r\n: b\r\n\r\n")),
    refused("a trailer with a blank before its colon", chunks(b"2\r\nok\r\n0\r\nA : b\r\n\r\n")),
    refused("a trailer that begins with a blank", chunks(b"2\r\nok\r\n0\r\n A: b\r\n\r\n")),
    refused("a trailer that ends with a bare LF", chunks(b"2\r\nok\r\n0\r\nA: b\n\r\n")),
    refused("a trailer that ends the body with bare LFs", chunks(b"2\r\nok\r\n0\r\nA: b\n\n")),
    refused("a trailer with a bare CR", chunks(b"2\r\nok\r\n0\r\nA: b\rc\r\n\r\n")),
    refused("a trailer with NUL", chunks(b"2\r\nok\r\n0\r\nA: b\0\r\n\r\n")),
    choice("a folded trailer", chunks(b"2\r\nok\r\n0\r\nA: b\r\n c\r\n\r\n"), "POST x/ ok"),
    refused("a request as a trailer", chunks(b"2\r\nok\r\n0\r\nGET /within HTTP/1.1\r\nHost: x\r\n\r\n")),
    choice(
        "trailers longer than a head may be",
        chunks(b"0\r\n" + b"A: b\r\n" * 1_000 + b"\r\n"),
        "POST x/",
        statuses=TOO_MUCH,
    ),
)
