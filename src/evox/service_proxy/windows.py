"""Windows: counts over the last seconds, in buckets of one second."""

from typing import Final

__all__ = ["SPAN", "Window"]

SPAN: Final = 30  # seconds


class Window:
    """Two counts over the last 30 seconds: how many there were, and how many of them were of the second kind."""

    __slots__ = ("_buckets", "all", "some")

    def __init__(self) -> None:
        self._buckets: list[list[int]] = []  # second, all, some; the oldest first
        self.all = self.some = 0

    def __repr__(self) -> str:
        return f"<Window {self.some} of {self.all}>"

    def add(self, now: float, *, every: int = 1, some: int = 0) -> None:
        """Count more.

        Args:
            now: Monotonic seconds.
            every: How many.
            some: How many of the second kind.
        """
        second = int(now)
        if not self._buckets or self._buckets[-1][0] < second:
            self.forget(now)
            self._buckets.append([second, 0, 0])
        bucket = self._buckets[-1]
        bucket[1] += every
        bucket[2] += some
        self.all += every
        self.some += some

    def forget(self, now: float) -> None:
        """Forget what is older than the window."""
        oldest = int(now) - SPAN
        while self._buckets and self._buckets[0][0] <= oldest:
            _, every, some = self._buckets.pop(0)
            self.all -= every
            self.some -= some

    def clear(self) -> None:
        """Forget all."""
        self._buckets.clear()
        self.all = self.some = 0
