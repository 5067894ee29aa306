"""Requests to compiled endpoints: some that fit, and such as clients send by mistake or on purpose."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st
from tests.properties.compiled_endpoints import NONE, Endpoint, Parameter
from tests.properties.compiled_grammar import seldom
from tests.properties.compiled_types import json_of, texts_of
from tests.twins import Sent

__all__ = ["ODD_BODIES", "ODD_JSON", "ODD_QUERIES", "ODD_TEXTS", "TYPES", "requests"]

Headers = list[tuple[bytes, bytes]]
ODD_TEXTS = (
    "",
    " ",
    "null",
    "true",
    "1",
    "0x1",
    "1_000",
    "+1",
    "é",
    "\x00",
    "a/b",
    "..",
    "[]",
    "{}",
    "1e999",
    "nan",
    "9" * 5000,
)
ODD_QUERIES = (
    b"%ff",
    b"%",
    b"%zz",
    b"%c3",
    b"a;b",
    b"a+b",
    b"%00",
    "é".encode(),
    b"a=b",
    b"%ed%a0%80",
    b"\xff",
    b"a#b",
)
ODD_PATHS = (b"%ff", b"%", b"%2F", b"a%2Fb", b"..", b"%2e%2e", b"%00", b"a;b=c", b"a+b", b"%C3%A9", b"")
ODD_HEADERS = (b"\xff", "é".encode(), b"", b" 5 ", b"a, b", b"\x7f")
ODD_COOKIES = (b"=x", b"alone", b"a=b=c", b'q="a\\"b; c"', b";;", b" ; ", b"\xff=1", b"a=%41", b"$Version=1")
ODD_JSON = (
    *(b"NaN", b"-Infinity", b"1e999", b"-0", b"1.0", b"1" + b"0" * 400, b"9" * 5000, b"null", b"true", b"[]", b"{}"),
    *(b'""', b'"\\ud800"', b'"\\u0000"', b'"\xff"', b"[[" * 40 + b"]]" * 40, b'{"a":1,"a":2}', b'{"\\u0061":5}'),
)
ODD_BODIES = (
    *(b"", b"{", b"[1,", b"no json", b" ", b"\n", b"{} {}", b"{'a': 1}", b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00"),
    *(b"{}\x00", b"a=1&b=2", b"--x\r\n\r\n", b"[" * 3000, '{"é": 1}'.encode("utf-16"), b"\xff", b'"text"', b"5"),
)
TYPES: tuple[tuple[bytes, ...], ...] = (
    *((), (b"",), (b"text/plain",), (b"application/vnd.x+json",), (b"application/json; charset=utf-8",)),
    *((b"application/json; charset=latin-1",), (b"APPLICATION/JSON",), (b"application/geo+json;v=1",), (b"json",)),
    *((b"application/json-patch",), (b"application/x-www-form-urlencoded",), (b"multipart/form-data",)),
    *(
        (b"application/+json",),
        (b"application/json, text/plain",),
        (b"application/json", b"text/plain"),
        (b"\xff/json",),
    ),
    *((b"application/json;",), (b" application/json ",), (b"text/json",), (b"application/jsonx",), (b"*/*",)),
)
JSON: tuple[bytes, ...] = (b"application/json",)
FORM: tuple[bytes, ...] = (b"application/x-www-form-urlencoded",)
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-be", "utf-32-le")  # all of which Python's JSON takes
OTHERS = ("HEAD", "OPTIONS", "GET", "POST", "PUT", "DELETE", "TRACE", "BREW", "get")


@st.composite
def _texts(draw: st.DrawFn, one: Parameter, *, is_right: bool) -> list[str]:
    """Return the texts that a parameter is sent as; none if it is left out."""
    if is_right or seldom(draw, 3):
        if one.default is not NONE and draw(st.booleans()):
            return []
        values: Sequence[Any] = one.kind.good or one.kind.bad
    else:
        how = draw(st.sampled_from(["bad", "bad", "odd", "none", "twice", "other"]))
        if how == "none":
            return []
        if how == "odd":
            return [draw(st.sampled_from(ODD_TEXTS))]
        if how == "twice":
            return [draw(st.sampled_from(ODD_TEXTS)), *texts_of(draw(st.sampled_from(one.kind.good or one.kind.bad)))]
        if how == "other":
            return [draw(st.text(max_size=5))]
        values = one.kind.bad
    return texts_of(draw(st.sampled_from(values)))


def _quoted(text: str, *, plus: bool) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return (quote_plus(raw) if plus else quote(raw, safe="")).encode()


@st.composite
def _fields(draw: st.DrawFn, one: Parameter, *, is_right: bool) -> list[tuple[str, str]]:
    """Return the names and texts that a parameter is sent as."""
    if not one.kind.fields:
        return [(one.sent_as, text) for text in draw(_texts(one, is_right=is_right))]
    value: dict[str, Any] = draw(st.sampled_from(one.kind.good if is_right else one.kind.bad))
    return [(name, text) for name, item in value.items() for text in texts_of(item)]


@st.composite
def _path(draw: st.DrawFn, endpoint: Endpoint, *, is_right: bool) -> bytes:
    path = (f"/c{endpoint.path}" if endpoint.controller else endpoint.path).encode()
    for one in endpoint.parameters:
        if one.where == "path":
            texts = draw(_texts(one, is_right=is_right)) or [""]
            value = texts[0] or ("" if not is_right else "5")  # an empty one is another path
            if is_right and not one.converter:
                value = value.replace("/", "-")
            text = quote(value.encode("utf-8", "surrogatepass"), safe="/" if one.converter == ":path" else "").encode()
            if not is_right and seldom(draw, 4):
                text = draw(st.sampled_from(ODD_PATHS))
            path = path.replace(f"{{{one.sent_as}{one.converter}}}".encode(), text)
    path = quote(path, safe="/%;+=").encode()
    if seldom(draw, 25):
        path = draw(st.sampled_from([path + b"/", path.rstrip(b"/"), path + b"/x", b"/" + path, path.upper()]))
    return path


@st.composite
def _query(draw: st.DrawFn, endpoint: Endpoint, *, is_right: bool) -> bytes:
    pairs = []
    for one in endpoint.parameters:
        if one.where == "query":
            for name, text in draw(_fields(one, is_right=is_right)):
                value = _quoted(text, plus=draw(st.booleans()))
                if not is_right and seldom(draw, 5):
                    value = draw(st.sampled_from(ODD_QUERIES))
                pairs.append(_quoted(name, plus=True) + b"=" + value)
    if seldom(draw, 5):
        pairs.append(draw(st.sampled_from([b"extra=1", b"extra=-1", b"x", b"=", b"", b"%ff=1", b"none=5", b"page=3"])))
    if seldom(draw, 5):
        pairs.reverse()
    return draw(st.sampled_from([b"&", b"&", b"&", b"&", b";", b"&&"])).join(pairs)


@st.composite
def _cookies(draw: st.DrawFn, endpoint: Endpoint, *, is_right: bool) -> Headers:
    cookies = [
        name.encode() + b"=" + text.encode("latin-1", "replace")
        for one in endpoint.parameters
        if one.where == "cookie"
        for name, text in draw(_fields(one, is_right=is_right))
    ]
    if seldom(draw, 8):
        cookies.insert(0, draw(st.sampled_from(ODD_COOKIES)))
    if cookies and seldom(draw, 8):
        return [(b"cookie", one) for one in cookies]
    between = draw(st.sampled_from([b"; ", b"; ", b";", b", "]))
    return [(b"cookie", between.join(cookies))] if cookies else []


@st.composite
def _headers(draw: st.DrawFn, endpoint: Endpoint, *, is_right: bool) -> Headers:
    found: Headers = []
    for one in endpoint.parameters:
        if one.where == "header":
            for name, text in draw(_fields(one, is_right=is_right)):
                value = text.encode("latin-1", "replace").replace(b"\0", b"")
                if not is_right and seldom(draw, 4):
                    value = draw(st.sampled_from(ODD_HEADERS))
                found.append((name.lower().encode(), value))
    found += draw(_cookies(endpoint, is_right=is_right))
    if seldom(draw, 6):
        more = [(b"x-pass", b"no"), (b"authorization", b"Bearer x"), (b"extra", b"x"), (b"accept", b"text/html")]
        found.append(draw(st.sampled_from(more)))
    return found


@st.composite
def _value(draw: st.DrawFn, one: Parameter, *, is_right: bool) -> bytes:
    if is_right and one.kind.good:
        return json_of(draw(st.sampled_from(one.kind.good)))
    if one.kind.bad and seldom(draw, 2):
        return json_of(draw(st.sampled_from(one.kind.bad)))
    return draw(st.sampled_from(ODD_JSON))


@st.composite
def _json(draw: st.DrawFn, endpoint: Endpoint, *, is_right: bool) -> bytes:
    bodies = [one for one in endpoint.parameters if one.where == "body"]
    if not bodies:
        return draw(st.sampled_from([b"", b"", b"{}", b"{"]))
    if not is_right and seldom(draw, 4):
        return draw(st.sampled_from(ODD_BODIES))
    if not endpoint.embeds:
        return draw(_value(bodies[0], is_right=is_right))
    members = [
        json.dumps(one.sent_as).encode() + b":" + draw(_value(one, is_right=is_right))
        for one in bodies
        if is_right or not seldom(draw, 4)
    ]
    return b"{" + b", ".join(members) + b"}"


@st.composite
def _form(draw: st.DrawFn, endpoint: Endpoint, *, is_right: bool) -> bytes:
    fields = [one for one in endpoint.parameters if one.where == "form"]
    pairs = [(name, text) for one in fields for name, text in draw(_fields(one, is_right=is_right))]
    return b"&".join(name.encode() + b"=" + _quoted(text, plus=True) for name, text in pairs)


@st.composite
def _parts(draw: st.DrawFn, body: bytes) -> tuple[bytes, ...]:
    if not body:
        return draw(st.sampled_from([(), (b"",)]))
    if seldom(draw, 6):
        middle = len(body) // 2
        return draw(
            st.sampled_from([(body[:middle], body[middle:]), (b"", body), (body, b""), (body[:1], b"", body[1:])])
        )
    return (body,)


@st.composite
def requests(draw: st.DrawFn, endpoint: Endpoint) -> Sent:
    """Make one to an endpoint; most of them fit."""
    is_right = draw(st.sampled_from([True, True, False]))
    wrong = "" if is_right else draw(st.sampled_from(["path", "query", "headers", "body", "body", "type", "all"]))

    def fits(part: str) -> bool:
        return wrong not in (part, "all")

    method = draw(st.sampled_from(OTHERS)) if seldom(draw, 25) else endpoint.method
    target = draw(_path(endpoint, is_right=fits("path")))
    query = draw(_query(endpoint, is_right=fits("query")))
    headers = draw(_headers(endpoint, is_right=fits("headers")))
    if endpoint.more == "form":
        body, kind = draw(_form(endpoint, is_right=fits("body"))), FORM
    else:
        body, kind = draw(_json(endpoint, is_right=fits("body"))), JSON
    if not fits("type"):
        kind = draw(st.sampled_from(TYPES))
    if body or seldom(draw, 4):
        headers += [(b"content-type", one) for one in kind]
    if not fits("body") and seldom(draw, 3):
        body = body.decode("utf-8", "replace").encode(draw(st.sampled_from(ENCODINGS)))
    if query or seldom(draw, 20):
        target += b"?" + query
    return Sent(method, target, tuple(headers), draw(_parts(body)))
