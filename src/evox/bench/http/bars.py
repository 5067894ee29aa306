"""Bars: a small SVG of one figure of each contestant, for light and dark pages; it needs nothing from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from evox.bench.http.contestants import OURS
from evox.bench.http.measuring import Table

__all__ = ["Bar", "bars_of", "svg"]

WIDTH: Final = 720
_LABEL: Final = 190
_FIGURE: Final = 80
_ROW: Final = 24
_THICK: Final = 14
_TOP: Final = 30

# Pages show it as an image, which cannot see the colours of the page: it asks the browser, as the page does.
_STYLE: Final = """\
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.ours { fill: #2f6feb }
.other { fill: #8b98a5 }
.range { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #d7dde3 }
  .ours { fill: #6ea1ff }
  .other { fill: #6b7682 }
  .range { stroke: #d7dde3 }
}"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        label: What stands before it.
        value: How long it is.
        low: Where the line of its range begins.
        high: Where it ends.
        ours: Whether it is Evox.
    """

    label: str
    value: float
    low: float
    high: float
    ours: bool


def bars_of(table: Table) -> tuple[str, list[Bar]]:
    """Return what is drawn of a question, and its bars: p99 at fixed rates, else answers a second."""
    found = []
    for row in table.rows:
        if row.failed is not None:
            continue
        ours = row.name.partition("-")[0] == OURS
        if table.question.kind == "open":
            found.append(Bar(row.title, 1000 * row.p99, 1000 * row.p99, 1000 * row.p99, ours))
        else:
            found.append(Bar(row.title, row.rate.median, row.rate.low, row.rate.high, ours))
    unit = {"open": "p99 in ms, shorter is better", "events": "events/s"}.get(table.question.kind, "requests/s")
    return f"{table.title}: {unit}", found


def svg(title: str, bars: Sequence[Bar]) -> str:
    """Return an image of bars, one below the other.

    Args:
        title: What is measured.
        bars: From top to bottom.
    """
    height = _TOP + _ROW * len(bars) + 6
    longest = max((bar.high for bar in bars), default=0.0) or 1.0
    scale = (WIDTH - _LABEL - _FIGURE) / longest
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH}" height="{height}"',
        f'viewBox="0 0 {WIDTH} {height}">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_STYLE}\n</style>",
        f'<text class="title" x="4" y="18">{escape(title)}</text>',
    ]
    for number, bar in enumerate(bars):
        top = _TOP + _ROW * number
        middle = top + _THICK / 2
        kind = "ours" if bar.ours else "other"
        end = _LABEL + max(bar.value, bar.high) * scale
        lines += [
            f'<text x="{_LABEL - 8}" y="{middle + 4:g}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect class="{kind}" x="{_LABEL}" y="{top}" width="{bar.value * scale:.1f}" height="{_THICK}"/>',
            f'<text x="{end + 8:.1f}" y="{middle + 4:g}">{_figure(bar.value)}</text>',
        ]
        if bar.high > bar.low:
            low, high = _LABEL + bar.low * scale, _LABEL + bar.high * scale
            lines.append(f'<line class="range" x1="{low:.1f}" y1="{middle:g}" x2="{high:.1f}" y2="{middle:g}"/>')
    return "\n".join([*lines, "</svg>", ""])


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
