"""Placeholders: ``?`` and ``:name`` as PostgreSQL's driver wants them.

Only what stands in the statement itself counts: not what is in quotes, in comments or in a ``::cast``. PostgreSQL's own
operators with a question mark are written ``??``. Every ``%`` is doubled, which the driver undoes only if it is given
values: let them be none rather than None.
"""

import re
from functools import lru_cache
from typing import Final

__all__ = ["translated"]

_TOKEN: Final = re.compile(
    r"""
    (?<![\w$])[eE]'(?:[^'\\]|''|\\.)*'                 # text with escapes, as \' is one
    | '(?:[^']|'')*' | "(?:[^"]|"")*"                  # text and names in quotes
    | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$    # text in dollars
    | --[^\n]*                                         # comments, of which one may hold another
    | /\*(?:[^*/]|\*(?!/)|/(?!\*)|/\*(?:[^*]|\*(?!/))*\*/)*\*/
    | ::                                               # a cast
    | (?P<operator>\?\?)
    | (?P<place>\?)
    | :(?P<name>[A-Za-z_]\w*)
    | (?P<percent>%)
    """,
    re.VERBOSE | re.DOTALL,
)


@lru_cache(maxsize=512)
def translated(sql: str) -> str:
    """Return a statement with ``%s`` and ``%(name)s`` for ``?`` and ``:name``."""
    return _TOKEN.sub(_written, sql)


def _written(found: re.Match[str]) -> str:
    if found["place"]:
        return "%s"
    if found["operator"]:
        return "?"
    if found["name"]:
        return f"%({found['name']})s"
    return found[0].replace("%", "%%")
