"""``evox new sv``: start a service in this project."""

from collections.abc import Callable
from typing import Any

import asyncclick as click

from evox.cli.making import backend, make, shared, syntax

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  evox new sv users
  evox new sv order-items --syntax class
  evox new sv users --dry-run
"""


@click.command(
    name="sv",
    epilog=EXAMPLES,
)
@click.argument("name")
@syntax("How endpoints are written; both has some of each.")
@backend("Loop that its tests run on; auto is as in the project.")
@click.option("--no-git", is_flag=True, help="As for `new pj`; this command never calls git.")
@shared
def command(name: str, no_git: bool, **given: Any) -> Callable[[], int]:
    """Start a service NAME in this project.

    It gets a package with service.py, and a test; `evox run` finds it by itself. Files that are there are never
    overwritten: with one in the way it ends with 2.
    """
    del no_git
    return make("make_service", name, **given)
