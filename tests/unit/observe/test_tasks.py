"""The task tree: the tasks of the process as they started each other, within bounds."""

from typing import Any

import anyio

from evox.observe.tasks import task_tree


def names(node: dict[str, Any]) -> list[str]:
    return [node["name"], *(name for child in node["children"] for name in names(child))]


def find(nodes: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for one in nodes:
        if one["name"] == name:
            return one
        try:
            return find(one["children"], name)
        except LookupError:
            continue
    raise LookupError(name)


async def test_a_task_stands_below_the_one_that_started_it() -> None:
    async def outer() -> None:
        async with anyio.create_task_group() as inner:
            inner.start_soon(anyio.sleep_forever, name="svc:users/bg:tidy")

    async with anyio.create_task_group() as group:
        group.start_soon(outer, name="svc:users")
        await anyio.wait_all_tasks_blocked()
        tree = task_tree()
        assert names(find(tree["roots"], "svc:users")) == ["svc:users", "svc:users/bg:tidy"]
        assert tree["count"] == tree["shown"]
        group.cancel_scope.cancel()


async def test_many_tasks_are_counted_and_the_first_ones_listed_connections_last() -> None:
    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(anyio.sleep_forever, name="svc:users/connection" if number % 2 else f"job {number}")
        await anyio.wait_all_tasks_blocked()
        tree = task_tree(most=30)
        assert tree["shown"] == 30
        assert tree["count"] >= 51
        shown = [name for root in tree["roots"] for name in names(root)]
        assert sum(name.startswith("job") for name in shown) == 25
        group.cancel_scope.cancel()


async def test_a_long_name_is_cut() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever, name="tidy " * 2_000)
        await anyio.wait_all_tasks_blocked()
        assert max(len(name) for root in task_tree()["roots"] for name in names(root)) == 200
        group.cancel_scope.cancel()


async def test_a_name_has_no_secrets() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever, name="svc:users/job:send?token=hunter2")
        await anyio.wait_all_tasks_blocked()
        shown = str(task_tree())
        assert "svc:users/job:send?token=***" in shown
        assert "hunter2" not in shown
        group.cancel_scope.cancel()
