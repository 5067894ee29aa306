"""SQLite errors: what SQLite and the file system say, as errors of ours that say what to do.

What goes wrong while a file is opened is mostly for whoever configured it; what goes wrong later mostly passes.
"""

import errno
import sqlite3
from pathlib import Path
from typing import Final

from evox.errors import BackendRefused, BackendUnavailable, CapacityExceeded, EvoxError, WriteOutcomeUnknown

__all__ = ["LOCKED", "cannot_open", "explain", "is_locked"]

LOCKED: Final = "another process, or a transaction of this one, has locked it"
_NO_ROOM: Final = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")  # that is the file that processes share beside it
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM, errno.EROFS)


def explain(error: sqlite3.Error, name: str, *, unknown: bool = False) -> EvoxError:
    """Return the error of ours that an error of SQLite is.

    Args:
        error: SQLite's.
        name: The backend, as it may be shown.
        unknown: Whether it came from a commit, which may have been done or not.
    """
    code = _code(error)
    if code in _NO_ROOM:
        return _no_room(name)
    if is_locked(error):
        return BackendUnavailable(name, LOCKED)
    if unknown:
        return WriteOutcomeUnknown(name, "what was being written", f"{error} ({code})")
    return BackendUnavailable(name, f"{error} ({code})" if code else str(error))


def is_locked(error: sqlite3.Error) -> bool:
    """Whether it fails only for as long as another process holds the file."""
    return _code(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def cannot_open(error: sqlite3.Error | OSError, name: str, path: Path) -> EvoxError:
    """Return the error of ours for a file that cannot be opened, or in which the tables cannot be made.

    Args:
        error: SQLite's, or that of the file system.
        name: The backend, as it may be shown.
        path: The file.
    """
    code = _code(error) if isinstance(error, sqlite3.Error) else ""
    number = error.errno if isinstance(error, OSError) else None
    if code in _NO_ROOM or number in _FULL:
        return _no_room(name)
    if isinstance(error, sqlite3.Error) and is_locked(error):
        return BackendUnavailable(name, LOCKED)
    why, fix = _refusal(error, code, number, path)
    return BackendRefused(name, why, fix=fix)


def _refusal(error: Exception, code: str, number: int | None, path: Path) -> tuple[str, str]:
    """Return why, and what to do; nothing to do is known of what is not expected."""
    above = next((one for one in path.parents if one.exists()), path.parent)
    if path.is_dir():
        return "it is a folder", "name a file in it: sqlite:///folder/file.db"
    if not above.is_dir():
        return f"{above} is a file, and no folder", "name a file in a folder"
    if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        fix = "name another file, or put back a copy of this one; it was left as it is"
        return f"it is no database of SQLite, or damaged ({error})", fix
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")) or number in _FORBIDDEN:
        fix = "let this user write the file and its folder, as SQLite puts files of its own beside it, or name another"
        return f"{path if path.exists() else above} cannot be written ({error})", fix
    return (f"{error} ({code})" if code else str(error)), ""


def _no_room(name: str) -> CapacityExceeded:
    fix = "make room on its disk; what was stored before is unharmed"
    return CapacityExceeded(name, "the disk, or the file's own limit, is full", fix=fix)


def _code(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", "")
