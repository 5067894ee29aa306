"""Breaker: leaves a target alone that keeps failing, and asks it again, once at a time, until it answers.

    closed       calls go through; half of at least 10 in 30 s failed: open
    open         nothing goes through for 5 s, doubling to 60 s each time that a probe fails
    half open    one call goes through, the probe: it answers: closed; it fails: open; it is cancelled: another may

What comes back late, from before the last change, says nothing of the present and is ignored. Refusals (4xx) and
cancelled calls say nothing of the target either.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from evox.service_proxy.windows import Window

__all__ = ["Breaker", "BreakerStatistics", "Permit", "Verdict"]

ENOUGH: Final = 10  # calls in the window before it says anything
SHARE: Final = 0.5
SHORTEST: Final = 5.0  # seconds
LONGEST: Final = 60.0
State: TypeAlias = Literal["closed", "open", "half_open"]
Verdict: TypeAlias = Literal["answered", "failed", "refused", "cancelled"]


@dataclass(frozen=True, slots=True)
class BreakerStatistics:
    """A breaker from outside. ``opens_for`` is in seconds, 0 while it is closed; ``why`` is why it opened last."""

    state: State
    calls: int
    failed: int
    opens_for: float
    why: str


class Permit:
    """The right to make one call; it is given back with what came of it."""

    __slots__ = ("_breaker", "epoch", "is_probe")

    def __init__(self, breaker: "Breaker", epoch: int, *, is_probe: bool) -> None:
        self._breaker, self.epoch, self.is_probe = breaker, epoch, is_probe

    def give_back(self, verdict: Verdict, now: float) -> None:
        """Say what came of the call.

        Args:
            verdict: ``"answered"``, ``"failed"``, ``"refused"`` (it lives, and said no) or ``"cancelled"``.
            now: Monotonic seconds.
        """
        self._breaker.back(self.epoch, verdict, now, is_probe=self.is_probe)


class Breaker:
    """The breaker of one target. Times are monotonic seconds, and given by whoever asks.

    Args:
        on_move: Called with the new state, and why, when it opens and when it closes again.
    """

    def __init__(self, on_move: Callable[[State, str], None] | None = None) -> None:
        self._on_move = on_move
        self._state: State = "closed"
        self._window = Window()
        self._epoch = 0
        self._until = 0.0
        self._pause = SHORTEST
        self._why = ""
        self._permit: Permit | None = None

    def __repr__(self) -> str:
        return f"<Breaker {self._state}, {self._window.some} of {self._window.all} failed>"

    def enter(self, now: float) -> Permit | None:
        """Return the right to make a call; None if the target is to be left alone."""
        if self._state == "closed":
            if self._permit is None or self._permit.epoch != self._epoch:
                self._permit = Permit(self, self._epoch, is_probe=False)
            return self._permit  # the same for all calls: what it counts for is all that there is to it
        if self._state == "half_open" or now < self._until:
            return None
        self._state = "half_open"
        return Permit(self, self._epoch, is_probe=True)

    def answered(self, permit: Permit, now: float) -> None:
        """Take a permit back of a call that was answered, as most are."""
        if permit.is_probe or permit.epoch != self._epoch:
            permit.give_back("answered", now)
        else:
            self._window.count(now)

    def back(self, epoch: int, verdict: Verdict, now: float, *, is_probe: bool) -> None:
        """Take a permit back. Called by the permit."""
        if epoch != self._epoch:
            return
        if is_probe:
            self._probed(verdict, now)
        elif verdict in ("answered", "failed"):
            self._window.add(now, some=verdict == "failed")
            if verdict == "failed":
                self._window.forget(now)
                if self._window.all >= ENOUGH and self._window.some >= SHARE * self._window.all:
                    self._open(now, SHORTEST)

    @property
    def state(self) -> State:
        """Whether it lets calls through."""
        return self._state

    @property
    def why(self) -> str:
        """Why it is open, for people."""
        return self._why

    def retry_after(self, now: float) -> float:
        """Return after how many seconds it may let a call through."""
        return max(0.0, self._until - now) if self._state != "closed" else 0.0

    def statistics(self, now: float) -> BreakerStatistics:
        """Return its state and what it counts."""
        self._window.forget(now)
        return BreakerStatistics(self._state, self._window.all, self._window.some, self.retry_after(now), self._why)

    def _probed(self, verdict: Verdict, now: float) -> None:
        if verdict == "cancelled":
            self._state = "open"  # whose time is over: the next call is the probe
        elif verdict == "failed":
            self._open(now, min(2 * self._pause, LONGEST))
        else:
            self._state, self._pause = "closed", SHORTEST
            self._window.clear()
            self._epoch += 1
            self._tell()

    def _open(self, now: float, pause: float) -> None:
        if self._state == "closed":
            self._why = f"{self._window.some} of the last {self._window.all} calls failed"
        else:
            self._why = "it failed again when it was asked"
        self._state, self._pause, self._until = "open", pause, now + pause
        self._epoch += 1
        self._tell()

    def _tell(self) -> None:
        if self._on_move is not None:
            self._on_move(self._state, "" if self._state == "closed" else self._why)
