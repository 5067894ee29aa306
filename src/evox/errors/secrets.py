"""Secrets: what is taken out of every text before it is shown. Called by errors, by failures and by log formatters.

A password stands as its owner wrote it, unquoted ``@`` and blanks included, so rather too much is taken out than too
little. It knows no backends; how a URL that is one is named is decided in ``config``.
"""

import re
from typing import Final

__all__ = ["masked", "masked_line", "masked_value"]

# Repetitions are bounded, as what is shown may hold what a client has sent.
_NAMES: Final = r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|(?:api|access|private|secret)_?key|credentials?)"
_QUOTED: Final = re.compile(r"""(['"])\w[\w+.-]{0,30}://(?:(?!\1)[^\n]){1,300}""")
_WORD: Final = re.compile(r"\S+")
_BEGINS: Final = re.compile(r"""\w://|\w:/?[^/@:'"]+:(?!/)""")
_DONE: Final = re.compile(r"[^/@:]*:?\*\*\*")
_PARAMETER: Final = re.compile(rf"""(?i)([?&][^=&?\s'"]{{0,30}}(?:{_NAMES}|key)[^=&?\s'"]{{0,30}}=)[^&\s'"]+""")
_ASSIGNED: Final = re.compile(
    rf"""(?i)((?:^|[\s,{{(.])["']?[\w-]{{0,30}}{_NAMES}["']?\s{{0,9}}=(?!=)\s{{0,9}})("[^"]*"|'[^']*'|[^\s,}})]+)"""
)
_KEYS: Final = re.compile(  # options named like keys hold names of files; whoever errs there may have put a key itself
    r"""(?i)^(\s*(?:[\w."'-]{1,60}\s*=\s*\{.{0,200}?\b)?[\w."'-]{0,60}?keys?["']?\s*=\s*)"""
    r"""(?:["'\[{].*|(?=\S*\d)[\w+/=-]{16,}\s*$)"""
)
_ODD_PORT: Final = re.compile(r"""(://[^/@\s'"\[]{0,300}:)(?!\*\*\*)(?!\d*(?:[/,?#'"\s]|$))[^/\s'"]+""")
_ANY_PARAMETER: Final = re.compile(r"""([?&][\w.-]{1,60}=)[^&\s'"]+""")


def masked(text: str) -> str:
    """Return a text of any kind without the secrets of the URLs in it."""
    if "@" in text:
        if "://" in text:
            text = _QUOTED.sub(_without_userinfo, text)  # a blank in a password ends no URL within quotes
        text = _WORD.sub(_without_userinfo, text)
    return _PARAMETER.sub(r"\1***", text) if "=" in text else text


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


def _without_userinfo(found: re.Match[str]) -> str:
    word = found[0]  # looked through by hand: an expression that does it takes the square of a long word's time
    end = word.rfind("@")
    begins = _BEGINS.search(word, 0, end) if end > 0 else None
    if begins is None or _DONE.fullmatch(word, begins.end(), end):
        return word
    return f"{word[: begins.end()]}***{word[end:]}"
