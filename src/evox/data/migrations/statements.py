"""Statements: a file cut where one statement ends, to know each by its line and to see what it is.

The cut need not be trusted: each piece is sent alone, and both databases refuse a piece that holds two statements or
half of one. So a mistake here is an error of the database, which takes the file back, and never a hidden ``COMMIT``.
"""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

__all__ = ["Statement", "statements_of"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        sql: Its text, from its first word on.
        line: The line of the file on which it begins, from 1.
        bare: Its text in one line, without comments and with ``''`` for what is in quotes.
    """

    sql: str
    line: int
    bare: str = field(repr=False)


Token: TypeAlias = tuple[str, int, int]  # what it is, where it begins, where it ends

_SQLITE: Final = re.compile(
    r"""
    (?P<quoted> '[^']*+(?:''[^']*+)*+(?:'|\Z) | "[^"]*+(?:""[^"]*+)*+(?:"|\Z) | `[^`]*+(?:`|\Z) | \[[^\]]*+(?:\]|\Z) )
    | (?P<comment> --[^\n]*+ | /\*(?:[^*]|\*(?!/))*+(?:\*/|\Z) )
    | (?P<end> ; )
    """,
    re.VERBOSE | re.DOTALL,
)
_POSTGRES: Final = re.compile(
    r"""
    (?P<quoted>
        [eE]'(?:[^'\\]|''|\\.)*+(?:'|\Z)                             # text with escapes, as \' is one
      | '[^']*+(?:''[^']*+)*+(?:'|\Z) | "[^"]*+(?:""[^"]*+)*+(?:"|\Z)
      | (?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?:(?P=tag)|\Z)
    )
    | (?P<comment> --[^\n]*+ )
    | (?P<nested> /\* )                                              # one may hold another
    | (?P<word> [^\W\d][\w$]*+ )
    | (?P<open> \( ) | (?P<close> \) ) | (?P<end> ; )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT: Final = re.compile(r"/\*|\*/")
_BODY: Final = re.compile(r"CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE)\b")


def statements_of(text: str, kind: str) -> list[Statement]:
    """Return the statements of a file. Empty ones are left out; the last may go without a semicolon.

    Args:
        text: What the file holds.
        kind: ``"sqlite"`` or ``"postgresql"``.
    """
    found, start, line = [], 0, 1
    tokens: list[Token] = []
    depth = _Depth()
    for token in _tokens(text, kind):
        tokens.append(token)
        if kind == "sqlite":  # it says itself which semicolon is within a trigger
            inside = token[0] != "end" or not sqlite3.complete_statement(text[start : token[2]])
        else:
            inside = depth.take(token[0], text[token[1] : token[2]])
        if token[0] == "end" and not inside:
            found.append(_made(text, start, token[2], tokens, line))
            line += text.count("\n", start, token[2])  # counted from here on, as a file may have very many
            start, tokens = token[2], []
    found.append(_made(text, start, len(text), tokens, line))
    return [one for one in found if one.bare.strip("; ")]


def _tokens(text: str, kind: str) -> Iterator[Token]:
    pattern = _SQLITE if kind == "sqlite" else _POSTGRES
    found = pattern.search(text)
    while found is not None:
        name, end = str(found.lastgroup), found.end()
        if name == "nested":
            name, end = "comment", _end_of_comment(text, end)
        yield name, found.start(), end
        found = pattern.search(text, end)


def _end_of_comment(text: str, position: int) -> int:
    depth = 1
    while depth:
        found = _COMMENT.search(text, position)
        if found is None:
            return len(text)
        depth += 1 if found[0] == "/*" else -1
        position = found.end()
    return position


class _Depth:
    """How deep a position of PostgreSQL's SQL is: in brackets, or in the body of a function that is written as SQL.

    Counted as psql does.
    """

    def __init__(self) -> None:
        self._words: list[str] = []
        self._brackets = self._blocks = 0

    def take(self, name: str, text: str) -> bool:
        """Go past a token; return whether what follows is within something."""
        if name == "word":
            self._word(text.upper())
        elif name == "open":
            self._brackets += 1
        elif name == "close":
            self._brackets = max(0, self._brackets - 1)
        inside = bool(self._brackets or self._blocks)
        if name == "end" and not inside:
            self._words.clear()
        return inside

    def _word(self, word: str) -> None:
        if len(self._words) < 4:
            self._words.append(word)
        if self._brackets or not _BODY.match(" ".join(self._words)):
            return
        if word == "BEGIN" or (word == "CASE" and self._blocks):
            self._blocks += 1
        elif word == "END":
            self._blocks = max(0, self._blocks - 1)


def _made(text: str, start: int, end: int, tokens: list[Token], line: int) -> Statement:
    parts, position, first = [], start, end
    for name, begins, stops in tokens:
        parts.append(text[position:begins])
        parts.append({"quoted": "''", "comment": " "}.get(name, text[begins:stops]))
        gap = text[position:begins]
        if gap.strip():
            first = min(first, position + len(gap) - len(gap.lstrip()))
        if name != "comment":
            first = min(first, begins)
        position = stops
    rest = text[position:end]
    parts.append(rest)
    if rest.strip():
        first = min(first, position + len(rest) - len(rest.lstrip()))
    return Statement(text[first:end], line + text.count("\n", start, first), " ".join("".join(parts).split()))
