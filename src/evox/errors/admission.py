"""Admission: errors of calls that were not let in, or had no time left. Clients see them as 503, 429 and 504."""

from typing import Literal, TypeAlias

from evox.errors.base import EvoxError

__all__ = ["DeadlineExceeded", "Overloaded", "Reason", "Rejected", "TooManyRequests"]

Reason: TypeAlias = Literal["queue_full", "time_out", "per_client"]


class Rejected(EvoxError):
    """A call that was not let in. It has not run, so repeating it is safe.

    Attributes:
        level: ``"high"``, ``"medium"`` or ``"low"``.
        reason: ``"queue_full"``, ``"time_out"`` (it waited too long) or ``"per_client"``.
        retry_after: Seconds until a retry makes sense.
    """

    retryable = True
    level: str
    reason: Reason
    retry_after: float


class Overloaded(Rejected):
    """Too much to do: the queue of a level is full, or the wait in it was too long."""

    id = "EVX-603"
    status = 503

    def __init__(self, level: str, reason: Reason, pool: str, retry_after: float) -> None:
        waited = "it waited too long for a seat" if reason == "time_out" else "as many wait as may"
        super().__init__(
            f"too many requests of level {level!r} ({reason})",
            why=f"all seats that {pool} has for it are taken, and {waited}",
            fix="try again after Retry-After seconds; [tool.evox.priority] or .concurrency(...) say how many there are",
        )
        self.level, self.reason, self.retry_after = level, reason, retry_after


class TooManyRequests(Rejected):
    """One client has as many requests running and waiting as it may."""

    id = "EVX-604"
    status = 429

    def __init__(self, level: str, limit: int, retry_after: float) -> None:
        super().__init__(
            f"this client has {limit} requests running or waiting, and may have no more",
            why=f"per_client is {limit}",
            fix="wait for an answer before sending more",
        )
        self.level, self.reason, self.retry_after = level, "per_client", retry_after


class DeadlineExceeded(EvoxError, TimeoutError):
    """The time of a call was over before it had an answer.

    Attributes:
        began: Whether its handler may have begun; if not, repeating the call is safe.
    """

    id = "EVX-605"
    status = 504
    retryable = True

    def __init__(self, endpoint: str, *, began: bool) -> None:
        what = "was ended: its time was over" if began else "was not begun: its time was over before that"
        super().__init__(
            f"{endpoint} {what}",
            why="timeout= of the endpoint, or the x-evox-deadline of its caller, says how long it may take",
            fix="make it faster, or give it more time",
        )
        self.began = began
