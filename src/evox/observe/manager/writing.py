"""Writing: the templates, with everything escaped, and how numbers, spans and times are written for people."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["PAGES", "write"]

PAGES: Final = (
    ("/", "Services"),
    ("/queues", "Queues"),
    ("/calls", "Calls"),
    ("/data", "Data"),
    ("/tasks", "Tasks"),
    ("/graph", "Graph"),
    ("/errors", "Errors"),
)


def write(template: str, facts: Mapping[str, Any]) -> str:
    """Return a page, or a part of one."""
    return _environment.get_template(template).render(facts)


def number(value: float) -> str:
    """Write a count: ``12,345``."""
    return f"{value:,.0f}"


def rate(value: float) -> str:
    """Write how many a second."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def took(seconds: float) -> str:
    """Write a short duration: ``1.5 ms``."""
    if seconds < 1e-3:
        return "0" if seconds <= 0 else f"{seconds * 1e6:.0f} µs"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def span(seconds: float) -> str:
    """Write a long duration: ``2 h 5 min``."""
    left = max(0.0, seconds)
    for unit, size, below, smaller in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if left >= size:
            rest = int(left % size // smaller)
            return f"{left // size:.0f} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{left:.0f} s" if left >= 1 or left == 0 else took(left)


def size(count: float) -> str:
    """Write bytes: ``3.5 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB"


def clock(when: float) -> str:
    """Write a time of day in UTC; a date too if it is not of the last hours. What no calendar has is ``?``."""
    try:
        moment = datetime.fromtimestamp(when, UTC)
    except (OverflowError, ValueError, OSError):
        return "?"
    is_far = abs((datetime.now(UTC) - moment).total_seconds()) > 43_200
    return f"{moment:%Y-%m-%d %H:%M:%S}" if is_far else f"{moment:%H:%M:%S}"


_environment: Final = Environment(
    loader=PackageLoader("evox.observe.manager"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_environment.filters |= {one.__name__: one for one in (number, rate, took, span, size, clock)}
