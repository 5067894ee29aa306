"""``evox cache``: take copies away in running processes, so that the next read asks their source."""

import asyncclick as click

from evox.cli.lazy import Lazy

__all__ = ["command"]

COMMANDS = {
    "invalidate": ("evox.cli.cache_invalidate", "Take copies away, so that the next read asks their source."),
}


@click.group(name="cache", cls=Lazy, commands=COMMANDS)
def command() -> None:
    """Look after what running services keep in their caches."""
