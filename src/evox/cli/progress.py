"""Progress: what a command is about, in a terminal, once that takes more than a second; nothing elsewhere."""

import os
import sys
import threading
from typing import Any, Self, TextIO

__all__ = ["Progress"]

AFTER = 1.0  # seconds in which most things are done


class Progress:
    """A line on standard error that says what is being done, and is gone when it is.

    Whoever writes anything else calls ``off`` before. Used as a context manager, it is off at the end.

    Args:
        stream: Where it is shown; standard error by default.
        after: Seconds after which it is.
    """

    def __init__(self, stream: TextIO | None = None, *, after: float = AFTER) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._after = after
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or os.environ.get("CI")
        self._is_wanted = self._stream.isatty() and not plain
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._status: Any = None

    def __repr__(self) -> str:
        return f"<Progress {'shown' if self._status is not None else 'hidden'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.off()

    def on(self, text: str) -> None:
        """Say what is being done now. It is shown at once if something is shown already."""
        if not self._is_wanted:
            return
        with self._lock:
            if self._status is not None:
                self._status.update(text)
                return
        self.off()
        self._timer = threading.Timer(self._after, self._show, [text])
        self._timer.daemon = True
        self._timer.start()

    def off(self) -> None:
        """Take it away."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
            self._timer = None
        with self._lock:
            if self._status is not None:
                self._status.stop()
                self._status = None

    def _show(self, text: str) -> None:
        from rich.console import Console
        from rich.text import Text

        with self._lock:
            self._status = Console(file=self._stream).status(Text(text))
            self._status.start()
