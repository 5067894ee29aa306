"""``evox new pj``: start a project."""

from collections.abc import Callable
from typing import Any

import asyncclick as click

from evox.cli.making import backend, make, shared, syntax

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  evox new pj shop
  evox new pj shop --backend asyncio --no-git
  evox new pj shop --dry-run
"""


@click.command(
    name="pj",
    epilog=EXAMPLES,
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
    return make("make_project", name, git=not no_git, **given)
