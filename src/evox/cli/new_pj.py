"""``evox new pj``: start a project."""

from collections.abc import Callable
from typing import Any

import asyncclick as click

from evox.cli.making import backend, make, shared, syntax

__all__ = ["command"]


@click.command(
    name="pj",
    epilog="\b\nevox new pj shop\nevox new pj shop --backend asyncio --no-git\nevox new pj shop --dry-run",
)
@click.argument("name")
@syntax("What its README says of services.")
@backend("Event loop, of [tool.evox] and of tests; auto tests on both.")
@click.option("--no-git", is_flag=True, help="Leave out `git init`.")
@shared
def command(name: str, no_git: bool, **given: Any) -> Callable[[], int]:
    """Start a project in a new folder NAME.

    It gets pyproject.toml, README, tests, Dockerfile and compose.yaml. Needs no network. Files that are there are
    never overwritten: with one in the way it ends with 2.
    """
    return lambda: make("make_project", name, git=not no_git, **given)
