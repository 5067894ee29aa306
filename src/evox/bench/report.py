"""Report: what was measured, as a table for people."""

from collections.abc import Mapping, Sequence

from evox.bench.cost import Cost
from evox.bench.simulation import Tally
from evox.scheduling import Priority

__all__ = ["cost_rows", "table", "tally_cells", "tally_head"]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows under their head; the first column to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def tally_head() -> list[str]:
    """Return the head of the columns that ``tally_cells`` fills."""
    return [f"{level.name} {what}" for level in Priority for what in ("ok %", "p50", "p99")]


def tally_cells(tallies: Mapping[Priority, Tally]) -> list[str]:
    """Return success in per cent, median and 99th percentile in milliseconds, for each level."""
    cells = []
    for level in Priority:
        one = tallies[level]
        cells += [f"{100 * one.success:.1f}", *(_milliseconds(one.percentile(share)) for share in (0.5, 0.99))]
    return cells


def _milliseconds(seconds: float) -> str:
    return "-" if seconds != seconds else f"{1000 * seconds:.0f}"  # noqa: PLR0124  nothing was answered


def cost_rows(costs: Sequence[Cost]) -> list[list[str]]:
    """Return a row for each cost, and the head."""
    return [
        ["one acquire and release", "us", "ratio"],
        *([c.name, f"{c.microseconds:.2f}", f"{c.ratio:.2f}"] for c in costs),
    ]
