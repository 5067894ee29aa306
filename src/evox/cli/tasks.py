"""``evox tasks``: the tasks of what runs here, as the trees that they are."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import asyncclick as click

from evox.cli.answering import answering
from evox.cli.completing import services_option
from evox.cli.sources import look_at, makes_sources

__all__ = ["command"]

SCHEMA = 1
EXAMPLES = """\b
Examples:
  evox tasks                     every task of every process of this user
  evox tasks --service users     only below this service
  evox tasks --json              the same for scripts
"""


@click.command(name="tasks", epilog=EXAMPLES)
@look_at
@services_option("Only tasks of this service; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of trees.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks.")
def command(
    urls: tuple[str, ...],
    token_from: str | None,
    cafile: str | None,
    services: tuple[str, ...],
    as_json: bool,
    trace: bool,
) -> Callable[[], int]:
    """Show the running tasks of each process as a tree: services, their background tasks, jobs and connections."""
    work = partial(_show, makes_sources(urls, token_from, cafile), services, as_json=as_json)
    return answering(work, as_json=as_json, trace=trace)


def _show(make: Callable[[], Any], services: tuple[str, ...], *, as_json: bool) -> int:
    import anyio

    from evox.cli.terminal import write

    found = anyio.run(_gather, make)
    if services:
        for one in found:
            if one["tree"] is not None:
                one["tree"]["roots"] = list(_below(one["tree"]["roots"], services))
        found = [one for one in found if one["error"] or (one["tree"] and one["tree"]["roots"])]
        if not found:
            raise click.UsageError(f"no running process has a service {' or '.join(services)}")
    write(json.dumps({"schema": SCHEMA, "processes": found}, indent=2) + "\n" if as_json else _page(found))
    return int(any(one["error"] for one in found))


async def _gather(make: Callable[[], Any]) -> list[dict[str, Any]]:
    import dataclasses

    import anyio

    from evox.observe.asking import CannotSee
    from evox.observe.trees import read_tree

    found: list[dict[str, Any]] = []
    for source in make():
        seen: dict[str, Any] = {"process": source.name, "pid": None, "error": None, "tree": None}
        found.append(seen)
        try:
            snapshot = await source.snapshot()
            seen["pid"] = snapshot.process.pid
            if snapshot.services:
                tree = read_tree(await source.view(snapshot.services[0].name, "tasks"))
                seen["tree"] = dataclasses.asdict(tree)
        except CannotSee as error:
            seen["error"] = str(error)
        finally:
            with anyio.move_on_after(1, shield=True):
                await source.aclose()
    return found


def _below(nodes: list[dict[str, Any]], services: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the topmost tasks that are of one of the services."""
    for node in nodes:
        owner = node["name"].removeprefix("svc:").removeprefix("listener:").partition("/")[0]
        if owner in services and owner != node["name"]:
            yield node
        else:
            yield from _below(node["children"], services)


def _page(found: list[dict[str, Any]]) -> str:
    from evox.cli.terminal import pen

    page = pen(wide=True)
    for number, one in enumerate(found):
        if number:
            page.line()
        tree = one["tree"]
        page.row(f"{one['process']}: {one['error'] or ('no services' if tree is None else _counted(tree['count']))}")
        for line in _lines(tree["roots"] if tree else (), ""):
            page.row(line)
        if tree and tree["count"] > tree["shown"]:
            page.row(f"and {tree['count'] - tree['shown']} more", "quiet")
    return str(page.text)


def _counted(count: int) -> str:
    return f"{count} {'task' if count == 1 else 'tasks'}"


def _lines(nodes: Sequence[dict[str, Any]], indent: str) -> Iterator[str]:
    for number, node in enumerate(nodes, 1):
        is_last = number == len(nodes)
        more = node["count"] - len(node["children"])
        yield f"{indent}{'└─ ' if is_last else '├─ '}{node['name']}{f' (and {more} below it)' if more > 0 else ''}"
        yield from _lines(node["children"], indent + ("   " if is_last else "│  "))
