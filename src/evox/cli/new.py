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
    epilog="\b\nExamples:\n  evox new pj shop && cd shop\n  evox new sv users\n  evox run --dev",
)
def command() -> None:
    """Start a project, or a service in one."""
