"""Wording: times, durations, sizes and counts as people read them, and texts of others as they may stand on a screen.

Times of day are UTC and come with their age. None of it fails, whatever number a process has sent.
"""

from datetime import UTC, datetime
from typing import Final

from evox.observe.rules import Level

__all__ = ["ago", "count", "moment", "plain", "size", "span", "word"]

WORDS: Final[dict[Level, str]] = {"pass": "ok", "warn": "warning", "fail": "failing"}
_STEPS: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
_LARGEST: Final = 999e15  # what is longer is no count of anything


def word(level: Level) -> str:
    """Return a level as a word."""
    return WORDS[level]


def plain(text: str) -> str:
    """Return a text without what would move the cursor, turn text round or break a line."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else " " if one.isspace() else "\N{REPLACEMENT CHARACTER}" for one in text)


def moment(seconds: float | None) -> str:
    """Return a time of day, from wall-clock seconds: ``"2026-01-31 12:00:00 UTC"``."""
    if seconds is None:
        return "never"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "at no time"


def ago(seconds: float | None, now: float) -> str:
    """Return how long ago something was, by one clock: ``"3 min ago"``; if that was set back, ``"in 3 min"``."""
    if seconds is None:
        return "never"
    past = now - seconds
    if abs(past) < 1:
        return "just now"
    return f"{_rough(past)} ago" if past > 0 else f"in {_rough(-past)}"


def span(seconds: float) -> str:
    """Return how long something took: ``"0.4 ms"``, ``"12 ms"``, ``"1.5 s"``, ``"3 min"``."""
    if seconds < 0:
        return "0 ms"
    if seconds < 0.9995:
        shown = seconds * 1000
        if 0 < shown < 0.05:
            return "<0.1 ms"
        return f"{shown:.1f} ms" if 0 < shown < 10 else f"{shown:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else _rough(seconds)


def size(octets: float) -> str:
    """Return a number of bytes: ``"2.4 KiB"``."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(octets) < 1024:
            return f"{octets:.0f} {unit}" if unit == "bytes" else f"{octets:.1f} {unit}"
        octets /= 1024
    return f"{octets:.1f} TiB" if abs(octets) < _LARGEST else "no size"


def count(number: float) -> str:
    """Return a count: ``"999,999"``, ``"1.2 M"``."""
    if abs(number) < 1_000_000:
        return f"{number:,.0f}"
    for unit in ("M", "G", "T"):
        number /= 1000 if unit != "M" else 1_000_000
        if abs(number) < 1000:
            return f"{number:.1f} {unit}"
    return f"{number:.1e} T"


def _rough(seconds: float) -> str:
    """Return a duration in its two largest units."""
    if seconds > _LARGEST:
        return "ages"
    for step, (length, unit) in enumerate(_STEPS):
        if seconds >= length:
            whole, rest = divmod(seconds, length)
            if step + 1 < len(_STEPS) and whole < 10:
                below, name = _STEPS[step + 1]
                if rest >= below and name != "s":
                    return f"{whole:,.0f} {unit} {rest // below:.0f} {name}"
            return f"{whole:,.0f} {unit}"
    return "0 s"
