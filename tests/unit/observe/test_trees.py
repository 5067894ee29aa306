"""Trees: the tasks that a process tells of, within bounds, and one sentence for what is none."""

from typing import Any

import pytest

from evox.observe.asking import CannotSee
from evox.observe.manager.writing import write
from evox.observe.trees import DEPTH, LONGEST, MOST, read_tree


def node(name: Any = "task", *children: Any, count: Any = None) -> dict[str, Any]:
    return {"name": name, "count": len(children) if count is None else count, "children": list(children)}


def tree(*roots: Any, count: Any = 1) -> dict[str, Any]:
    return {"count": count, "roots": list(roots)}


def test_a_tree_is_read_as_it_is() -> None:
    read = read_tree(tree(node("main", node("a"), node("b", count=7)), count=10))
    assert (read.count, read.shown) == (10, 3)
    (root,) = read.roots
    assert [(one.name, one.count) for one in root.children] == [("a", 0), ("b", 7)]


def test_a_deep_tree_is_cut_and_its_page_can_be_written() -> None:
    deep = node()
    for _ in range(400):
        deep = node("task", deep)
    read = read_tree(tree(deep))
    assert read.shown == DEPTH + 1
    page = write("tasks.html.j2", {"instances": []})
    assert "No process" in page


def test_a_wide_tree_is_cut() -> None:
    assert read_tree(tree(node("main", *[node()] * 5_000))).shown == MOST
    assert read_tree(tree(*[node()] * 5_000)).shown == MOST


def test_names_are_cut_and_what_nobody_would_see_is_replaced() -> None:
    read = read_tree(tree(node("x" * 2_000_000), node("a\u202eb\ud800"), node(None), node(["<b>"])))
    first, *others = [one.name for one in read.roots]
    assert len(first) == LONGEST
    assert others == ["a\ufffdb\ufffd", "None", "['<b>']"]


@pytest.mark.parametrize(
    "said",
    [
        None,
        7,
        "tree",
        [],
        {},
        {"count": 1},
        {"count": 1, "roots": 7},
        {"count": 1, "roots": {"a": 1}},
        {"count": "many", "roots": []},
        {"count": None, "roots": []},
        {"count": -1, "roots": []},
        {"count": 10**400, "roots": []},
        {"count": float("inf"), "roots": []},
        {"count": float("nan"), "roots": []},
        tree("task"),
        tree([]),
        tree({}),
        tree({"name": "a", "count": 0, "children": 7}),
        tree({"name": "a", "count": 0, "children": "abc"}),
        tree(node(count="x")),
    ],
    ids=range(20),
)
def test_what_is_no_tree_is_one_sentence(said: Any) -> None:
    with pytest.raises(CannotSee, match="no tree of tasks"):
        read_tree(said)
