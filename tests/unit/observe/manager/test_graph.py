"""Graph: whatever calls whatever, a drawing of bounded size comes of it, and every box and line is in it."""

import re
from itertools import pairwise

import pytest
from tests.unit.observe.manager.snapshots import line, snap

from evox.observe.manager.graph import LINES, LONGEST, MOST, Drawing, Edge, draw, edges_of
from evox.observe.rules import Level


def edge(caller: str, target: str, calls: int = 1, state: str = "closed") -> Edge:
    return Edge(caller, target, "local", calls, state=state)


def columns(drawing: Drawing) -> dict[str, int]:
    return {node.name: node.x for node in drawing.nodes}


def is_within(drawing: Drawing) -> bool:
    numbers = [one.path for one in drawing.edges] + [one.head for one in drawing.edges]
    spots = [
        tuple(map(float, spot)) for text in numbers for spot in re.findall(r"(?<!l)(?<!l-)\b([\d.]+),([\d.]+)", text)
    ]
    boxes = [(node.x + drawing.box, node.y + 40) for node in drawing.nodes]
    return all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in [*spots, *boxes])


def test_nothing_is_an_empty_drawing() -> None:
    drawing = draw({}, [])
    assert (drawing.nodes, drawing.edges) == ((), ())


def test_a_service_stands_right_of_those_that_call_it() -> None:
    found = columns(draw({}, [edge("web", "orders"), edge("orders", "users"), edge("web", "users")]))
    assert found["web"] < found["orders"] < found["users"]


@pytest.mark.parametrize("length", [1, 2, 3, 40])
def test_a_circle_is_drawn_and_ends(length: int) -> None:
    names = [f"s{number}" for number in range(length)]
    drawing = draw({}, [edge(one, two) for one, two in [*pairwise(names), (names[-1], names[0])]])
    assert (len(drawing.nodes), len(drawing.edges)) == (length, length)
    assert is_within(drawing)


def test_a_service_that_calls_itself_has_a_line_round_its_side() -> None:
    drawing = draw({"a": "pass"}, [edge("a", "a", 7)])
    (one,) = drawing.edges
    assert one.calls == 7
    assert is_within(drawing)


def test_everybody_calling_everybody_is_drawn() -> None:
    names = [f"s{number}" for number in range(30)]
    drawing = draw({}, [edge(one, two) for one in names for two in names])
    assert len(drawing.edges) == 900
    assert is_within(drawing)


def test_of_500_services_the_first_are_drawn_and_nothing_points_at_what_is_not() -> None:
    levels: dict[str, Level] = {f"s{number}": "pass" for number in range(500)}
    drawing = draw(levels, [edge(f"s{number}", f"s{number + 1}") for number in range(499)])
    assert len(drawing.nodes) == MOST
    assert len(drawing.edges) == MOST - 1
    assert is_within(drawing)


def test_a_long_name_is_cut_in_its_box_and_whole_beside_it() -> None:
    (node,) = draw({"x" * 500: "pass"}, []).nodes
    assert (len(node.shown), len(node.name)) == (LONGEST, 500)


def test_levels_and_open_breakers_are_seen() -> None:
    drawing = draw({"a": "fail"}, [edge("a", "b"), edge("a", "b", state="open"), edge("a", "b")])
    assert [(node.name, node.level) for node in drawing.nodes] == [("a", "fail"), ("b", "pass")]
    assert [(one.state, one.calls) for one in drawing.edges] == [("open", 3)]


def test_calls_of_all_processes_are_one_edge_with_the_worst_breaker() -> None:
    one = snap("one", proxy={"lines": [line("users", {"orders": 3, "web": 1})]})
    two = snap("two", proxy={"lines": [line("users", {"orders": 4}, state="open")]})
    edges = edges_of([one, two])
    assert [(found.caller, found.calls, found.state) for found in edges] == [
        ("orders", 7, "open"),
        ("web", 1, "closed"),
    ]
    assert edges[0].why == "it failed"


def test_of_very_many_callers_those_with_the_most_calls_are_listed() -> None:
    """A process that tells of a million callers made a page of a million rows."""
    lines = [line(f"t{number}", {f"c{caller}": caller for caller in range(900)}) for number in range(20)]
    edges = edges_of([snap(proxy={"lines": lines})])
    assert len(edges) == LINES
    assert min(found.calls for found in edges) == 900 - LINES / 20
    assert edges == sorted(edges, key=lambda found: (found.caller, found.target))
