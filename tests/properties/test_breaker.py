"""X5: the breaker beside a model of its promises: any order of calls, of what comes of them, and of waiting.

The model keeps a list of all that happened and derives the state from it; it shares nothing with the breaker.
"""

import os
from dataclasses import dataclass, field
from typing import Final, Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from evox.service_proxy.breaker import Breaker, Permit, Verdict

SOAK: Final = bool(os.environ.get("EVOX_SOAK"))
VERDICTS: Final[tuple[Verdict, ...]] = ("answered", "failed", "refused", "cancelled")
Phase = Literal["closed", "open", "probing"]


@dataclass
class Model:
    """What was promised of a breaker.

    Attributes:
        phase: ``open`` also when its time is over and nobody has asked yet.
        life: Counts its openings and closings: what began in another life says nothing.
        heard: When each call of this life ended that counts, and whether it failed.
        openings: Openings in a row without an answer.
    """

    phase: Phase = "closed"
    life: int = 0
    heard: list[tuple[float, bool]] = field(default_factory=list)
    openings: int = 0
    opened: float = 0.0

    @property
    def again(self) -> float:
        """When it asks again."""
        return self.opened + (0.0 if not self.openings else min(60.0, 5.0 * 2 ** (self.openings - 1)))

    def asked(self, now: float) -> Literal["call", "probe"] | None:
        """Return whether a call is made, and as what."""
        if self.phase == "closed":
            return "call"
        if self.phase == "probing" or now < self.again:
            return None
        self.phase = "probing"
        return "probe"

    def ended(self, life: int, kind: str, verdict: Verdict, now: float) -> None:
        """Take in what came of a call."""
        if life != self.life:
            return
        if kind == "probe":
            if verdict == "cancelled":
                self.phase = "open"
            elif verdict == "failed":
                self._open(now)
            else:
                self.phase, self.openings, self.heard = "closed", 0, []
                self.life += 1
        elif verdict in ("answered", "failed"):
            self.heard.append((now, verdict == "failed"))
            recent = self.recent(now)
            if verdict == "failed" and len(recent) >= 10 and 2 * sum(recent) >= len(recent):
                self._open(now)

    def recent(self, now: float) -> list[bool]:
        """Return which of the calls of this and the 29 seconds before it failed."""
        return [failed for when, failed in self.heard if int(now) - int(when) < 30]

    def _open(self, now: float) -> None:
        self.phase, self.opened = "open", now
        self.openings += 1
        self.life += 1


class BreakerMachine(RuleBasedStateMachine):
    """Drives a breaker and its model side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.model, self.now = Breaker(), Model(), 0.0
        self.out: list[tuple[Permit, int, Literal["call", "probe"]]] = []

    @initialize(now=st.floats(0, 1e6))
    def begins(self, now: float) -> None:
        self.now = now

    def begin(self) -> None:
        permit, expected = self.breaker.enter(self.now), self.model.asked(self.now)
        assert (permit is None) == (expected is None)
        if permit is not None and expected is not None:
            assert permit.is_probe == (expected == "probe")
            self.out.append((permit, self.model.life, expected))

    def end(self, index: int, verdict: Verdict) -> None:
        permit, life, kind = self.out.pop(index % len(self.out))
        late, before = life != self.model.life, self.breaker.statistics(self.now)
        if verdict == "answered" and index % 2:
            self.breaker.answered(permit, self.now)  # the short way for what is most common
        else:
            permit.give_back(verdict, self.now)
        self.model.ended(life, kind, verdict, self.now)
        if late:
            assert self.breaker.statistics(self.now) == before

    @rule(count=st.integers(1, 12))
    def calls(self, count: int) -> None:
        for _ in range(count):
            self.begin()

    @precondition(lambda self: self.out)
    @rule(index=st.integers(0, 50), verdict=st.sampled_from(VERDICTS))
    def one_ends(self, index: int, verdict: Verdict) -> None:
        self.end(index, verdict)

    @precondition(lambda self: self.out)
    @rule(count=st.integers(1, 12), verdict=st.sampled_from(["failed", "failed", "answered"]))
    def several_end(self, count: int, verdict: Verdict) -> None:
        for _ in range(min(count, len(self.out))):
            self.end(0, verdict)

    @rule(seconds=st.one_of(st.floats(0, 3), st.sampled_from([0.999, 1.0, 4.999, 5.0, 10.0, 29.0, 30.0, 60.0, 61.0])))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.model.phase == "closed")
    @rule()
    def ten_more_fail(self) -> None:
        for _ in range(10):
            if self.model.phase == "closed":
                self.begin()
                self.end(len(self.out) - 1, "failed")

    @precondition(lambda self: self.model.phase == "open")
    @rule(verdicts=st.lists(st.sampled_from(VERDICTS), max_size=6))
    def its_time_is_over_and_probes_end(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            if self.model.phase == "open":
                self.now = max(self.now, self.model.again - 0.001)
                self.begin()  # too early, if it has not waited longer
                self.now = max(self.now, self.model.again)
                if self.model.phase == "open":
                    self.begin()
                self.end(len(self.out) - 1, verdict)

    @invariant()
    def at_most_one_probe_is_out(self) -> None:
        probes = [kind for _, life, kind in self.out if kind == "probe" and life == self.model.life]
        assert len(probes) == (self.model.phase == "probing")
        assert sum(kind == "probe" for _, _, kind in self.out) <= 1

    @invariant()
    def it_says_what_the_model_says(self) -> None:
        seen = self.breaker.statistics(self.now)
        assert seen.state == {"closed": "closed", "open": "open", "probing": "half_open"}[self.model.phase]
        recent = self.model.recent(self.now)
        assert (seen.calls, seen.failed) == (len(recent), sum(recent))
        wait = 0.0 if self.model.phase == "closed" else max(0.0, self.model.again - self.now)
        assert seen.opens_for == wait
        assert wait <= 60.0

    def teardown(self) -> None:
        """It is never wedged: with what is out given back, however, and a minute later, a call is let through."""
        while self.out:
            self.end(0, VERDICTS[len(self.out) % len(VERDICTS)])
        self.now += 60.0
        self.begin()
        assert self.out
        self.end(0, "answered")
        assert self.breaker.statistics(self.now).state == "closed"


BreakerMachine.TestCase.settings = settings(
    max_examples=500 if SOAK else 60,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestBreaker = BreakerMachine.TestCase
