"""Pressure: what a rejected client is told about when to come back.

The answer doubles while rejections go on and halves again while there are none, so that a crowd that is turned away
does not return all at once, second after second. Kubernetes does the same for its API server.
"""

from typing import Final

__all__ = ["LONGEST", "SHORTEST", "Pressure"]

SHORTEST: Final = 1.0
LONGEST: Final = 32.0


class Pressure:
    """Seconds until a retry makes sense, for one stream of rejections. Times are monotonic seconds."""

    __slots__ = ("_last", "_raised", "_seconds")

    def __init__(self) -> None:
        self._seconds = SHORTEST
        self._raised = self._last = float("-inf")

    def __repr__(self) -> str:
        return f"<Pressure {self._seconds:g} s>"

    def reject(self, now: float) -> tuple[float, bool]:
        """Note a rejection.

        Returns:
            The seconds to tell the client, and whether this is the first rejection after a quiet time, or the first
            with a longer answer: the one to write into the log.
        """
        quiet = now - self._last
        began = quiet >= 2 * self._seconds  # clients that obey come back after one of them, and are no quiet time
        if began:
            self._decay(quiet)
            self._raised = now
        elif now - self._raised >= self._seconds:
            self._seconds = min(LONGEST, self._seconds * 2)
            self._raised, began = now, True
        self._last = now
        return self._seconds, began

    def _decay(self, quiet: float) -> None:
        """Halve once for each time that a client that obeys could have come back twice."""
        while self._seconds > SHORTEST and quiet >= 2 * self._seconds:
            quiet -= 2 * self._seconds
            self._seconds /= 2
