"""The ``evox`` command: one file a command, imported when it is called."""

from evox.cli.starting import main

__all__ = ["main"]
