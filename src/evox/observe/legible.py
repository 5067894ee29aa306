"""Legible: text of another process as it may be shown: cut to size, and without what a reader would not see.

Characters that change the direction of what stands beside them, that have no width, or that control a terminal are
replaced: a name could look like another one. So are halves of characters, which no page can be encoded with.
"""

import re
from typing import Any, Final

__all__ = ["TEXT", "legible"]

TEXT: Final = 2_000  # characters
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
    "|[\ud800-\udfff]"
)


def legible(value: Any, longest: int = TEXT) -> str:
    """Return a value as text that may be shown.

    Args:
        value: Of any type.
        longest: Characters.

    Raises:
        RecursionError: if it is nested too deeply to be written.
    """
    text = value if isinstance(value, str) else str(value)
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text[:longest])
