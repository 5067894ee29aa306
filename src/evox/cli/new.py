"""``evox new``: start a project, or a service in one."""

import asyncclick as click

from evox.cli.lazy import Lazy

__all__ = ["command"]

COMMANDS = {
    "pj": ("evox.cli.new_pj", "Start a project in a new folder."),
    "sv": ("evox.cli.new_sv", "Start a service in this project."),
}


@click.group(
    name="new",
    cls=Lazy,
    commands=COMMANDS,
    epilog="\b\nevox new pj shop && cd shop\nevox new sv users\nevox run --dev",
)
def command() -> None:
    """Start a project, or a service in one."""
