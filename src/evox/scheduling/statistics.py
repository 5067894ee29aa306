"""Statistics: what a scheduler looks like from outside. Frozen; asking changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from evox.scheduling.priority import Priority

__all__ = ["WAITS", "LevelStatistics", "SchedulerStatistics"]

WAITS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True, slots=True)
class LevelStatistics:
    """One level. ``arrived == admitted + cancelled + queued + sum(rejected.values())``, at any moment.

    Attributes:
        level: Which.
        cap: Seats it may have.
        bound: How many may wait.
        reserve: Seats it is given first.
        in_use: Seats it has now.
        queued: Waiting now.
        oldest: Seconds that the first in the queue has waited; 0 with an empty queue.
        arrived: Requests so far, those that ride on a seat of their caller left out.
        admitted: Of those, given a seat.
        cancelled: Left while they waited.
        rejected: Turned away, by reason.
        waited: Seconds waited by those that were admitted, all together.
        waits: How many of those that had to wait did so for at most ``WAITS[i]`` seconds, and not less; the last one
            counts the longer ones.
    """

    level: Priority
    cap: int
    bound: int
    reserve: int
    in_use: int
    queued: int
    oldest: float
    arrived: int
    admitted: int
    cancelled: int
    rejected: Mapping[str, int]
    waited: float
    waits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SchedulerStatistics:
    """A scheduler.

    Attributes:
        name: Whose it is.
        total: Seats of all levels together.
        in_use: Of those, held now.
        clients: Clients with something running or waiting, where clients are limited.
        levels: Each level, highest first.
    """

    name: str
    total: int
    in_use: int
    clients: int
    levels: tuple[LevelStatistics, ...]

    def level(self, level: Priority | str) -> LevelStatistics:
        """Return one level's."""
        return self.levels[Priority.parse(level)]
