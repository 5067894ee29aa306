"""Tokens with a header or a payload that two readers of JSON may read differently, or that is no JSON at all."""

from collections.abc import Callable
from typing import Literal, TypeAlias

from tests.hostile.forge import SECRET, claims_of, text_of, token
from tests.hostile.refusals import Pair, bearer

__all__ = ["DOCUMENTS"]

NOT_JSON = "MalformedToken: its {} is no JSON in UTF-8"
NO_OBJECT = "MalformedToken: its {} is no JSON object"
TWICE = "MalformedToken: its {} has a member that stands twice"
TOO_DEEP = "MalformedToken: its {} is nested more than 32 deep"
DEEP = 2_000

Where: TypeAlias = Literal["header", "payload"]
Spoil: TypeAlias = Callable[[bytes], bytes]
BOTH: tuple[Where, ...] = ("header", "payload")


def document(where: Where) -> bytes:
    """Return a good header or payload. Its last member is a text that nobody looks at."""
    if where == "header":
        return text_of({"alg": "HS256", "typ": "JWT", "kid": SECRET.kid, "x5t": "last"})
    return text_of({**claims_of(), "last": "last"})


def read(name: str, reason: str, where: Where, spoil: Spoil, twin: Spoil = lambda text: text) -> Pair:
    """Return a pair of which one document has been spoilt, and then signed."""

    def made(how: Spoil) -> str:
        if where == "header":
            return token(header=how(document(where)))
        return token(claims=how(document(where)))

    said = reason.format(where)
    return Pair(f"{where}-{name}", said, lambda: bearer(made(spoil)), lambda: bearer(made(twin)))


def both(name: str, reason: str, spoil: Spoil, twin: Spoil = lambda text: text) -> tuple[Pair, ...]:
    """Return the pair for the header and for the payload."""
    return tuple(read(name, reason, where, spoil, twin) for where in BOTH)


def inside(more: bytes) -> Spoil:
    """Return what puts bytes at the end of the last text."""
    return lambda text: text[:-2] + more + text[-2:]


def behind(more: bytes) -> Spoil:
    """Return what puts bytes behind the last member."""
    return lambda text: text[:-1] + more + text[-1:]


def first(member: bytes) -> Spoil:
    """Return what puts a member before all others."""
    return lambda text: text[:1] + member + b"," + text[1:]


def encoded(encoding: str) -> Spoil:
    """Return what writes a document in another encoding."""
    return lambda text: text.decode().encode(encoding)


def nested(depth: int) -> bytes:
    """Return a list in a list in a list."""
    return b"[" * depth + b"]" * depth


MEMBERS = (
    read("with-alg-twice", TWICE, "header", first(b'"alg":"none"')),
    read("with-alg-twice-and-the-same", TWICE, "header", first(b'"alg":"HS256"')),
    read("with-alg-twice-by-an-escape", TWICE, "header", first(b'"\\u0061lg":"none"')),
    read("with-kid-twice", TWICE, "header", first(b'"kid":"hs-2"')),
    read("with-sub-twice", TWICE, "payload", first(b'"sub":"root"'), first(b'"subject":"root"')),
    read("with-roles-twice", TWICE, "payload", first(b'"roles":[]'), first(b'"Roles":[]')),
    read("with-exp-twice-by-an-escape", TWICE, "payload", first(b'"e\\u0078p":1'), first(b'"e\\u0078p2":1')),
    read("with-a-member-twice-within", TWICE, "payload", first(b'"act":{"a":1,"a":2}'), first(b'"act":{"a":1,"b":2}')),
)

KINDS = (
    *both("as-a-list", NO_OBJECT, lambda text: b"[" + text + b"]"),
    *both("as-a-text", NO_OBJECT, lambda text: text_of(text.decode())),
    *both("as-a-number", NO_OBJECT, lambda _: b"1"),
    *both("as-null", NO_OBJECT, lambda _: b"null"),
    *both("as-true", NO_OBJECT, lambda _: b"true"),
    *both("of-blanks", NOT_JSON, lambda _: b"   "),
)

BYTES = (
    *both("with-a-byte-that-is-no-utf-8", NOT_JSON, inside(b"\xff"), inside(b"\xc3\xbf")),
    *both("with-half-a-letter", NOT_JSON, inside(b"\xc3"), inside(b"\xc3\xbc")),
    *both("with-a-letter-written-too-long", NOT_JSON, inside(b"\xc0\xaf"), inside(b"/")),
    *both("with-a-surrogate-in-bytes", NOT_JSON, inside(b"\xed\xa0\x80"), inside(b"\xf0\x9f\x98\x80")),
    *both("with-half-a-surrogate-pair", NOT_JSON, inside(b"\\ud83d"), inside(b"\\ud83d\\ude00")),
    *both("with-a-surrogate-pair-in-reverse", NOT_JSON, inside(b"\\ude00\\ud83d"), inside(b"\\ud83d\\ude00")),
    *both("with-a-bom", NOT_JSON, lambda text: b"\xef\xbb\xbf" + text, lambda text: b" \n" + text),
    *both("in-utf-16", NOT_JSON, encoded("utf-16")),
    *both("in-utf-16-without-a-bom", NOT_JSON, encoded("utf-16-le")),
    *both("in-utf-32", NOT_JSON, encoded("utf-32")),
    *both("in-latin-1", NOT_JSON, inside(b"\xe4"), inside(b"\xc3\xa4")),
    *both("with-a-bare-newline-in-a-text", NOT_JSON, inside(b"\n"), inside(b"\\n")),
    *both("with-nul-behind-it", NOT_JSON, lambda text: text + b"\0", lambda text: text + b"\n"),
)

GRAMMAR = (
    *both("with-nan", NOT_JSON, behind(b',"n":NaN')),
    *both("with-infinity", NOT_JSON, behind(b',"n":Infinity')),
    *both("with-minus-infinity", NOT_JSON, behind(b',"n":-Infinity')),
    *both("nested-deeply", "MalformedToken: its {} is ", behind(b',"n":' + nested(DEEP))),
    read("nested-33-deep", TOO_DEEP, "payload", behind(b',"n":' + nested(32)), behind(b',"n":' + nested(31))),
    read("with-a-number-without-end", NOT_JSON, "payload", behind(b',"n":1e999'), behind(b',"n":1e99')),
    *both("with-a-number-of-5000-digits", NOT_JSON, behind(b',"n":' + b"9" * 5_000)),
    *both("with-a-comma-too-many", NOT_JSON, behind(b","), behind(b" ")),
    *both("with-a-comment", NOT_JSON, behind(b"/* c */"), behind(b" ")),
    *both("with-single-quotes", NOT_JSON, lambda text: text.replace(b'"', b"'")),
    *both("with-more-behind-it", NOT_JSON, lambda text: text + b"{}", lambda text: text + b" "),
    *both("without-its-end", NOT_JSON, lambda text: text[:-1]),
    *both("with-a-number-after-a-zero", NOT_JSON, behind(b',"n":01')),
    *both("with-an-escape-that-is-none", NOT_JSON, inside(b"\\x41"), inside(b"\\u0041")),
)

DOCUMENTS = (*MEMBERS, *KINDS, *BYTES, *GRAMMAR)
