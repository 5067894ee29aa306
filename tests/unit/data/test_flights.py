"""Flights: one run for all who want the same (D4), on the seat and deadline of who began it (P10)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from evox import context
from evox.config import PrioritySettings
from evox.data import Lease
from evox.data.flights import LONGEST, Flight, Flights
from evox.errors import Escaped, RecursiveLoader, ServiceUnavailable
from evox.scheduling import Priority, Scheduler
from evox.testing import virtual_trio


class Source:
    """Counts its calls, and answers when it is let."""

    def __init__(self) -> None:
        self.calls = self.ended = 0
        self.go = anyio.Event()

    async def __call__(self, flight: Flight) -> int:
        del flight
        self.calls += 1
        mine = self.calls
        try:
            await self.go.wait()
        finally:
            self.ended += 1
        return mine


async def waiting(group: anyio.abc.TaskGroup, join: Callable[[], Awaitable[Any]], count: int) -> list[Any]:
    found: list[Any] = []

    async def one() -> None:
        found.append(await join())

    for _ in range(count):
        group.start_soon(one)
    await anyio.wait_all_tasks_blocked()
    return found


async def test_D4_five_hundred_wait_for_one_run() -> None:
    source = Source()
    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")
        found = await waiting(group, lambda: flights.join("shop/d:a", source), 500)
        assert flights.statistics().running == ("a",)
        source.go.set()
    assert (source.calls, found) == (1, [1] * 500)
    assert flights.statistics().running == ()
    assert (flights.statistics().begun, flights.statistics().joined) == (1, 499)


@pytest.mark.parametrize("stays", [0, 250, 499])  # the one who began it, one amid, the last to come
async def test_D4_whoever_is_left_of_500_is_served_when_the_other_499_are_cancelled(stays: int) -> None:
    source, served = Source(), []
    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")
        scopes = [anyio.CancelScope() for _ in range(500)]

        async def one(number: int) -> None:
            with scopes[number]:
                await flights.join("a", source)
                served.append(number)

        for number in range(500):
            group.start_soon(one, number)
        await anyio.wait_all_tasks_blocked()
        for number, scope in enumerate(scopes):
            if number != stays:
                scope.cancel()
        await anyio.wait_all_tasks_blocked()
        source.go.set()
    assert (source.calls, served) == (1, [stays])


@pytest.mark.parametrize("finish", [False, True])
async def test_when_nobody_is_left_the_work_is_cancelled_unless_it_is_to_be_finished(finish: bool) -> None:
    source = Source()
    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")
        async with anyio.create_task_group() as impatient:
            await waiting(impatient, lambda: flights.join("a", source, finish=finish), 3)
            impatient.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert source.ended == (0 if finish else 1)
        source.go.set()
    assert flights.statistics().abandoned == (0 if finish else 1)


async def test_an_error_reaches_all_and_the_next_one_tries_again() -> None:
    calls = 0

    async def fails(flight: Flight) -> None:
        nonlocal calls
        calls += 1
        await anyio.lowlevel.checkpoint()
        raise OSError(f"call {calls}")

    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")
        seen: list[str] = []

        async def one() -> None:
            try:
                await flights.join("a", fails)
            except OSError as error:
                seen.append(str(error))

        async with anyio.create_task_group() as askers:
            for _ in range(5):
                askers.start_soon(one)
        assert seen == ["call 1"] * 5
        await one()
        assert seen[-1] == "call 2"


async def test_D4_who_comes_after_a_change_gets_no_result_from_before_it() -> None:
    first, second = Source(), Source()
    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")
        before = await waiting(group, lambda: flights.join("a", first, guards=("t",)), 1)
        flights.forget_guard("t")
        after = await waiting(group, lambda: flights.join("a", second), 1)
        assert (first.calls, second.calls) == (1, 1)
        first.go.set()
        await anyio.wait_all_tasks_blocked()
        assert (before, after) == ([1], [])
        third = await waiting(group, lambda: flights.join("a", second), 1)
        second.go.set()
    assert (after, third, second.calls) == ([1], [1], 1)


async def test_a_loader_that_reads_what_it_loads_is_told_and_does_not_wait_for_itself() -> None:
    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")

        async def inner(flight: Flight) -> Any:
            return await flights.join("shop/d:a", outer)

        async def outer(flight: Flight) -> Any:
            return await flights.join("shop/d:b", inner)

        with pytest.raises(RecursiveLoader, match="'a'"):
            await flights.join("shop/d:a", outer)


async def test_a_flight_ends_with_the_deadline_of_who_began_it_and_others_begin_anew() -> None:
    source = Source()
    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")
        with anyio.move_on_after(0.01) as scope:
            await flights.join("a", source)
        assert scope.cancelled_caught
        found = await waiting(group, lambda: flights.join("a", source), 1)
        source.go.set()
    assert (source.calls, found) == (2, [2])


async def test_P10_a_flight_keeps_its_seat_when_the_one_who_began_it_has_left() -> None:
    scheduler, source = Scheduler(PrioritySettings(total=2)), Source()
    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")

        async def call(level: Priority, scope: anyio.CancelScope) -> None:
            seat = scheduler.enter(level)
            token = context.enter_seat(seat)
            try:
                with scope:
                    await flights.join("a", source)
            finally:
                context.leave_seat(token)
                seat.release()

        first, second = anyio.CancelScope(), anyio.CancelScope()
        group.start_soon(call, Priority.LOW, first)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(call, Priority.HIGH, second)
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        assert scheduler.statistics().in_use == 2  # the second's own, and the first's that the flight still runs on
        second.cancel()
        await anyio.wait_all_tasks_blocked()
        assert scheduler.statistics().in_use == 0


async def test_a_flight_that_is_begun_for_nobody_runs_once() -> None:
    source = Source()
    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")
        flights.begin("a", source)
        flights.begin("a", source)
        await anyio.wait_all_tasks_blocked()
        assert source.calls == 1
        flights.forget_all()
        source.go.set()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_comes_out_of_the_work_itself_is_its_error_and_ends_nothing_else() -> None:
    async def broken(flight: Flight) -> None:
        inner = asyncio.ensure_future(asyncio.sleep(10))
        inner.cancel()
        await inner

    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")
        for _ in range(2):
            with pytest.raises(Escaped, match="CancelledError got out of the source of"):
                await flights.join("shop/d:a", broken)
        source = Source()
        source.go.set()
        assert await flights.join("shop/d:a", source) == 1


async def test_a_flight_that_ends_with_its_service_says_so_to_those_who_wait() -> None:
    seen: list[Exception] = []
    async with anyio.create_task_group() as callers, anyio.create_task_group() as group:
        flights = Flights(group, "shop")

        async def one() -> None:
            try:
                await flights.join("a", Source())
            except ServiceUnavailable as error:
                seen.append(error)

        callers.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert len(seen) == 1


async def seen_at(flights: Flights, source: Source, lease: Lease) -> Any:
    """Join, as one whose lookup gave a lease."""

    async def work(flight: Flight) -> int:
        flight.lease = lease
        return await source(flight)

    return await flights.join("a", work, guards=("t",), lease=lease)


@pytest.mark.parametrize(
    ("first", "second", "joins"),
    [
        (Lease(3, (("t", 1),)), Lease(3, (("t", 1),)), True),
        (Lease(3, (("t", 1),)), Lease(4, (("t", 1),)), False),
        (Lease(3, (("t", 1),)), Lease(3, (("t", 2),)), False),
        (Lease(4, (("t", 2),)), Lease(3, (("t", 1),)), True),  # the flight knows more
        (Lease(3), Lease(-1), True),  # its store did not answer
    ],
)
async def test_D1_who_has_seen_a_newer_state_does_not_join_a_flight_from_before_it(
    first: Lease, second: Lease, joins: bool
) -> None:
    source = Source()
    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")
        await waiting(group, lambda: seen_at(flights, source, first), 1)
        await waiting(group, lambda: seen_at(flights, source, second), 1)
        assert source.calls == (1 if joins else 2)
        source.go.set()


@pytest.mark.parametrize(("version", "joins"), [(3, True), (4, False)])
@pytest.mark.parametrize("by_guard", [False, True])
async def test_D4_a_late_report_of_what_a_flight_has_seen_already_begins_no_other(
    version: int, joins: bool, by_guard: bool
) -> None:
    source, lease = Source(), Lease(3, (("t", 3),))
    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")
        await waiting(group, lambda: seen_at(flights, source, lease), 1)
        if by_guard:
            flights.forget_guard("t", version)
        else:
            flights.forget("a", version)
        await waiting(group, lambda: seen_at(flights, source, lease), 1)
        assert source.calls == (1 if joins else 2)
        source.go.set()


async def test_two_flights_that_would_wait_for_each_other_are_told_so() -> None:
    """Begun by two requests, neither of which was in the other's flight, they waited for ever."""
    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")
        both = anyio.Event()

        def reading(other: str) -> Callable[[Flight], Awaitable[Any]]:
            async def work(flight: Flight) -> Any:
                if flights.statistics().begun == 2:
                    both.set()
                await both.wait()
                return await flights.join(other, works[other])

            return work

        works = {"a": reading("b"), "b": reading("a")}
        errors: list[RecursiveLoader] = []

        async def ask(key: str) -> None:
            try:
                await flights.join(key, works[key])
            except RecursiveLoader as error:
                errors.append(error)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as askers:
                askers.start_soon(ask, "a")
                askers.start_soon(ask, "b")
        assert len(errors) == 2


async def test_D4_a_flight_lasts_as_long_as_the_most_patient_who_waits() -> None:
    source = Source()
    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")

        async def hurried() -> None:
            with anyio.move_on_after(0.5):
                await flights.join("a", source)
            source.go.set()

        group.start_soon(hurried)
        await anyio.wait_all_tasks_blocked()
        found = await flights.join("a", source)
    assert (source.calls, found) == (1, 1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_work_that_cancels_its_own_task_has_failed_and_ends_nothing_else() -> None:
    """It took the service down for good, without a word."""

    async def suicidal(flight: Flight) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await anyio.sleep(10)

    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")
        with pytest.raises(Escaped, match="CancelledError got out of the source of"):
            await flights.join("shop/d:a", suicidal)
        source = Source()
        source.go.set()
        assert await flights.join("shop/d:a", source) == 1


@pytest.mark.parametrize("anyio_backend", [virtual_trio()])
async def test_a_flight_that_is_to_be_finished_lasts_as_long_as_somebody_waits_and_a_while_when_nobody_does() -> None:
    """One that took longer than that while was cancelled and begun anew for ever, with all who waited for it."""
    ended: list[str] = []

    def work(name: str, seconds: float) -> Callable[[Flight], Awaitable[str]]:
        async def run(flight: Flight) -> str:
            await anyio.sleep(seconds)
            ended.append(name)
            return name

        return run

    async with anyio.create_task_group() as group:
        flights = Flights(group, "shop")
        assert await flights.join("a", work("waited for", 2 * LONGEST), finish=True) == "waited for"
        for name, seconds in (("short", LONGEST - 20), ("long", LONGEST + 20)):
            with anyio.move_on_after(10):
                await flights.join(name, work(name, seconds), finish=True)
        await anyio.sleep(2 * LONGEST)
    assert ended == ["waited for", "short"]
    assert flights.statistics().begun == 3
