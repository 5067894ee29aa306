"""Terminal: how commands write: in colours and as wide as the terminal is, where there is one; plainly elsewhere."""

import os
import shutil
import sys
from typing import Any

__all__ = ["is_colourful", "pen", "width", "write"]

PLAIN_WIDTH = 80  # characters, where nobody's terminal is asked


def is_colourful() -> bool:
    """Return whether colours are wanted on standard output."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Return how many characters fit into a line of standard output."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PLAIN_WIDTH


def pen(*, wide: bool = False) -> Any:
    """Return a ``Pen`` for standard output.

    Args:
        wide: Whether lines may be as long as they are where there is no terminal, for whoever greps them.
    """
    from evox.observe.report.columns import Pen

    widest = 10_000 if wide and not sys.stdout.isatty() else max(60, min(width(), 160))
    return Pen(widest, colour=is_colourful())


def write(text: str) -> None:
    """Write text to standard output; characters that it cannot show become question marks."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
