"""Mutations: what becomes of good tokens when characters, bytes or whole parts of them are changed."""

import base64
from collections.abc import Callable
from typing import Final, overload

from hypothesis import strategies as st

__all__ = ["mutations", "written"]

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ALIKE: Final = {"A": "\u0391", "a": "\u0430", "e": "\u0435", "o": "\u043e", ".": "\uff0e", "-": "\u2010", "_": "\uff3f"}
ODD: Final = (
    "",
    " ",
    "\n",
    "\r\n",
    "\t",
    "\0",
    ".",
    "..",
    "=",
    "==",
    "%3D",
    "+",
    "/",
    ",",
    "\ufeff",
    "\u200b",
    "\ud800",
)


@overload
def written(value: bytes) -> str: ...
@overload
def written(value: str) -> bytes: ...
def written(value: bytes | str) -> str | bytes:
    """Return bytes as base64url, or base64url as bytes."""
    if isinstance(value, bytes):
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def _characters(draw: st.DrawFn, token: str) -> str:
    """Replace, insert, delete or double a few characters."""
    at = draw(st.integers(0, len(token)))
    length = draw(st.integers(0, 4))
    put = draw(st.sampled_from([*LETTERS, *ODD]) | st.text(max_size=3))
    how = draw(st.sampled_from(["replace", "insert", "delete", "double", "case", "alike", "all"]))
    before, piece, after = token[:at], token[at : at + length], token[at + length :]
    if how == "all":
        return draw(st.sampled_from([token.upper(), token.lower(), token.swapcase(), token[::-1], token * 2]))
    if how == "alike":
        return before + "".join(ALIKE.get(one, one) for one in piece) + after
    middle = {"replace": put, "insert": put + piece, "delete": "", "double": piece * 2, "case": piece.swapcase()}
    return before + middle[how] + after


def _bits(draw: st.DrawFn, token: str) -> str:
    """Change one bit of a part's bytes."""
    parts = token.split(".")
    which = draw(st.integers(0, len(parts) - 1))
    try:
        data = bytearray(written(parts[which]))
    except ValueError:
        return token
    if data:
        bit = draw(st.integers(0, len(data) * 8 - 1))
        data[bit // 8] ^= 1 << bit % 8
    parts[which] = written(bytes(data))
    return ".".join(parts)


def _writing(draw: st.DrawFn, token: str) -> str:
    """Write a part's bytes in another way."""
    parts = token.split(".")
    which = draw(st.integers(0, len(parts) - 1))
    part = parts[which]
    ways: list[Callable[[], str]] = [
        lambda: part + "=" * (-len(part) % 4),
        lambda: part + "=",
        lambda: part.replace("-", "+").replace("_", "/"),
        lambda: part[:-1] + draw(st.sampled_from(LETTERS)),
        lambda: part + draw(st.sampled_from(LETTERS)),
        lambda: part + "A" * draw(st.integers(1, 4)),
        lambda: written(part.encode("utf-8", "replace")),
        lambda: f"{part[:4]}\n{part[4:]}",
    ]
    parts[which] = draw(st.sampled_from(ways))()
    return ".".join(parts)


def _parts(draw: st.DrawFn, token: str, other: str) -> str:
    """Put parts of another good token into this one, or put its own in another order."""
    parts, others = token.split("."), other.split(".")
    if draw(st.booleans()):
        return ".".join(draw(st.permutations(parts)))
    which = draw(st.lists(st.integers(0, min(len(parts), len(others)) - 1), min_size=1, max_size=2, unique=True))
    for one in which:
        parts[one] = others[one]
    return ".".join(parts)


@st.composite
def mutations(draw: st.DrawFn, good: tuple[str, str]) -> str:
    """Return one of two good tokens after one to three changes. They may undo each other.

    Args:
        good: The tokens.
    """
    which = draw(st.integers(0, 1))
    token, other = good[which], good[1 - which]
    for _ in range(draw(st.integers(1, 3))):
        how = draw(st.sampled_from(["characters", "characters", "bits", "writing", "parts", "around"]))
        if how == "characters":
            token = _characters(draw, token)
        elif how == "bits":
            token = _bits(draw, token)
        elif how == "writing":
            token = _writing(draw, token)
        elif how == "parts":
            token = _parts(draw, token, other)
        else:
            token = draw(st.sampled_from(ODD)) + token + draw(st.sampled_from([*ODD, other, f".{other}"]))
    return token
