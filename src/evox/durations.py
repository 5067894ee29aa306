"""Durations: every place that takes one takes seconds, ``"90s"``, ``"1h30m"`` or a ``timedelta``.

One function turns all of them into seconds (float). It knows nothing of where the value came from; the caller adds the
option's name and place to the error.
"""

import math
import re
from datetime import timedelta
from typing import TypeAlias

__all__ = ["Duration", "seconds"]

Duration: TypeAlias = float | str | timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*", re.ASCII)


def seconds(value: Duration) -> float:
    """Convert a duration to seconds.

    Args:
        value: Seconds as a number, text such as ``"250ms"``, ``"90s"``, ``"15m"``, ``"1h30m"``, ``"7d"``, or a
            ``timedelta``.

    Returns:
        Seconds, finite and not negative.

    Raises:
        ValueError: if the value is not a duration, is negative or is not finite. The message says which and what is
            accepted.
    """
    if isinstance(value, timedelta):
        result = value.total_seconds()
    elif isinstance(value, str):
        result = _parse(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        result = _finite(value)
    else:
        raise ValueError(f"{value!r} is not a duration; {_ACCEPTED}")  # noqa: TRY004  one error for all bad values
    if not math.isfinite(result) or result < 0:
        raise ValueError(f"{value!r} is not a duration of zero or more seconds; {_ACCEPTED}")
    return result


_ACCEPTED = 'write seconds (90, 0.5), "250ms", "90s", "15m", "1h", "7d", or a timedelta'


def _finite(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond any float
        return math.inf


def _parse(text: str) -> float:
    total, position = 0.0, 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            break
        total += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    if position == 0 or position < len(text):
        raise ValueError(f"{text!r} is not a duration; {_ACCEPTED}")
    return total
