"""Events: observers of this context hear them in order; one that raises harms nobody."""

import dataclasses
import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import anyio.to_thread
import pytest

from evox import events
from evox.events import Event, Observer, ServiceStateChanged, TaskFinished, notify, observe


@contextmanager
def observing(*observers: Observer) -> Iterator[None]:
    token = observe(*observers)
    try:
        yield
    finally:
        token.var.reset(token)


EVENT = ServiceStateChanged("users", "NEW", "STARTING")


def refuse(event: Event) -> None:
    raise ValueError(f"cannot look at {event}")


def test_an_event_without_observers_goes_nowhere() -> None:
    notify(EVENT)


def test_an_observer_hears_events_in_the_order_they_happen() -> None:
    seen: list[Event] = []
    other = TaskFinished("users", "sweep", 0.5, None)
    with observing(seen.append):
        notify(EVENT)
        notify(other)
    assert seen == [EVENT, other]


def test_observers_are_told_in_the_order_they_came() -> None:
    order: list[str] = []
    first, second, third = (lambda _, name=name: order.append(name) for name in ("first", "second", "third"))
    with observing(first, second), observing(third):
        notify(EVENT)
    assert order == ["first", "second", "third"]


def test_the_token_undoes_the_observing() -> None:
    seen: list[Event] = []
    with observing(seen.append):
        pass
    notify(EVENT)
    assert seen == []


def test_an_observer_that_raises_keeps_no_other_from_hearing() -> None:
    seen: list[Event] = []
    with observing(refuse, seen.append):
        notify(EVENT)
    assert seen == [EVENT]


def test_an_observer_that_raises_is_logged_with_its_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "evox.events"), observing(refuse):
        notify(EVENT)
    (record,) = caplog.records
    assert "ServiceStateChanged" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


def test_an_observer_that_raises_is_told_again_the_next_time() -> None:
    told: list[Event] = []

    def once_bad(event: Event) -> None:
        told.append(event)
        raise ValueError("no")

    with observing(once_bad):
        notify(EVENT)
        notify(EVENT)
    assert len(told) == 2


@pytest.mark.parametrize(
    "name",
    sorted(
        set(events.__all__)
        - {"Counting", "Observer", "call_finished", "forget", "is_observed", "mute", "notify", "observe"}
    ),
)
def test_every_event_is_frozen_and_names_its_service(name: str) -> None:
    kind = getattr(events, name)
    assert issubclass(kind, Event)
    assert next(field.name for field in dataclasses.fields(kind)) == "service"
    event = kind(*(None for _ in inspect.signature(kind).parameters))
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.service = "another"


async def test_tasks_and_threads_started_while_observing_are_heard() -> None:
    seen: list[Event] = []

    async def child() -> None:
        notify(EVENT)

    with observing(seen.append):
        async with anyio.create_task_group() as group:
            group.start_soon(child)
        await anyio.to_thread.run_sync(notify, EVENT)
    assert seen == [EVENT, EVENT]


async def test_two_contexts_do_not_hear_each_other() -> None:
    """Two runtimes in one process are two such tasks."""
    heard: dict[str, list[Event]] = {"a": [], "b": []}

    async def runtime(name: str) -> None:
        observe(heard[name].append)
        await anyio.lowlevel.checkpoint()
        notify(ServiceStateChanged(name, "NEW", "STARTING"))

    async with anyio.create_task_group() as group:
        group.start_soon(runtime, "a")
        group.start_soon(runtime, "b")
    assert {name: [event.service for event in those] for name, those in heard.items()} == {"a": ["a"], "b": ["b"]}


def test_a_call_that_ended_is_told_without_a_record_to_who_only_counts() -> None:
    told: list[object] = []

    class Counter:
        def call_finished(self, *facts: object) -> None:
            told.append(facts)

        def __call__(self, event: Event, /) -> None:
            told.append("a record")

    with observing(Counter(), told.append):
        events.call_finished("users", "get_user", "http", 200, 0.25)
    assert told == [
        ("users", "get_user", "http", 200, 0.25),
        events.CallFinished("users", "get_user", "http", 200, 0.25),
    ]


def test_who_counts_badly_changes_nothing_for_others(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Event] = []

    class Counter:
        def call_finished(self, *facts: object) -> None:
            raise ValueError("no")

        def __call__(self, event: Event, /) -> None: ...

    with observing(Counter(), told.append):
        events.call_finished("users", "get_user", "http", 200, 0.25)
    assert len(told) == 1
    assert "failed on 'CallFinished'" in caplog.text
