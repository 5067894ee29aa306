"""Masking: what is taken out of every text before it is shown. Called through ``secrets``.

Secrets are known by how they look, by their names, and by themselves, where somebody has said that they are some. It
knows no backends; how a URL that is one is named is decided in ``config``.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from evox.errors.shapes import without_shapes

__all__ = ["LONGEST", "MASK", "masked", "masked_line", "masked_value", "remember", "remembering"]

LONGEST: Final = 65_536  # characters of a text that are shown
MASK: Final = "***"
SHORTEST: Final = 8  # characters of a secret that is known by itself: a shorter one may be part of any word
KEPT: Final = 128
_WORDS: Final = frozenset({"authorization", "credentials", "passphrase", "password", "postgres", "postgresql"})
_MARGIN: Final = 4096  # looked through beyond what is shown, so that no secret is cut in two
_ASSIGNED: Final = re.compile(
    r"""(?i)((?:^|[\s,{(.])["']?[\w-]{0,30}"""
    r"""(?:pass(?:word|wd|phrase)?|pwd|secret|token|(?:api|access|private|secret)_?key|credentials?)["']?"""
    r"""\s{0,9}=(?!=)\s{0,9})("[^"]*"|'[^']*'|[^\s,}})]+)"""
)
_KEYS: Final = re.compile(  # options named like keys hold names of files; whoever errs there may have put a key itself
    r"""(?i)^(\s*(?:[\w."'-]{1,60}\s*=\s*\{.{0,200}?\b)?[\w."'-]{0,60}?keys?["']?\s*=\s*)"""
    r"""(?:["'\[{].*|(?=\S*\d)[\w+/=-]{16,}\s*$)"""
)
_ODD_PORT: Final = re.compile(r"""(://[^/@\s'"\[]{0,300}:)(?!\*\*\*)(?!\d*(?:[/,?#'"\s]|$))[^/\s'"]+""")
_ANY_PARAMETER: Final = re.compile(r"""([?&][\w.-]{1,60}=)[^&\s'"]+""")


class _Known:
    """Exact values that are secrets, in every form in which a text may hold them."""

    def __init__(self) -> None:
        self.values: dict[str, None] = {}
        self.forms: tuple[str, ...] = ()  # longer ones first, as one may be part of another

    def __repr__(self) -> str:
        return f"<{len(self.values)} secrets>"

    def add(self, secret: str) -> None:
        self.values.pop(secret, None)
        self.values[secret] = None
        while len(self.values) > KEPT:
            del self.values[next(iter(self.values))]
        self.replace(self.values)

    def replace(self, values: dict[str, None]) -> None:
        self.values = values
        forms = {form for value in values for form in _forms(value)}
        self.forms = tuple(sorted(forms, key=len, reverse=True))


_KNOWN: Final = _Known()


def remember(secret: str | bytes) -> None:
    """Let a secret be taken out wherever it appears. Whoever loads one says so.

    The last 128 are remembered. One under 8 characters is not, nor a word such as ``password``, which would be missed
    where it is no secret.

    Args:
        secret: The exact value; bytes that are no UTF-8 are never shown anyway.
    """
    if isinstance(secret, bytes):
        try:
            secret = secret.decode()
        except UnicodeDecodeError:
            return
    secret = secret.strip()
    if len(secret) >= SHORTEST and secret.lower() not in _WORDS:
        _KNOWN.add(secret)


@contextmanager
def remembering() -> Iterator[None]:
    """Forget at the end of a block what was remembered in it: secrets of one test are words of another."""
    before = dict(_KNOWN.values)
    try:
        yield
    finally:
        _KNOWN.replace(before)


def masked(text: str) -> str:
    """Return a text of any kind without the secrets in it: those of URLs, tokens, keys, and what is named like one.

    A text of more than 65,536 characters is cut.
    """
    if len(text) > LONGEST:
        shown = _masked(text[: LONGEST + _MARGIN])
        shown = shown[: max(0, min(LONGEST, len(shown) - _MARGIN))]
        return f"{shown}... {len(text) - LONGEST} more characters"
    return _masked(text)


def masked_value(text: str) -> str:
    """Return what is said of a configured value: without what parameters of a URL hold, and a port that is none.

    There are too many ways to misspell password, and to forget the host after one.
    """
    return masked(_ANY_PARAMETER.sub(r"\1***", _ODD_PORT.sub(r"\1***", text)) if "://" in text else text)


def masked_line(text: str) -> str:
    """Return a line of a file as it may be shown: without what its URLs hide, and options named like a secret.

    Where a URL ends cannot be known in a line that may not even be valid: all up to the last ``@`` is taken out.
    """
    begin, end = text.find("://"), text.rfind("@")
    if 0 <= begin < end:
        text = f"{text[:begin]}://***{text[end:]}"
    return _KEYS.sub(r"\1***", _ASSIGNED.sub(r"\1***", masked_value(text)))


def _masked(text: str) -> str:
    for form in _KNOWN.forms:
        if form in text:
            text = text.replace(form, MASK)
    return without_shapes(text)


def _forms(value: str) -> set[str]:
    """Return how a value is written: as it is, in JSON, and as Python shows it, alone and with quotes round it."""
    written = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
    return {value, *written, repr(value)[1:-1], repr(f'"{value}')[2:-1]}
