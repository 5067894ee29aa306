"""Encoding: a call's arguments as a request would bring them, whichever way the call goes.

The callee sees the same texts and the same JSON in one process and across machines, so they are validated to the same
values, and no object is shared. What a request cannot carry, such as a line feed in a header, is refused here.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx2
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python
from starlette.routing import compile_path

from evox.errors import InvalidCall
from evox.services.operations import Argument, Operation
from evox.services.unsent import Misnamed, SecretFound, may_be_unsent, unsent

__all__ = ["ALWAYS", "Encoder", "Wire"]

JSON: Final = "application/json"
ALWAYS: Final = MappingProxyType(
    {"accept": "application/json, */*;q=0.5", "accept-encoding": "identity", "user-agent": "evox"}
)
LONGEST: Final = 60_000  # bytes of a path and query: what a client can send at all
_LONG: Final = LONGEST // 12  # characters that may become so many: four bytes each, of three characters each
_PART: Final = re.compile(r"{([^{}:]+)(?::([^{}]*))?}")
SHORT: Final = 1000  # characters
_SAFE: Final = re.compile(r"[A-Za-z0-9_-]{1,1000}")
_HEADER: Final = re.compile(r"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_COOKIE: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")  # RFC 6265, section 4.1.1
_OURS: Final = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "idempotency-key",
        "te",
        "trailer",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "upgrade",
        "x-evox-deadline",
        "x-evox-priority",
    }
)
_LISTS: Final = (list, tuple, set, frozenset, deque)


class Wire:
    """What a request brings.

    Args:
        template: Knows the path.

    Attributes:
        values: What stands in its placeholders, unquoted.
        query: Names and values, unquoted.
        headers: Names in lower case, and values.
        body: The body; None without one.
        media: Its content type.
        is_short: Whether it is so little that no limit is near.
    """

    body: bytes | None = None
    media: str | None = None
    is_short: bool = True

    def __init__(self, template: "Encoder") -> None:
        self._template = template
        self.values: dict[str, str] = {}
        self.query: list[tuple[str, str]] = []
        self.headers: list[tuple[str, str]] = []

    def __repr__(self) -> str:
        return f"<Wire to {self.target}>"

    @property
    def path(self) -> str:
        """The path, quoted."""
        return self._template.quoted(self.values)

    @property
    def target(self) -> str:
        """Path and query, as the first line of a request has them."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    def all_headers(self) -> list[tuple[str, str]]:
        """Return what a call within the process brings along: its own, and what all others have too."""
        given = {name for name, _ in self.headers}
        always = [(name, value) for name, value in ALWAYS.items() if name not in given]
        return [("host", "localhost"), *always, *self.headers]


class Encoder:
    """Encodes the arguments of one operation.

    Args:
        service: The service's name, for errors.
        operation: The operation.
    """

    def __init__(self, service: str, operation: Operation) -> None:
        self._called = f"{service}.{operation.name}"
        self._operation = operation
        self._names = {one.name: one for one in operation.arguments}
        self._positional = [one for one in operation.arguments if not one.by_name]
        self._required = [one for one in operation.arguments if one.required]
        pieces = _PART.split(operation.path)  # literal, name, convertor, literal, ...
        self._literals = pieces[::3]
        self._places = list(zip(pieces[1::3], pieces[2::3], strict=True))
        is_long = any(convertor == "path" for _, convertor in self._places)
        self._pattern = compile_path(operation.path)[0] if is_long else None  # a value with a / may reach into the next

    def __repr__(self) -> str:
        return f"<Encoder of {self._called}>"

    def encode(self, args: Sequence[Any], named: Mapping[str, Any]) -> Wire:
        """Return what a request with these arguments brings.

        Raises:
            InvalidCall: if they are not what the operation takes, or cannot be sent.
        """
        wire = Wire(self)
        if self._operation.anything:
            return wire
        given = self._bound(args, named)
        body: dict[str, Any] = {}
        rest: list[tuple[Argument, Any]] = []
        for argument, value in given:
            where = argument.where
            if where == "path":
                wire.values[argument.alias] = self._text(argument, value)
            elif where == "query":
                wire.query += self._pairs(argument, value)
            elif where == "body":
                body[argument.alias] = value
            else:
                rest.append((argument, value))
        if self._places:
            self._check_path(wire)
        if body or rest or wire.query or not wire.is_short:
            self._put_more(wire, body, rest)
        return wire

    def _put_more(self, wire: Wire, body: dict[str, Any], rest: list[tuple[Argument, Any]]) -> None:
        wire.is_short = False
        self._check_length(wire)
        if body:
            self._put_body(wire, body)
        if rest:
            self._put_rest(wire, rest)

    def _put_rest(self, wire: Wire, given: list[tuple[Argument, Any]]) -> None:
        """Put headers, cookies and the fields of forms where they belong."""
        cookies: list[str] = []
        form: list[tuple[Argument, Any]] = []
        for argument, value in given:
            if argument.where == "header":
                wire.headers += [self._header(argument, *pair) for pair in self._pairs(argument, value)]
            elif argument.where == "cookie":
                cookies += [self._cookie(argument, *pair) for pair in self._pairs(argument, value)]
            elif value is not None:
                form.append((argument, value))
        if cookies:
            wire.headers.append(("cookie", "; ".join(cookies)))
        if form:
            self._put_form(wire, form)

    def plain(self, values: Mapping[str, str]) -> str:
        """Return the path with values in it, unquoted."""
        parts = [self._literals[0]]
        for (name, _), literal in zip(self._places, self._literals[1:], strict=True):
            parts += [values[name], literal]
        return "".join(parts)

    def _bound(self, args: Sequence[Any], named: Mapping[str, Any]) -> list[tuple[Argument, Any]]:
        """Match arguments to what the operation takes, as Python does for a function."""
        if len(args) > len(self._positional):
            takes = ", ".join(one.name for one in self._positional) or "no arguments"
            raise self._invalid(f"it takes {takes}, and {len(args)} were given by position")
        given = list(zip(self._positional, args, strict=False))
        if not named and len(given) == len(self._names):
            return given
        if named:
            taken = {one.name for one, _ in given}
            for name, value in named.items():
                argument = self._names.get(name)
                if argument is None:
                    takes = ", ".join(self._names) or "nothing"
                    raise self._invalid(f"it does not take {name!r}; it takes {takes}")
                if name in taken:
                    raise self._invalid(f"{name!r} was given twice")
                given.append((argument, value))
        if len(given) < len(self._names):
            there = {one.name for one, _ in given}
            missing = [one.name for one in self._required if one.name not in there]
            if missing:
                raise self._invalid(
                    f"{' and '.join(map(repr, missing))} {'is' if len(missing) == 1 else 'are'} missing"
                )
        return given

    def quoted(self, values: Mapping[str, str]) -> str:
        """Return the path with values in it, as a request has it."""
        parts = [quote(self._literals[0])]
        for (name, convertor), literal in zip(self._places, self._literals[1:], strict=True):
            parts += [quote(values[name], safe="/" if convertor == "path" else ""), quote(literal)]
        return "".join(parts)

    def _check_length(self, wire: Wire) -> None:
        long = sum(map(len, wire.values.values())) + sum(len(text) for _, text in wire.query)
        if long > _LONG and len(wire.target) > LONGEST:
            raise self._invalid(f"its arguments are too long for a URL: more than {LONGEST} bytes")

    def _check_path(self, wire: Wire) -> None:
        """Refuse texts that would lead to another path."""
        for name, convertor in self._places:
            if name not in wire.values:
                raise self._invalid(f"its path has {{{name}}}, which it does not take: {self._operation.path}")
            text = wire.values[name]
            if not _SAFE.fullmatch(text):
                self._check_part(name, convertor, text)
                wire.is_short = wire.is_short and len(text) <= SHORT
        if self._pattern is not None:
            read = self._pattern.match(self.plain(wire.values))
            if read is None or read.groupdict() != wire.values:
                raise self._invalid(f"these values cannot be told apart in {self._operation.path}")

    def _check_part(self, name: str, convertor: str | None, text: str) -> None:
        is_long = convertor == "path"
        if not text and not is_long:
            raise self._invalid(f"{name!r} is empty, and another path would be called")
        if "/" in text and not is_long:
            raise self._invalid(f"{name!r} has a / in it", fix=f"write {{{name}:path}} in the path of the endpoint")
        if {".", ".."}.intersection(text.split("/")):
            raise self._invalid(f"{name!r} is, or has, a part that leads elsewhere: . or ..")

    def _pairs(self, argument: Argument, value: Any) -> list[tuple[str, str]]:
        """Return what is sent of an argument: nothing, one text, or one for each item or field."""
        if argument.fields and isinstance(value, BaseModel | Mapping):
            return self._fields(argument, value)
        if value is None or (argument.many and isinstance(value, _LISTS) and not value):
            if not argument.nothing:
                what = "None" if value is None else "an empty list"
                raise self._invalid(f"{argument.name!r} is {what}, which a {argument.where} cannot say: leave it out")
            return []
        if argument.many and isinstance(value, _LISTS):
            return [(argument.alias, self._text(argument, item)) for item in value]
        return [(argument.alias, self._text(argument, value))]

    def _fields(self, argument: Argument, value: Any) -> list[tuple[str, str]]:
        members = self._members(argument, value)
        pairs: list[tuple[str, str]] = []
        for name, item in members.items():
            sent = name.replace("_", "-") if argument.where == "header" and name not in argument.literal else name
            items = item if isinstance(item, list) else [] if item is None else [item]
            if not items and not may_be_unsent(value, name):
                what = "None" if item is None else "an empty list"
                why = f"{argument.name}.{name} is {what}, which a {argument.where} cannot say: leave it out"
                raise self._invalid(why)
            pairs += [(sent, self._text(argument, one)) for one in items]
        return pairs

    def _members(self, argument: Argument, value: Any) -> dict[str, Any]:
        made: dict[str, Any] = self._made(argument, value, to_jsonable_python)
        return made

    def _text(self, argument: Argument, value: Any) -> str:
        """Return a value as a text, as it stands in a path, a query or a header."""
        try:
            text = self._written(argument, value)
            if not text.isascii():
                text.encode()
        except UnicodeEncodeError:
            raise self._invalid(f"{argument.name!r} has half a character in it") from None
        except ValueError:
            raise self._invalid(f"{argument.name!r} has more digits than Python reads") from None
        return text

    def _written(self, argument: Argument, value: Any) -> str:
        kind = type(value)
        if kind is str or kind is int:
            return str(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, Enum):
            return self._written(argument, value.value)
        if kind is float:
            return repr(value)
        plain = self._made(argument, value, to_jsonable_python)
        if plain is None or isinstance(plain, list | dict):
            raise self._invalid(f"{argument.name!r} is {kind.__name__}, which a {argument.where} cannot carry")
        return ("true" if plain else "false") if isinstance(plain, bool) else str(plain)

    def _header(self, argument: Argument, name: str, text: str) -> tuple[str, str]:
        name = name.lower()
        if name in _OURS:
            raise self._invalid(f"the header {name!r} belongs to the call itself")
        if not _TOKEN.fullmatch(name):
            raise self._invalid(f"no header can be called {name!r}")
        if not _HEADER.fullmatch(text):
            why = (
                f"{argument.name!r} has what no header can carry: line feeds, spaces at an end, or letters beyond latin"
            )
            raise self._invalid(why)
        return name, text

    def _cookie(self, argument: Argument, name: str, text: str) -> str:
        if not _COOKIE.fullmatch(text):
            raise self._invalid(f"{argument.name!r} has what no cookie can carry: spaces, quotes, commas, ; or \\")
        if not name or "=" in name or not _COOKIE.fullmatch(name):
            raise self._invalid(f"no cookie can be called {name!r}")
        return f"{name}={text}"

    def _put_body(self, wire: Wire, body: dict[str, Any]) -> None:
        if self._operation.embed:
            value: Any = body
        else:
            ((_, value),) = body.items()
            if isinstance(value, bytes | bytearray | memoryview):
                if not value:
                    raise self._invalid("its body is empty, which is as if none were given")
                wire.body, wire.media = bytes(value), "application/octet-stream"
                return
            argument = next(one for one in self._operation.arguments if one.where == "body")
            if value is None and argument.nothing:
                return
        argument = next(one for one in self._operation.arguments if one.where == "body")
        wire.body, wire.media = self._made(argument, value, to_json), JSON

    def _put_form(self, wire: Wire, form: list[tuple[Argument, Any]]) -> None:
        """Let httpx write a form as browsers do: multipart if there is a file in it."""
        fields: dict[str, Any] = {}
        files: list[tuple[str, Any]] = []
        for argument, value in form:
            if argument.where == "file":
                files += [(argument.alias, _file(one)) for one in (value if isinstance(value, _LISTS) else [value])]
                continue
            for name, text in self._pairs(argument, value):
                fields.setdefault(name, []).append(text)
        try:
            request = httpx2.Request("POST", "http://form", data=fields, files=files or None)
            wire.body, wire.media = request.read(), request.headers["content-type"]
        except (AttributeError, TypeError) as error:
            names = " or ".join(repr(one.name) for one, _ in form if one.where == "file")
            raise self._invalid(f"{names} is no file: {error}", fix="give bytes, or an UploadFile") from None
        except ValueError:
            raise self._invalid("what it says of a file cannot be sent: its name, or its content type") from None

    def _made(self, argument: Argument, value: Any, make: Callable[..., Any]) -> Any:
        try:
            return make(value, exclude=unsent(value), round_trip=True, by_alias=True)
        except SecretFound:
            why = f"{argument.name!r} holds a secret, which would be sent as stars"
            raise self._invalid(why, fix="give it what get_secret_value() returns, in a dict") from None
        except Misnamed as error:
            why = f"{argument.name!r} has a field {error} that is written under a name by which it is not read"
            raise self._invalid(why, fix="give it one alias for both, or give a dict") from None
        except (PydanticSerializationError, UnicodeError, ValueError) as error:
            raise self._invalid(f"{argument.name!r} is {type(value).__name__}, which cannot be sent: {error}") from None

    def _invalid(self, why: str, *, fix: str = "") -> InvalidCall:
        return InvalidCall(self._called, why, fix=fix)


def _file(value: Any) -> Any:
    """Return a file as httpx takes it: bytes, or what FastAPI calls an upload."""
    if isinstance(value, str):
        return ("upload", value.encode())
    if isinstance(value, bytes | bytearray | memoryview):
        return ("upload", bytes(value))
    if hasattr(value, "file") and hasattr(value, "filename"):
        return (value.filename or "upload", value.file, value.content_type or "application/octet-stream")
    return value
