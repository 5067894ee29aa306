"""Lifecycle: what each state answers, what is told to observers, and how one waits for a state."""

import anyio
import pytest

from evox.events import Event, ServiceStateChanged, observe
from evox.runtime import Lifecycle, State


def at(state: State) -> Lifecycle:
    """Return a lifecycle that went the shortest way to a state."""
    ways = {
        State.NEW: (),
        State.STARTING: (State.STARTING,),
        State.READY: (State.STARTING, State.READY),
        State.RESTARTING: (State.STARTING, State.READY, State.RESTARTING),
        State.FAILED: (State.STARTING, State.READY, State.FAILED),
        State.DRAINING: (State.STARTING, State.READY, State.DRAINING),
        State.STOPPED: (State.STARTING, State.READY, State.DRAINING, State.STOPPED),
    }
    lifecycle = Lifecycle("users")
    for step in ways[state]:
        lifecycle.move(step)
    return lifecycle


def test_a_service_begins_as_new() -> None:
    assert Lifecycle("users").statistics().state is State.NEW


@pytest.mark.parametrize("state", list(State))
def test_only_a_ready_service_is_ready(state: State) -> None:
    assert at(state).ready is (state is State.READY)


@pytest.mark.parametrize("state", list(State))
def test_only_a_failed_service_is_not_live(state: State) -> None:
    assert at(state).live is (state is not State.FAILED)


@pytest.mark.parametrize("state", list(State))
def test_a_service_that_was_ready_once_has_started(state: State) -> None:
    assert at(state).started is (state not in (State.NEW, State.STARTING))


def test_each_time_it_is_ready_counts_as_a_start() -> None:
    lifecycle = at(State.RESTARTING)
    lifecycle.move(State.STARTING)
    lifecycle.move(State.READY)
    assert lifecycle.statistics().starts == 2


def test_a_move_notes_when_and_why() -> None:
    times = iter([10.0, 20.0])
    lifecycle = Lifecycle("users", wall=lambda: next(times))
    before = lifecycle.statistics()
    lifecycle.move(State.STARTING, reason="asked to")
    after = lifecycle.statistics()
    assert (before.since, before.reason) == (10.0, "")
    assert (after.since, after.reason) == (20.0, "asked to")


def test_the_reason_of_an_earlier_move_does_not_stay() -> None:
    lifecycle = Lifecycle("users")
    lifecycle.move(State.STARTING, reason="asked to")
    lifecycle.move(State.READY)
    assert lifecycle.statistics().reason == ""


def test_a_refused_move_names_the_service_and_both_states_and_changes_nothing() -> None:
    lifecycle = at(State.STOPPED)
    with pytest.raises(RuntimeError, match="service 'users' cannot go from STOPPED to READY"):
        lifecycle.move(State.READY)
    assert lifecycle.state is State.STOPPED


def test_moving_to_the_present_state_does_nothing_and_tells_nobody() -> None:
    lifecycle = at(State.READY)
    seen: list[Event] = []
    token = observe(seen.append)
    lifecycle.move(State.READY, reason="again")
    token.var.reset(token)
    assert (seen, lifecycle.statistics().starts, lifecycle.statistics().reason) == ([], 1, "")


def test_observers_hear_of_each_move_after_it_happened() -> None:
    lifecycle = Lifecycle("users")
    seen: list[tuple[Event, State]] = []
    token = observe(lambda event: seen.append((event, lifecycle.state)))
    lifecycle.move(State.STARTING)
    lifecycle.move(State.READY)
    token.var.reset(token)
    assert seen == [
        (ServiceStateChanged("users", "NEW", "STARTING"), State.STARTING),
        (ServiceStateChanged("users", "STARTING", "READY"), State.READY),
    ]


async def test_waiting_for_the_present_state_returns_it() -> None:
    with anyio.fail_after(1):
        assert await at(State.READY).wait_state(State.STOPPED, State.READY) is State.READY


async def test_everyone_who_waits_for_a_state_is_woken_by_it_and_by_no_other() -> None:
    lifecycle = Lifecycle("users")
    woken: list[State] = []

    async def wait() -> None:
        woken.append(await lifecycle.wait_state(State.READY, State.FAILED))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        lifecycle.move(State.STARTING)
        await anyio.wait_all_tasks_blocked()
        assert woken == []
        lifecycle.move(State.READY)
    assert woken == [State.READY, State.READY]


def test_its_repr_tells_name_and_state() -> None:
    assert repr(at(State.DRAINING)) == "<Lifecycle 'users' DRAINING>"
