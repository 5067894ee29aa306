"""Lifecycle, for any sequence of moves: only the transitions that exist happen, and no refused one leaves a trace."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from evox.events import Event, ServiceStateChanged, observe
from evox.runtime import Lifecycle, State

# NEW -> STARTING -> READY -> DRAINING -> STOPPED; a crash leads over RESTARTING back to STARTING, or to FAILED;
# whatever a service is doing, it can be told to stop, and a stopped one can be started again.
TRANSITIONS = {
    "NEW": {"STARTING", "STOPPED"},
    "STARTING": {"READY", "RESTARTING", "FAILED", "DRAINING", "STOPPED"},
    "READY": {"RESTARTING", "FAILED", "DRAINING", "STOPPED"},
    "RESTARTING": {"STARTING", "FAILED", "DRAINING", "STOPPED"},
    "DRAINING": {"FAILED", "STOPPED"},
    "FAILED": {"DRAINING", "STOPPED"},
    "STOPPED": {"STARTING"},
}


@contextmanager
def heard() -> Iterator[list[Event]]:
    events: list[Event] = []
    token = observe(events.append)
    try:
        yield events
    finally:
        token.var.reset(token)


class Moves(RuleBasedStateMachine):
    """Moves a lifecycle about, beside a model that knows only the table above."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = 0.0
        self.lifecycle = Lifecycle("users", wall=self.wall)
        self.state, self.starts, self.since, self.reason = "NEW", 0, self.clock, ""

    def wall(self) -> float:
        self.clock += 1
        return self.clock

    @rule(state=st.sampled_from(State), reason=st.sampled_from(["", "crashed", "asked to"]))
    def move(self, state: State, reason: str) -> None:
        allowed = state.value in TRANSITIONS[self.state]
        same = state.value == self.state
        with heard() as events:
            if allowed or same:
                self.lifecycle.move(state, reason)
            else:
                with pytest.raises(RuntimeError, match=f"cannot go from {self.state} to {state.value}"):
                    self.lifecycle.move(state, reason)
        assert events == ([ServiceStateChanged("users", self.state, state.value)] if allowed else [])
        if allowed:
            self.state, self.since, self.reason = state.value, self.clock, reason
            self.starts += state is State.READY

    @invariant()
    def statistics_tell_the_last_move_that_happened(self) -> None:
        told = self.lifecycle.statistics()
        assert (told.state, told.starts, told.reason) == (self.state, self.starts, self.reason)
        assert told.since == max(self.since, 1.0)

    @invariant()
    def what_health_asks_follows_from_the_state_alone(self) -> None:
        assert self.lifecycle.ready == (self.state == "READY")
        assert self.lifecycle.live == (self.state != "FAILED")
        assert self.lifecycle.started == (self.starts > 0)

    @invariant()
    def a_service_can_always_be_brought_to_stopped(self) -> None:
        assert self.state == "STOPPED" or "STOPPED" in TRANSITIONS[self.state]


Moves.TestCase.settings = settings(deadline=None, max_examples=200, stateful_step_count=30)
TestMoves = Moves.TestCase
