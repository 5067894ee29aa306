"""Placeholders: ``?`` and ``:name`` as PostgreSQL's driver wants them.

Only what stands in the statement itself counts: not what is in quotes, in comments or in a ``::cast``. PostgreSQL's own
operators with a question mark are written ``??``.
"""

import re
from functools import lru_cache
from typing import Final

__all__ = ["translated"]

_TOKEN: Final = re.compile(
    r"""
    '(?:[^']|'')*' | "(?:[^"]|"")*"                    # text and names in quotes
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$                  # text in dollars
    | --[^\n]* | /\*.*?\*/                             # comments
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
