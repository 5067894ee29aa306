"""What a scheduler must do, said as plainly as possible: lists, and everything worked out anew each time.

It knows the promises and nothing of how the shipped scheduler keeps them. A request is a number.
"""

from collections import Counter
from dataclasses import dataclass, field

HIGH, MEDIUM, LOW = LEVELS = (0, 1, 2)


@dataclass
class Numbers:
    """How many may run and wait, by level."""

    total: int
    caps: list[int]
    bounds: list[int]
    reserves: list[int] = field(default_factory=lambda: [0, 0, 0])
    per_client: int | None = None


@dataclass
class Request:
    """One request: where it counts, whose it is, and how many hold its seat."""

    serial: int
    level: int
    client: str | None
    holders: int = 0


class Model:
    """Who holds a seat, who waits, and what became of the others."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self.running: list[Request] = []
        self.waiting: list[Request] = []  # in order of arrival, all levels together
        self.arrived: Counter[int] = Counter()
        self.admitted: Counter[int] = Counter()
        self.cancelled: Counter[int] = Counter()
        self.rejected: Counter[tuple[int, str]] = Counter()

    def in_use(self, level: int) -> int:
        return sum(one.level == level for one in self.running)

    def queue(self, level: int) -> list[Request]:
        return [one for one in self.waiting if one.level == level]

    def has_room(self, level: int) -> bool:
        return len(self.running) < self.numbers.total and self.in_use(level) < self.numbers.caps[level]

    def of_client(self, client: str | None) -> int:
        return sum(one.client == client for one in [*self.running, *self.waiting])

    def arrive(self, serial: int, level: int, client: str | None) -> str:
        """Return ``"runs"``, ``"waits"`` or the reason of the rejection."""
        self.arrived[level] += 1
        limited = self.numbers.per_client is not None and client is not None
        request = Request(serial, level, client if limited else None)
        if limited and self.numbers.per_client is not None and self.of_client(client) >= self.numbers.per_client:
            self.rejected[level, "per_client"] += 1
            return "per_client"
        if not self.has_room(level) and len(self.queue(level)) >= self.numbers.bounds[level]:
            self.rejected[level, "queue_full"] += 1
            return "queue_full"
        self.waiting.append(request)
        self.admit()
        return "runs" if request in self.running else "waits"

    def admit(self) -> list[int]:
        """Admit as long as somebody who waits could run: reserves first, then the highest level, first come first."""
        admitted: list[int] = []
        while True:
            could = [level for level in LEVELS if self.queue(level) and self.has_room(level)]
            if not could:
                return admitted
            owed = [level for level in could if self.in_use(level) < self.numbers.reserves[level]]
            request = self.queue((owed or could)[0])[0]
            self.waiting.remove(request)
            self.running.append(request)
            request.holders = 1
            self.admitted[request.level] += 1
            admitted.append(request.serial)

    def share(self, serial: int) -> None:
        self.one(serial).holders += 1

    def release(self, serial: int) -> None:
        request = self.one(serial)
        request.holders -= 1
        if not request.holders:
            self.running.remove(request)
            self.admit()

    def cancel(self, serial: int) -> None:
        """Its caller goes, while it waits."""
        request = self.one(serial)
        self.waiting.remove(request)
        self.cancelled[request.level] += 1

    def expire(self, serial: int) -> None:
        """It has waited too long."""
        request = self.one(serial)
        self.waiting.remove(request)
        self.rejected[request.level, "time_out"] += 1

    def boost(self, serial: int, level: int) -> bool:
        request = self.one(serial)
        if request in self.running or level >= request.level:
            return False
        if len(self.queue(level)) >= self.numbers.bounds[level]:
            return False
        self.arrived[request.level] -= 1
        self.arrived[level] += 1
        self.waiting.remove(request)
        request.level = level
        self.waiting.append(request)  # at the end of its new queue
        self.admit()
        return True

    def resize(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self.admit()

    def one(self, serial: int) -> Request:
        return next(one for one in [*self.running, *self.waiting] if one.serial == serial)
