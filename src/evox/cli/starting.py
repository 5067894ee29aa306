"""Starting: the command line from its very first moment on, in which only this is imported."""

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, as ``evox.cli.entry.main`` does; Ctrl-C ends it quietly while that is imported too.

    Args:
        arguments: Without the program's name; the process's own by default.

    Returns:
        The exit code.
    """
    try:
        from evox.cli.entry import main as entry
    except KeyboardInterrupt:
        return 130
    return entry(arguments)
