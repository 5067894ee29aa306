"""Keeping: a report as a file, for its owner's eyes alone: it holds what goes on inside.

A file that is there is replaced as a whole or not at all.
"""

import os
import tempfile
from pathlib import Path
from typing import Final

from evox.errors import CannotWrite

__all__ = ["keep_for_browser", "write"]

PREFIX: Final = "evox-health-"


def write(file: Path, text: str) -> None:
    """Write a text, so that no reader ever sees half of it.

    Args:
        file: Where to. A link is followed.
        text: What to write.

    Raises:
        CannotWrite: if that is a folder, or cannot be written.
    """
    try:
        target = file.resolve()
        if target.is_dir():
            raise CannotWrite(str(file), "it is a folder")
        if target.exists() and not target.is_file():
            raise CannotWrite(str(file), "it is no ordinary file")
        draft = _drafted(text, target.parent, f".{target.name[:100]}.", ".new")
        try:
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CannotWrite(str(file), reason) from None


def keep_for_browser(text: str) -> Path:
    """Write a text to a new temporary file, which stays, as a browser reads it later.

    Raises:
        CannotWrite: if it cannot be written.
    """
    try:
        return _drafted(text, Path(tempfile.gettempdir()), PREFIX, ".html")
    except OSError as error:
        raise CannotWrite(tempfile.gettempdir(), error.strerror or str(error)) from None


def _drafted(text: str, folder: Path, prefix: str, suffix: str) -> Path:
    """Write a new file of mode 0600 and return it; nothing is left of one that could not be written."""
    handle, name = tempfile.mkstemp(suffix, prefix, folder)
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft
