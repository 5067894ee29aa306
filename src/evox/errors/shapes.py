"""Shapes: what secrets look like in a text, and which names say that what follows is one. Called by ``masking``.

A password stands as its owner wrote it, unquoted ``@`` and blanks included, so rather too much is taken out than too
little. All of it takes a time that grows as the text does, no faster: what is shown may hold what a client has sent.
"""

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final

__all__ = ["is_secret_name", "without_shapes"]

_STEMS: Final = ("pass", "pwd", "secret", "token", "key", "credential", "authorization", "cookie", "jwt")
_SECRET: Final = re.compile(
    r".*(?:passwords?|passwd|passphrases?|passcode|pwd|secrets?|credentials?|authorization|cookies?|jwts?|tokens?"
    r"|apikeys?|privatekey|secretkey|accesskey)"
)
_OF_KEYS: Final = re.compile("access|account|api|auth|encryption|hmac|master|private|secret|session|shared|signing|ssh")
# A name that ends so is about a secret: what kind it has, where it is, how long it lives.
_ABOUT: Final = re.compile(
    "age|algorithm|at|audience|bucket|class|counts?|dir|enabled|endpoint|errors?|expire[ds]|expiry|field|files?|folder"
    "|format|header|ids?|in|issuer|kind|left|length|lifetime|limits?|max|min|model|names?|param|path|policy|provider"
    "|rate|required|scheme|scopes?|service|size|source|state|status|store|ttl|total|types?|ur[il]|usage|used|valid"
    "|version"
)
_COUNTED: Final = re.compile("completion|input|max|min|num|output|prompt|reasoning|total")
_HEADERS: Final = ("authorization", "cookie")  # their values go on to the end of the line
_HARMLESS: Final = re.compile(  # what stands behind a name in code, in prose, and in what tells people what to write
    r"(?i)\*\*\*|any|bool|bytes|false|float|int|none|null|object|optional|self|str|true|undefined|\.\.\.|tokens?"
    r"|(?:bearer )?token|secret(?:bytes|str)"
    r"|an?|and|expected|field|has|in|input|invalid|is|it|its|missing|must|no|not|of|or|required|the|this|value|was"
    r"|what|where|which|with|wrong"
)


_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_QUOTED: Final = re.compile(r"""(['"])\w[\w+.-]{0,30}://(?:(?!\1)[^\n]){1,300}""")
_WITH_USER: Final = re.compile(r"(?<!\S)[^\s:]*+:[^\s@]*+@\S*+")
_BEGINS: Final = re.compile(r"""\w://|\w:/?[^/@:'"]+:(?!/)""")
_DONE: Final = re.compile(r"[^/@:]*:?\*\*\*")
_PARAMETER: Final = re.compile(
    r"""(?i)([?&][^=&?\s'"]{0,30}(?:pass(?:word|wd|phrase)?|pwd|secret|token|key|credentials?)[^=&?\s'"]{0,30}=)"""
    r"""[^&\s'"]+"""
)
_DOTTED: Final = re.compile(r"(?a)(?<![\w-])[\w-]++(?:\.[\w-]*+)++")
_BEARER: Final = re.compile(
    r"""(?a)((?i:bearer|evox-internal)[ \t]{1,9})"""
    r"""(?!(?i:auth\w*|credentials?|header|realm|scheme|tokens?|\.\.\.|and|for|in|is|of|or|to|was|with)(?![\w./+~=-]))"""
    r"""(?![\w-]+=["\w])[\w.~+/-]++=*+"""
)
_BASIC: Final = re.compile(r"(?a)((?i:basic)[ \t]{1,9})(?=[a-zA-Z]?[a-z]*+[A-Z0-9+/=])[A-Za-z0-9+/_-]{4,}+=*+")
_PEM: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
)
_NAMED: Final = re.compile(
    r"""(?a)(?<![\w-])(?P<name>[\w-]{2,80}+)(?P<quote>\\{0,4}["'])?+"""
    r"""(?:[ \t]{0,9}+(?P<sign>=(?!=)>?|:(?!//|:)=?)|(?P<comma>,))[ \t]{0,9}+"""
)
_STOP: Final = re.compile(r"""\\++|[\s,;&()\[\]{}"']""")
_OUTER: Final = re.compile(r"""\\{0,4}["'](?:[\s,;)\]}]|$)""")
_LISTED: Final = re.compile(r"""[;,](?:[\s"'}\])]|$|[\w.-]{1,60}[=:])""")


def without_shapes(text: str) -> str:
    """Return a text without what looks like a secret, or stands behind the name of one."""
    low = text.lower()
    if "-----begin" in low:
        text = _PEM.sub("***", text)
    if "@" in text and ":" in text:
        if "://" in text:
            text = _QUOTED.sub(_without_userinfo, text)  # a blank in a password ends no URL within quotes
        text = _WITH_USER.sub(_without_userinfo, text)
    if "eyj" in low:
        text = _DOTTED.sub(_without_token, text)
    if "bearer" in low or "evox-internal" in low:
        text = _BEARER.sub(r"\1***", text)
    if "basic" in low:
        text = _BASIC.sub(r"\1***", text)
    if "=" not in low and ":" not in low and "'," not in low and '",' not in low:
        return text
    if any(stem in low for stem in _STEMS):
        text = _PARAMETER.sub(r"\1***", text) if "=" in text else text
        text = _without_named(text)
    return text


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a name says that what it stands for is a secret: ``db_password``, ``apiKey`` or ``Set-Cookie``.

    ``token_type``, ``tokens_total`` and ``password_file`` are about one, and no secrets themselves.
    """
    words = [word.lower() for word in _WORDS.findall(name[:200])]
    if not words or _ABOUT.fullmatch(words[-1]) or (words[-1] == "tokens" and _COUNTED.fullmatch(words[0])):
        return False
    if words[-1] == "pass" or any(map(_SECRET.fullmatch, words)):
        return True
    return any(second in ("key", "keys") and _OF_KEYS.fullmatch(first) for first, second in pairwise(words))


def _without_userinfo(found: re.Match[str]) -> str:
    word = found[0]  # looked through by hand: an expression that does it takes the square of a long word's time
    end = word.rfind("@")
    begins = _BEGINS.search(word, 0, end) if end > 0 else None
    if begins is None or _DONE.fullmatch(word, begins.end(), end):
        return word
    return f"{word[: begins.end()]}***{word[end:]}"


def _without_token(found: re.Match[str]) -> str:
    """A JWT begins as any JSON does in base64; of a chain of names with dots, all from there on is taken out."""
    chain = found[0]
    begin = chain.find("eyJ")
    return chain if begin < 0 or chain.find(".", begin) < 0 else f"{chain[:begin]}***"


def _without_named(text: str) -> str:
    parts: list[str] = []
    done = at = 0
    while (found := _NAMED.search(text, at)) is not None:
        at = found.end()
        if not _is_naming(text, found):
            at = max(found.end("name"), at - 1)
            continue
        end = _end_of_value(text, found)
        if end > found.end() and _HARMLESS.fullmatch(text, found.end(), end) is None:
            parts += [text[done : found.end()], "***"]
            done = at = end
    return "".join([*parts, text[done:]]) if parts else text


def _is_naming(text: str, found: re.Match[str]) -> bool:
    """A comma names nothing but in pairs: the headers of a request, and ``("password", "...")``."""
    name = found["name"]
    is_escape = name[0] in "nrt" and text.startswith("\\", found.start() - 1)  # in a repr, of a line feed before it
    if not (is_secret_name(name) or (is_escape and is_secret_name(name[1:]))):
        return False
    if found["comma"] is None:
        return True
    if found["quote"] is None:
        return False
    begin = text[max(0, found.start() - 6) : found.start()].rstrip("\\\"'").lower()
    return name.lower().endswith(_HEADERS) or begin.endswith(("(", "(b"))


def _end_of_value(text: str, found: re.Match[str]) -> int:
    """Return where a value ends: at the end of what is quoted or in brackets, else at a blank or a comma."""
    begin = found.end()
    is_quoted = text[begin : begin + 3].lstrip("\\bB").startswith(('"', "'"))
    if found["quote"] is None and not is_quoted and found["name"].lower().endswith(_HEADERS):
        return _end_of_line(text, begin)
    at, depth, is_whole = begin, 0, False
    while (stop := _STOP.search(text, at)) is not None:
        at, sign = stop.start(), stop[0][0]
        if sign in "\"'\\":
            closed = _closed(text, at)
            if not depth and (closed is None if is_whole else at - begin > 2 and _OUTER.match(text, at) is not None):
                return at  # it is that of a text in which name and value stand
            is_whole = is_whole or (closed is not None and at - begin < 3)
            at = closed if closed is not None else stop.end()
        elif sign in "([{":
            depth, at = depth + 1, at + 1
        elif sign in ")]}":
            if not depth:
                return at
            depth, at = depth - 1, at + 1
        elif (depth and sign != "\n") or (sign in ",;" and not is_whole and _LISTED.match(text, at) is None):
            at += 1
        else:
            return at if not depth else _end_of_line(text, at)
    return len(text)


def _closed(text: str, at: int) -> int | None:
    """Return where what is quoted from here on has ended; None if it begins with no quote or has no end in its line."""
    begin = at
    while at < len(text) and text[at] == "\\":
        at += 1
    if at >= len(text) or text[at] not in "\"'":
        return None
    mark = text[begin : at + 1]
    limit = _end_of_line(text, at)
    triple = text[at] * 3
    if mark == triple[0] and text.startswith(triple, at):
        end = text.find(triple, at + 3)
        return None if end < 0 else end + 3
    end = text.find(mark, at + 1, limit)
    while end > 0 and _is_escaped(text, end):
        end = text.find(mark, end + 1, limit)
    return None if end < 0 else end + len(mark)


def _is_escaped(text: str, at: int) -> bool:
    slashes = 0
    while text[at - 1 - slashes] == "\\":
        slashes += 1
    return slashes % 2 == 1


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
