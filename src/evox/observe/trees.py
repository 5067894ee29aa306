"""Trees: the tasks of a process as they are read from its answer, within bounds of number, depth and text."""

from dataclasses import dataclass
from typing import Any, Final

from evox.observe.asking import CannotSee
from evox.observe.legible import legible

__all__ = ["Tree", "TreeTask", "read_tree"]

MOST: Final = 1_000
DEPTH: Final = 60
LONGEST: Final = 200  # characters of a name
LARGEST: Final = 2**53  # tasks


@dataclass(frozen=True, slots=True)
class TreeTask:
    """A task, and those that it has started. ``count`` is how many those are, shown or not."""

    name: str
    count: int
    children: tuple["TreeTask", ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """All tasks of a process: how many there are, how many are shown, and the ones that nobody has started."""

    count: int
    shown: int
    roots: tuple[TreeTask, ...]


def read_tree(said: Any) -> Tree:
    """Read the tasks of a process.

    Raises:
        CannotSee: if it is no such thing.
    """
    left = MOST

    def task(one: Any, depth: int) -> TreeTask:
        nonlocal left
        left -= 1
        children = [] if depth >= DEPTH else [task(child, depth + 1) for child in one["children"] if left > 0]
        return TreeTask(legible(one["name"], LONGEST), _count(one["count"]), tuple(children))

    try:
        roots = tuple(task(one, 0) for one in said["roots"] if left > 0)
        return Tree(_count(said["count"]), MOST - left, roots)
    except (TypeError, KeyError, ValueError, RecursionError, OverflowError):
        raise CannotSee("its answer is no tree of tasks") from None


def _count(said: Any) -> int:
    found = int(said)
    if not 0 <= found <= LARGEST:
        raise ValueError
    return found
