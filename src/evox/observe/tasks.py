"""Tasks: all tasks of the process as the tree that they are. Names say what each is for: ``svc:users/bg:tidy``."""

from collections import defaultdict
from functools import lru_cache
from typing import Any, Final

import anyio

from evox.observe.incidents import shortened

__all__ = ["shown_name", "task_tree"]

MOST: Final = 1_000
LONGEST: Final = 200  # characters of a name
DEPTH: Final = 50


def task_tree(most: int = MOST) -> dict[str, Any]:
    """Return the running tasks.

    Args:
        most: How many are listed; connections are many, and come last.

    Returns:
        ``count`` of all, ``shown`` of them, and ``roots``, each with ``name``, ``count`` of the tasks below it and
        ``children``.
    """
    tasks = anyio.get_running_tasks()
    known = {task.id for task in tasks}
    below: dict[int | None, list[Any]] = defaultdict(list)
    for task in sorted(tasks, key=lambda one: ((one.name or "").endswith("/connection"), one.name or "")):
        below[task.parent_id if task.parent_id in known else None].append(task)
    left = most

    def node(task: Any, depth: int) -> dict[str, Any]:
        nonlocal left
        left -= 1
        children = below.get(task.id, [])
        shown = []
        for child in children:
            if left <= 0 or depth >= DEPTH:
                break
            shown.append(node(child, depth + 1))
        return {"name": shown_name(task.name or "?"), "count": len(children), "children": shown}

    roots = [node(task, 0) for task in below[None] if left > 0]
    return {"count": len(tasks), "shown": most - left, "roots": roots}


@lru_cache(maxsize=MOST)
def shown_name(name: str) -> str:
    """Return a name of a task or job as it may be shown; whoever starts one may write anything into it."""
    return shortened(name)[:LONGEST]
