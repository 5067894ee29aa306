"""``evox sync``: bring what a project has outside of its code up to date."""

import asyncclick as click

from evox.cli.lazy import Lazy

__all__ = ["command"]

COMMANDS = {
    "db": ("evox.cli.sync_db", "Apply migrations to the project's databases."),
    "sv": ("evox.cli.sync_sv", "Look for services again, and for what they need."),
}


@click.group(name="sync", cls=Lazy, commands=COMMANDS)
def command() -> None:
    """Bring database and services up to date."""
