"""JWS: reads a compact token byte by byte as RFC 7515 writes it, and checks its signature with one key.

Nothing here looks at claims. What could be read in two ways is refused: padding, bits at the end of base64url that mean
nothing, members that stand twice, texts that are no UTF-8, numbers without end. So two tokens that are accepted as the
same are the same bytes; only a signature of ECDSA has a mirror image that is as good. The cryptography is PyJWT's; the
algorithm is always the key's own and never the header's.
"""

import binascii
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from evox.auth.keys import Key
from evox.errors import MalformedToken, UnacceptableHeader, UnknownKey, WrongSignature

__all__ = ["NESTING", "TOKEN_BYTES", "Jws", "check_signature", "is_deep", "json_object", "parse_jws", "verify_jws"]

TOKEN_BYTES: Final = 8192
NESTING: Final = 32  # lists and objects, each within the one before
TYPES: Final = ("JWT", "at+jwt")
_MEMBERS: Final = frozenset({"alg", "typ", "kid", "x5t"})
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+)", re.ASCII)
_LAST: Final = {2: "AQgw", 3: "AEIMQUYcgkosw048"}  # characters whose bits past the last whole byte are zero
_URL: Final = bytes.maketrans(b"-_", b"+/")
_PADDING: Final = ("", "", "==", "=")


@dataclass(frozen=True, slots=True)
class Jws:
    """A token in its parts. Nothing of it has been verified."""

    header: Mapping[str, Any]
    payload: bytes = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def kid(self) -> str | None:
        """Which key it says that it was signed with."""
        return self.header.get("kid")


def parse_jws(token: str | bytes, *, types: tuple[str, ...] = TYPES, typed: bool = False) -> Jws:
    """Take a compact token apart.

    Args:
        token: ``header.payload.signature``, at most 8 KiB.
        types: What ``typ`` may be.
        typed: Whether it must be there.

    Raises:
        MalformedToken: if it is no compact JWS, or its header no JSON object.
        UnacceptableHeader: if its header has a member or value that is not accepted.
    """
    if isinstance(token, bytes):
        try:
            token = token.decode("ascii")
        except UnicodeDecodeError:
            raise MalformedToken("it has bytes that are not ASCII") from None
    if not isinstance(token, str):
        raise MalformedToken("it is no text")
    if len(token) > TOKEN_BYTES:
        raise MalformedToken(f"it is longer than {TOKEN_BYTES} bytes")
    found = _COMPACT.fullmatch(token)
    if found is None:
        raise MalformedToken("it is not three parts of base64url with a point between them")
    header = json_object(_decode(found[1]), "header")
    _check_header(header, types, typed=typed)
    payload = _decode(found[2]) if found[2] else b""
    return Jws(header, payload, token[: found.end(2)].encode("ascii"), _decode(found[3]))


def verify_jws(token: str | bytes, key: Key | Mapping[str, Any]) -> bytes:
    """Check the signature of a token and return its payload. Claims are not looked at.

    Args:
        token: ``header.payload.signature``.
        key: A ``Key`` or a JWK. It decides the algorithm.

    Raises:
        TokenRefused: if it is not written as a token is, is for another key or algorithm, or was changed.
        UnusableKey: if the JWK cannot be used.
    """
    jws = parse_jws(token)
    own = key if isinstance(key, Key) else Key.from_jwk(key)
    if jws.kid is not None and own.kid is not None and jws.kid != own.kid:
        raise UnknownKey(jws.kid)
    check_signature(jws, own)
    return jws.payload


def check_signature(jws: Jws, key: Key) -> None:
    """Check the signature of a token with the key that it names.

    Raises:
        UnacceptableHeader: if the header speaks of another algorithm than the key is for.
        WrongSignature: if it is not the key's over these bytes.
    """
    algorithm = jws.header["alg"]
    if algorithm != key.algorithm:
        raise UnacceptableHeader(f"its algorithm is {algorithm[:64]!r}, and the key is for {key.algorithm}")
    if not key.verify(jws.signed, jws.signature):
        raise WrongSignature


def json_object(data: bytes, part: str, *, deepest: int = NESTING) -> dict[str, Any]:
    """Read a JSON object in which every member stands once.

    Args:
        data: UTF-8.
        part: What it is, for the message.
        deepest: How many lists and objects may lie within each other.

    Raises:
        MalformedToken: if it is none.
    """
    try:
        text = data.decode("utf-8")
        found = _strict.decode(text)
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        why = str(error) if type(error) is _Twice else "is no JSON in UTF-8"
        raise MalformedToken(f"its {part} {why}") from None
    if not isinstance(found, dict):
        raise MalformedToken(f"its {part} is no JSON object")
    if data.count(b"{") + data.count(b"[") > deepest and is_deep(found, deepest):
        raise MalformedToken(f"its {part} is nested more than {deepest} deep")
    return found


def is_deep(value: Mapping[str, Any], deepest: int = NESTING) -> bool:
    """Whether more than so many lists and objects lie within each other; ``value`` is the first of them."""
    level: list[Any] = [value]
    for _ in range(deepest):
        inner = (one for outer in level for one in (outer.values() if isinstance(outer, Mapping) else outer))
        level = [one for one in inner if isinstance(one, Mapping | list | tuple)]
    return bool(level)


def _check_header(header: Mapping[str, Any], types: tuple[str, ...], *, typed: bool) -> None:
    if not _MEMBERS.issuperset(header):
        other = next(name for name in header if name not in _MEMBERS)
        raise UnacceptableHeader(f"it has the member {other[:64]!r}")
    if not (isinstance(header.get("alg"), str) and header["alg"]):
        raise UnacceptableHeader("its alg is missing or no text")
    if ("typ" in header or typed) and header.get("typ") not in types:
        raise UnacceptableHeader(f"its typ is not {' or '.join(types)}")
    if "kid" in header and not (isinstance(header["kid"], str) and header["kid"]):
        raise UnacceptableHeader("its kid is no text")


def _decode(part: str) -> bytes:
    rest = len(part) % 4
    if rest == 1 or (rest and part[-1] not in _LAST[rest]):
        raise MalformedToken("it has base64url that ends in the middle of a byte")
    return binascii.a2b_base64(part.encode("ascii").translate(_URL) + _PADDING[rest].encode())


class _Twice(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice("has a member that stands twice")
    return found


def _constant(name: str) -> Any:
    raise ValueError(name)


def _float(text: str) -> float:
    found = float(text)
    if math.isinf(found):
        raise ValueError(text)  # some read it as infinite, and others not at all
    return found


_strict: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
