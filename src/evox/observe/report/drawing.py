"""Drawing: counts as small pictures, in SVG that stands in the page itself.

Colours and sizes are the page's: only classes stand here. What a picture shows is said in words too, for those who do
not see it.
"""

from collections.abc import Sequence
from itertools import zip_longest

from markupsafe import Markup, escape

from evox.observe.report.wording import count, span

__all__ = ["histogram", "proportions"]

WIDTH, GAP, HEIGHT = 9, 2, 30
LENGTH, THICKNESS = 240, 12
SMALLEST = 1.5  # what is there at all is seen


def histogram(counts: Sequence[int], bounds: Sequence[float]) -> Markup:
    """Draw how many fell within each bound; the last has none.

    Args:
        counts: One for each bound, and one for what is above; what is missing is 0.
        bounds: In seconds.
    """
    slots = len(bounds) + 1
    known = [max(0, one) for one, _ in zip_longest(counts[:slots], range(slots), fillvalue=0)]
    most = max(known)
    if not most:
        return Markup()
    names = [*(f"up to {span(one)}" for one in bounds), f"over {span(bounds[-1])}"]
    said = "; ".join(f"{count(one)} {name}" for one, name in zip(known, names, strict=True) if one)
    width = slots * (WIDTH + GAP) - GAP
    bars = Markup().join(
        _bar(slot * (WIDTH + GAP), max(SMALLEST, HEIGHT * one / most), f"{count(one)} {name}")
        for slot, (one, name) in enumerate(zip(known, names, strict=True))
        if one
    )
    return Markup(
        '<svg class="histogram" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">{}'
        '<path class="ground" d="M0 {}H{}"/></svg>'
    ).format(said, width, HEIGHT + 2, width, HEIGHT + 2, bars, HEIGHT + 1, width)


def _bar(left: float, height: float, said: str) -> Markup:
    return Markup('<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}"><title>{}</title></rect>').format(
        left, HEIGHT - height, WIDTH, height, said
    )


def proportions(parts: Sequence[tuple[str, int]]) -> Markup:
    """Draw how a whole is made up, as one bar.

    Args:
        parts: Name and count of each, in the order of the classes ``part-0`` and on.
    """
    whole = sum(max(0, each) for _, each in parts)
    if not whole:
        return Markup()
    said = ", ".join(f"{name} {count(each)}" for name, each in parts)
    pieces, left = [], 0.0
    for place, (name, each) in enumerate(parts):
        width = LENGTH * max(0, each) / whole
        if width > 0:
            piece = Markup('<rect class="part-{}" x="{:.1f}" y="0" width="{:.1f}" height="{}"><title>{}</title></rect>')
            pieces.append(piece.format(place, left, max(0.8, width - 1), THICKNESS, f"{name} {count(each)}"))
        left += width
    return Markup(
        '<svg class="proportions" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">{}</svg>'
    ).format(escape(said), LENGTH, THICKNESS, LENGTH, THICKNESS, Markup().join(pieces))
