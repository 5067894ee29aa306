"""Windows: counts over the last seconds, in buckets of one second."""

from typing import Final

__all__ = ["SPAN", "Window"]

SPAN: Final = 30  # seconds


class Window:
    """Two counts over the last 30 seconds: how many there were, and how many of them were of the second kind."""

    __slots__ = ("_buckets", "_last", "_until", "all", "some")

    def __init__(self) -> None:
        self._buckets: list[list[int]] = []  # second, all, some; the oldest first
        self._last: list[int] = [-1, 0, 0]  # the bucket of the present
        self._until = 0.0  # when that is over
        self.all = self.some = 0

    def __repr__(self) -> str:
        return f"<Window {self.some} of {self.all}>"

    def count(self, now: float) -> None:
        """Count one more, that is not of the second kind; ``now`` in monotonic seconds."""
        if now < self._until:
            self._last[1] += 1
            self.all += 1
        else:
            self.add(now)

    def add(self, now: float, *, every: int = 1, some: int = 0) -> None:
        """Count more.

        Args:
            now: Monotonic seconds.
            every: How many.
            some: How many of the second kind.
        """
        last = self._last
        if last[0] < int(now):
            self.forget(now)
            last = self._last = [int(now), 0, 0]
            self._until = last[0] + 1.0
            self._buckets.append(last)
        last[1] += every
        last[2] += some
        self.all += every
        self.some += some

    def forget(self, now: float) -> None:
        """Forget what is older than the window."""
        oldest = int(now) - SPAN
        while self._buckets and self._buckets[0][0] <= oldest:
            _, every, some = self._buckets.pop(0)
            self.all -= every
            self.some -= some
        if not self._buckets:
            self._last, self._until = [-1, 0, 0], 0.0  # what is counted in a bucket that is gone is counted for ever

    def clear(self) -> None:
        """Forget all."""
        self._buckets.clear()
        self._last, self._until = [-1, 0, 0], 0.0
        self.all = self.some = 0
