"""Lifecycle: the states of one service, and the transitions between them.

    NEW -> STARTING -> READY -> DRAINING -> STOPPED
              |          |
              +--------- +-> RESTARTING -> STARTING      (a crash; the supervisor decides)
                               `-> FAILED                (crashed too often)

Every state can also end in STOPPED, and a new run may start from there; ``_NEXT`` is the whole list. Health answers
from here alone; nothing else says whether a service is ready. State changes are synchronous.
"""

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from evox import events

__all__ = ["Lifecycle", "LifecycleStatistics", "State"]


class State(enum.StrEnum):
    """Where a service is in its life."""

    NEW = "NEW"
    STARTING = "STARTING"
    READY = "READY"
    RESTARTING = "RESTARTING"
    DRAINING = "DRAINING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


_NEXT: dict[State, frozenset[State]] = {
    State.NEW: frozenset({State.STARTING, State.STOPPED}),
    State.STARTING: frozenset({State.READY, State.RESTARTING, State.DRAINING, State.STOPPED, State.FAILED}),
    State.READY: frozenset({State.RESTARTING, State.DRAINING, State.STOPPED, State.FAILED}),
    State.RESTARTING: frozenset({State.STARTING, State.DRAINING, State.STOPPED, State.FAILED}),
    State.DRAINING: frozenset({State.STOPPED, State.FAILED}),
    State.FAILED: frozenset({State.DRAINING, State.STOPPED}),
    State.STOPPED: frozenset({State.STARTING}),
}


@dataclass(frozen=True, slots=True)
class LifecycleStatistics:
    """What a lifecycle looks like from outside. ``since`` is wall-clock seconds."""

    state: State
    since: float
    starts: int
    reason: str


class Lifecycle:
    """The state of one service.

    Args:
        service: The service's name, for events.
        wall: Wall clock in seconds, for ``since``.
    """

    def __init__(self, service: str, *, wall: Callable[[], float] = time.time) -> None:
        self._service = service
        self._wall = wall
        self._state = State.NEW
        self._since = wall()
        self._starts = 0
        self._reason = ""
        self._changed = anyio.Event()

    def __repr__(self) -> str:
        return f"<Lifecycle {self._service!r} {self._state}>"

    @property
    def state(self) -> State:
        """The current state."""
        return self._state

    @property
    def ready(self) -> bool:
        """Whether ordinary requests are answered."""
        return self._state is State.READY

    @property
    def live(self) -> bool:
        """Whether the service can still do its work, now or after a restart."""
        return self._state is not State.FAILED

    @property
    def started(self) -> bool:
        """Whether start-up has finished at least once."""
        return self._starts > 0

    def move(self, state: State, reason: str = "") -> None:
        """Move to another state. Moving to the present one does nothing.

        Args:
            state: The state to move to.
            reason: Why, in a few words, for health and statistics.

        Raises:
            RuntimeError: if that transition does not exist.
        """
        if state is self._state:
            return
        if state not in _NEXT[self._state]:
            raise RuntimeError(f"service {self._service!r} cannot go from {self._state} to {state}")
        before, self._state, self._since, self._reason = self._state, state, self._wall(), reason
        if state is State.READY:
            self._starts += 1
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        events.notify(events.ServiceStateChanged(self._service, before, state))

    async def wait_state(self, *states: State) -> State:
        """Wait until the state is one of these, and return it."""
        while self._state not in states:
            await self._changed.wait()
        return self._state

    def statistics(self) -> LifecycleStatistics:
        """Return state, since when, how often started, and why."""
        return LifecycleStatistics(self._state, self._since, self._starts, self._reason)
