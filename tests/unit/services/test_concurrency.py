"""Seats of a service's own: what `.concurrency(...)` is given reaches its scheduler, or is refused with its line."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.services.conftest import Load

from evox import Service, service
from evox.errors import InvalidDeclaration, LateDeclaration
from evox.scheduling import SchedulerStatistics
from evox.testing import running


async def seats(svc: Service) -> SchedulerStatistics:
    async with running(svc) as env:
        return env.service(svc).scheduler.statistics()


async def test_without_it_a_service_shares_the_seats_of_the_process() -> None:
    first, second = service("first"), service("second")
    async with running(first, second) as env:
        runtime = env.service(first).runtime.scheduler
        assert env.service(first).scheduler is env.service(second).scheduler is runtime
        assert runtime.statistics().total == 200


async def test_with_it_a_service_has_seats_of_its_own() -> None:
    first, second = service("first").concurrency(total=3), service("second")
    async with running(first, second) as env:
        own = env.service(first).scheduler
        assert own is not env.service(second).scheduler
        assert (own.statistics().total, own.statistics().name) == (3, "service 'first'")
        assert env.service(second).scheduler.statistics().total == 200


async def test_with_nothing_given_it_has_the_defaults_and_they_are_its_own() -> None:
    svc, other = service("shop").concurrency(), service("other")
    async with running(svc, other, settings={"priority": {"total": 7}}) as env:
        shown = env.service(svc).scheduler.statistics()
        assert (shown.total, [one.cap for one in shown.levels]) == (200, [200, 160, 100])
        assert env.service(other).scheduler.statistics().total == 7


async def test_all_that_is_given_reaches_the_scheduler() -> None:
    svc = service("shop").concurrency(
        total=10, high=9, medium=7, low=3, queue={"low": 4}, reserve={"medium": 2, "low": 1}, per_client=6
    )
    shown = await seats(svc)
    assert (shown.total, [one.cap for one in shown.levels]) == (10, [9, 7, 3])
    assert [one.bound for one in shown.levels] == [1000, 1000, 4]
    assert [one.reserve for one in shown.levels] == [0, 2, 1]


@pytest.mark.parametrize("queue", [0, 5])
async def test_one_number_for_the_queue_is_that_of_each_level(queue: int) -> None:
    shown = await seats(service("shop").concurrency(queue=queue))
    assert [one.bound for one in shown.levels] == [queue] * 3


@pytest.mark.parametrize("per_client", [None, 1])
async def test_clients_are_limited_where_it_says_so(per_client: int | None) -> None:
    svc = service("shop").concurrency(total=5, per_client=per_client)
    async with running(svc) as env:
        assert env.service(svc).scheduler.limits_clients is (per_client is not None)


@pytest.mark.parametrize("wait", [0.25, "250ms", timedelta(milliseconds=250)])
def test_a_wait_is_written_in_any_form(wait: Any) -> None:
    settings = service("shop").concurrency(max_wait=wait).settings.concurrency
    assert settings is not None
    assert settings.max_wait == 0.25


def test_it_gives_the_builder_back() -> None:
    svc = service("shop")
    assert svc.concurrency(total=5).port(0).concurrency(total=6) is svc
    assert svc.settings.concurrency is not None
    assert svc.settings.concurrency.total == 6


REFUSED: list[tuple[str, Any]] = [
    *((name, bad) for name in ("total", "high", "medium", "low", "per_client") for bad in (0, -1, True, 2.5, "many")),
    ("total", float("nan")),
    ("high", 201),
    ("medium", 201),
    ("low", 201),
    ("queue", -1),
    ("queue", True),
    ("queue", 2.5),
    ("queue", "long"),
    ("queue", [1, 2, 3]),
    ("queue", {"low": -1}),
    ("queue", {"urgent": 1}),
    ("reserve", 1),
    ("reserve", {"low": -1}),
    ("reserve", {"low": True}),
    ("reserve", {"low": 101}),
    ("reserve", {"high": 100, "medium": 100, "low": 100}),
    ("reserve", {"urgent": 1}),
    ("max_wait", 0),
    ("max_wait", -1),
    ("max_wait", "soon"),
    ("max_wait", float("nan")),
    ("max_wait", True),
]


@pytest.mark.parametrize(("option", "value"), REFUSED, ids=[f"{row[0]}-{n}" for n, row in enumerate(REFUSED)])
def test_what_does_not_fit_is_refused_by_its_option_and_the_users_line(load: Load, option: str, value: Any) -> None:
    source = (
        f"nan = float('nan')\n\nfrom evox import service\n\n\nsvc = service('shop').concurrency({option}={value!r})\n"
    )
    with pytest.raises(InvalidDeclaration) as caught:
        load(source)
    error = caught.value
    assert error.what == f"{option}={value!r} on service 'shop' does not fit"
    assert (error.fix, "concurrency(...)" in error.why) == (f"correct {option}= in the line below", True)
    assert error.place is not None
    assert (error.place.file.split("/")[-1].startswith("user_module_"), error.place.line) == (True, 6)


def test_the_line_is_that_of_the_call_when_it_is_not_where_the_service_began(load: Load) -> None:
    with pytest.raises(InvalidDeclaration) as caught:
        load("from evox import service\n\nsvc = service('shop')\n\nsvc.concurrency(total=0)\n")
    assert caught.value.place is not None
    assert caught.value.place.line == 5


CONTRADICTING: list[tuple[dict[str, Any], str, str]] = [
    ({"total": 5, "low": 6}, "low", "a level cannot have 6 of 5 seats; total is 5"),
    ({"total": 5, "high": 6}, "high", "a level cannot have 6 of 5 seats; total is 5"),
    ({"total": 10, "reserve": {"low": 6}}, "reserve", "6 seats kept for 'low', which may have 5"),
    ({"total": 10, "low": 1, "reserve": {"low": 2}}, "reserve", "2 seats kept for 'low', which may have 1"),
    ({"total": 10, "reserve": {"high": 6, "low": 5}}, "reserve", "11 seats are kept, and there are 10"),
]


@pytest.mark.parametrize(("given", "option", "why"), CONTRADICTING, ids=range(len(CONTRADICTING)))
def test_numbers_that_contradict_each_other_are_refused_and_both_named(
    given: dict[str, Any], option: str, why: str
) -> None:
    with pytest.raises(InvalidDeclaration) as caught:
        service("shop").concurrency(**given)
    assert caught.value.what == f"{option}={given[option]!r} on service 'shop' does not fit"
    assert caught.value.why == f"in concurrency(...): {why}"


@pytest.mark.parametrize("option", ["queue", "reserve"])
def test_an_unknown_level_is_refused_and_the_levels_are_named(option: str) -> None:
    with pytest.raises(InvalidDeclaration) as caught:
        service("shop").concurrency(**{option: {"urgent": 1}})  # type: ignore[arg-type]
    assert all(level in caught.value.why for level in ("high", "medium", "low"))


def test_what_was_refused_changes_nothing() -> None:
    svc = service("shop").concurrency(total=5)
    with pytest.raises(InvalidDeclaration):
        svc.concurrency(total=0)
    assert svc.settings.concurrency is not None
    assert svc.settings.concurrency.total == 5


def test_an_unknown_option_is_no_argument() -> None:
    with pytest.raises(TypeError, match="totl"):
        service("shop").concurrency(totl=5)  # type: ignore[call-arg]


async def test_after_the_start_it_is_refused() -> None:
    svc = service("shop")
    async with running(svc) as env:
        with pytest.raises(LateDeclaration, match="concurrency"):
            svc.concurrency(total=5)
        assert env.service(svc).scheduler.statistics().total == 200


async def test_a_service_that_starts_again_has_the_same_seats() -> None:
    svc = service("shop").concurrency(total=5)
    assert [(await seats(svc)).total for _ in range(2)] == [5, 5]
