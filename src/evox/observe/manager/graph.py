"""Graph: who calls whom, laid out in columns: a service stands right of those that call it. Pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from evox.observe.forms import Snapshot
from evox.observe.rules import Level

__all__ = ["Drawing", "Edge", "draw", "edges_of"]

BOX: Final = 170
ROW, COLUMN, MARGIN = 74, 270, 24
MOST: Final = 60  # services in a drawing; the table has all
LONGEST: Final = 20  # characters of a name in its box
LINES: Final = 500  # of callers and targets; those with the most calls


@dataclass(slots=True)
class Edge:
    """Calls of one service to another, all processes together. ``state`` is the worst of their breakers."""

    caller: str
    target: str
    kind: str
    calls: int = 0
    failed: int = 0
    retries: int = 0
    state: str = "closed"
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Node:
    name: str
    shown: str
    level: Level
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class _Line:
    path: str
    head: str
    x: float
    y: float
    calls: int
    state: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn, in the units of its own ``width`` and ``height``."""

    width: int
    height: int
    box: int
    nodes: tuple[_Node, ...]
    edges: tuple[_Line, ...]


def edges_of(snapshots: Iterable[Snapshot]) -> list[Edge]:
    """Return who calls whom, in order of names; the ``LINES`` with the most calls."""
    found: dict[tuple[str, str, str], Edge] = {}
    for snapshot in snapshots:
        for line in snapshot.proxy.lines:
            for caller, count in line.callers.items():
                edge = found.setdefault((caller, line.service, line.kind), Edge(caller, line.service, line.kind))
                edge.calls += count
                edge.failed += line.failed
                edge.retries += line.retries
                if line.breaker.state != "closed":
                    edge.state, edge.why = line.breaker.state, line.breaker.why
    most = sorted(found.values(), key=lambda one: -one.calls)[:LINES]
    return sorted(most, key=lambda one: (one.caller, one.target, one.kind))


def draw(levels: Mapping[str, Level], edges: Iterable[Edge]) -> Drawing:
    """Lay the services out.

    Args:
        levels: How each service is doing; those that are only called are added as fine.
        edges: Who calls whom.
    """
    calls: dict[tuple[str, str], tuple[int, str]] = {}
    for edge in edges:
        count, state = calls.get((edge.caller, edge.target), (0, "closed"))
        calls[edge.caller, edge.target] = count + edge.calls, edge.state if edge.state != "closed" else state
    names = list(dict.fromkeys([*levels, *(name for pair in calls for name in pair)]))[:MOST]
    calls = {pair: seen for pair, seen in calls.items() if pair[0] in names and pair[1] in names}
    columns = _columns(names, calls)
    spots: dict[str, tuple[int, int]] = {}
    for column in range(max(columns.values(), default=0) + 1):
        for row, name in enumerate(one for one in names if columns[one] == column):
            spots[name] = (MARGIN + column * COLUMN, MARGIN + row * ROW)
    nodes = tuple(_Node(name, _short(name), levels.get(name, "pass"), *spots[name]) for name in names)
    lines = tuple(
        _line(spots[caller], spots[target], count, state) for (caller, target), (count, state) in calls.items()
    )
    width = max((x for x, _ in spots.values()), default=0) + BOX + 3 * MARGIN
    height = max((y for _, y in spots.values()), default=0) + 40 + 2 * MARGIN
    return Drawing(width, height, BOX, nodes, lines)


def _columns(names: list[str], calls: Mapping[tuple[str, str], object]) -> dict[str, int]:
    """Return the column of each service: one right of the farthest that calls it. Circles are cut where they close."""
    columns = dict.fromkeys(names, 0)
    for _ in range(len(names)):
        moved = False
        for caller, target in calls:
            if caller != target:
                wanted = columns[caller] + 1
                if columns[target] < wanted < min(len(names), 6):
                    columns[target], moved = wanted, True
        if not moved:
            break
    return columns


def _line(start: tuple[int, int], end: tuple[int, int], calls: int, state: str) -> _Line:
    (x1, y1), (x2, y2) = start, end
    if x2 > x1:
        x1, y1, y2, bend = x1 + BOX, y1 + 20, y2 + 20, (x2 - x1 - BOX) / 2
        path = f"M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2 - 6},{y2}"
        return _Line(path, f"M{x2},{y2} l-9,-5 v10 z", (x1 + x2) / 2, (y1 + y2) / 2 - 6, calls, state)
    x1, x2, y1, y2 = x1 + BOX, x2 + BOX, y1 + 14, y2 + 26  # to the left, or to itself: round the right side
    far = max(x1, x2) + 40
    path = f"M{x1},{y1} C{far},{y1} {far},{y2} {x2 + 6},{y2}"
    return _Line(path, f"M{x2},{y2} l9,-5 v10 z", far - 12, (y1 + y2) / 2 - 4, calls, state)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
