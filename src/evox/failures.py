"""Failures as people read them: exception groups flattened to their causes, and only the user's own frames.

Used wherever an error is shown: the console of ``evox run``, log entries, test failures. Passwords in URLs are taken
out, of the lines too. It decides nothing about what happens after an error.
"""

import linecache
import os
import site
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from evox.errors import EvoxError, Place
from evox.errors.secrets import masked, masked_line
from evox.errors.words import words_of

__all__ = ["causes", "describe", "facts_of", "root_cause", "user_frames", "user_line"]

MAX_LINES: Final = 25
MAX_MESSAGE: Final = 8
LONGEST_LINE: Final = 2_000  # characters
_CONTROLS: Final = {one: f"\\x{one:02x}" for one in (*range(32), *range(127, 160)) if one != ord("\t")}
_PACKAGE = str(Path(__file__).parent)
_FOREIGN = tuple(
    {
        *(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        *(folder + os.sep for folder in site.getsitepackages()),
        _PACKAGE + os.sep,
        "<frozen",
    }
)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the leaf errors of an exception group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from causes(inner)
    else:
        yield error


def root_cause(error: BaseException) -> BaseException:
    """Return the one error that explains a group: its first leaf that is an ordinary ``Exception``."""
    leaves = list(causes(error))
    return next((leaf for leaf in leaves if isinstance(leaf, Exception)), leaves[0])


def user_frames(error: BaseException) -> list[Place]:
    """Return the user's own lines in an error's traceback, outermost first; libraries and Evox itself are left out."""
    frames = [Place(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append(Place(error.filename, error.lineno or 0))
    return [place for place in frames if not place.file.startswith(_FOREIGN)]


def user_line(*past: str) -> Place | None:
    """Return the line that called a declaration, if it is the user's.

    Args:
        *past: Names of the modules that the declaration is made of.
    """
    frame = sys._getframe(1)  # noqa: SLF001  the documented way to the calling frames
    while frame.f_globals.get("__name__") in past and frame.f_back is not None:
        frame = frame.f_back
    place = Place(frame.f_code.co_filename, frame.f_lineno)
    return None if place.file.startswith(_FOREIGN) else place


def facts_of(error: BaseException) -> dict[str, Any]:
    """Return what ``describe`` writes as fields, for machines: of a group, those of the cause that explains it."""
    cause = root_cause(error)
    if not isinstance(cause, EvoxError):
        return {"type": type(cause).__name__, "what": masked(words_of(cause)), "at": [*map(str, user_frames(cause))]}
    facts = {"id": cause.id, "type": type(cause).__name__, "what": cause.what, "why": cause.why, "fix": cause.fix}
    return {**facts, "at": [*map(str, _frames(cause))]}


def describe(error: BaseException, *, trace: bool = False) -> str:
    """Write an error on one screen.

    Args:
        error: Any error; a group is flattened to its causes.
        trace: Whether to add the whole Python traceback.

    Returns:
        At most 25 lines without ``trace``: id, what, why, fix, and the user's own lines.
    """
    blocks = [_block(leaf) for leaf in _distinct(error)]
    lines = [line for block in blocks for text in (*block, "") for line in (text.splitlines() or [""])][:-1]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], f"... {len(lines) - MAX_LINES + 1} more lines, shown with --trace"]
    if trace:
        whole = masked("".join(traceback.format_exception(error)).rstrip())  # a key takes several lines
        lines += ["", *map(masked_line, whole.splitlines())]
    return "\n".join(map(_harmless, lines))


def _harmless(line: str) -> str:
    """Return a line that moves no cursor and has an end: what an error says may come from anywhere."""
    shown = line if line.isprintable() else line.translate(_CONTROLS)
    return shown if len(shown) <= LONGEST_LINE else f"{shown[:LONGEST_LINE]}... ({len(shown)} characters)"


def _distinct(error: BaseException) -> list[BaseException]:
    seen: dict[tuple[type, str], BaseException] = {}
    for leaf in causes(error):
        seen.setdefault((type(leaf), words_of(leaf)), leaf)
    return list(seen.values())


def _block(error: BaseException) -> list[str]:
    if isinstance(error, EvoxError):
        lines = [f"error {error.id}: {error.what}"]
        lines += [f"  why  {_short_text(error.why)}"] if error.why else []
        lines += [f"  fix  {error.fix}"] if error.fix else []
    else:
        lines = [f"error: {type(error).__name__}: {_short_text(masked(words_of(error)))}"]
    for place in _frames(error)[-4:]:
        source = masked_line(_source_of(place))
        lines.append(f"  at   {_short(place)}" + (f"    {source}" if source else ""))
    return lines


def _source_of(place: Place) -> str:
    """Return the line of a place; empty where none is meant, or it is no file: a device may have no end."""
    if place.line < 1 or not (place.file.startswith("<") or Path(place.file).is_file()):
        return ""
    return linecache.getline(place.file, place.line).strip()


def _frames(error: BaseException) -> list[Place]:
    """Return the user's lines that explain an error; of one of ours its cause's, the one to change, or the callers'."""
    if not isinstance(error, EvoxError):
        return user_frames(error)
    frames = user_frames(error.__cause__) if error.__cause__ is not None else []
    return frames or ([error.place] if error.place else user_frames(error))


def _short_text(text: str) -> str:
    """Keep a message to a few lines: what matters stands first, and the fix below it must stay in sight."""
    lines = text.strip().splitlines()
    more = len(lines) - MAX_MESSAGE
    return "\n       ".join(
        [*lines[:MAX_MESSAGE], *([f"... {more} more lines, shown with --trace"] if more > 0 else [])]
    )


def _short(place: Place) -> str:
    try:
        return str(Place(str(Path(place.file).relative_to(Path.cwd())), place.line))
    except ValueError:
        return str(place)
