"""Budget: how many calls of a target may be repeated: a fifth of those made in 30 seconds, and three more.

Without it, three attempts of everybody would treble the load of a target just when it can bear least.
"""

from typing import Final

from evox.service_proxy.windows import Window

__all__ = ["Budget"]

CALLS: Final = 5  # for each of which there is one retry
MORE: Final = 3


class Budget:
    """The budget of one target. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._window = Window()

    def __repr__(self) -> str:
        return f"<Budget, {self._window.some} retries for {self._window.all} calls>"

    def made(self, now: float) -> None:
        """Note that a call was made."""
        self._window.count(now)

    def take(self, now: float) -> bool:
        """Take one retry out of it; False if there is none left."""
        self._window.forget(now)
        if CALLS * (self._window.some + 1 - MORE) > self._window.all:
            return False
        self._window.add(now, every=0, some=1)
        return True
