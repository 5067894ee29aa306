"""``evox health --test`` notices: each fault that is planted in the framework is found by the check named for it."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.selftests import failing, project_of, results_of

from evox.auth import Key, Requirement, claims
from evox.config import PrioritySettings
from evox.data import policy_of
from evox.data.backends.memory import MemoryBackend
from evox.data.backends.sqlite import SQLiteBackend
from evox.scheduling import Priority, Scheduler, Seat
from evox.service_proxy import OperationHandle
from evox.services import caching, compiling, guard, http
from evox.services.admission import AdmitStep
from evox.services.controllers import controller_of
from evox.services.injection import Container, Overrides

Plant = Callable[[pytest.MonkeyPatch], None]


def two_levels_swapped(patch: pytest.MonkeyPatch) -> None:
    shipped = Scheduler._next

    def fault(self: Scheduler) -> Any:
        high, medium, low = before = self._lines
        self._lines = (low, medium, high)
        try:
            return shipped(self)
        finally:
            self._lines = before

    patch.setattr(Scheduler, "_next", fault)


def caps_forgotten(patch: pytest.MonkeyPatch) -> None:
    shipped = Scheduler._set

    def fault(self: Scheduler, numbers: PrioritySettings) -> None:
        shipped(self, numbers)
        for line in self._lines:
            line.cap = self._total
            line.account.total_tokens = self._total

    patch.setattr(Scheduler, "_set", fault)


def last_come_first_served(patch: pytest.MonkeyPatch) -> None:
    class Stack(OrderedDict[Seat, None]):
        def popitem(self, last: bool = True) -> tuple[Seat, None]:
            return super().popitem(last=not last)

    shipped = Scheduler._set

    def fault(self: Scheduler, numbers: PrioritySettings) -> None:
        shipped(self, numbers)
        for line in self._lines:
            line.waiting = Stack(line.waiting)

    patch.setattr(Scheduler, "_set", fault)


def nobody_called_when_a_seat_is_free(patch: pytest.MonkeyPatch) -> None:
    shipped, calls = Scheduler._pump, iter(range(10**9))

    def fault(self: Scheduler) -> None:
        if next(calls) % 2:
            shipped(self)

    patch.setattr(Scheduler, "_pump", fault)


def those_who_go_not_counted(patch: pytest.MonkeyPatch) -> None:
    def fault(self: Scheduler, seat: Seat) -> None:
        del self._lines[seat.line].waiting[seat]

    patch.setattr(Scheduler, "leave", fault)


def reserves_forgotten(patch: pytest.MonkeyPatch) -> None:
    shipped = Scheduler._set

    def fault(self: Scheduler, numbers: PrioritySettings) -> None:
        shipped(self, numbers)
        self._reserved = ()

    patch.setattr(Scheduler, "_set", fault)


def every_request_of_one_level(patch: pytest.MonkeyPatch) -> None:
    shipped = AdmitStep.compile

    def fault(self: AdmitStep, endpoint: Any, then: Any) -> Any:
        return shipped(self, replace(endpoint, priority=Priority.MEDIUM), then)

    patch.setattr(AdmitStep, "compile", fault)


def policies_with(patch: pytest.MonkeyPatch, **changes: Any) -> None:
    patch.setattr(caching, "policy_of", lambda *given, **named: replace(policy_of(*given, **named), **changes))


def never_stale(patch: pytest.MonkeyPatch) -> None:
    policies_with(patch, max_stale=0.0)


def always_stale(patch: pytest.MonkeyPatch) -> None:
    policies_with(patch, max_stale=1e9)


def never_fresh(patch: pytest.MonkeyPatch) -> None:
    policies_with(patch, ttl=1.0)


def everybody_let_through(patch: pytest.MonkeyPatch) -> None:
    async def fault(*_: Any, **__: Any) -> None: ...

    patch.setattr(guard, "_let_through", fault)


def roles_ignored(patch: pytest.MonkeyPatch) -> None:
    def fault(self: Requirement, principal: Any) -> str | None:
        return None if self.public or principal.is_authenticated else "nobody has said who calls"

    patch.setattr(Requirement, "refusal", fault)


def everybody_refused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Requirement, "refusal", lambda self, _: None if self.public else "nobody may")


def undeclared_let_through(patch: pytest.MonkeyPatch) -> None:
    shipped = guard.pass_through

    def fault(*given: Any, asks: bool) -> None:
        shipped(*given, asks=False)

    patch.setattr(guard, "pass_through", fault)


def expired_accepted(patch: pytest.MonkeyPatch) -> None:
    shipped = claims.times

    def fault(found: Any, now: float, **limits: Any) -> float:
        return shipped(found, min(now, found["exp"] - 1), **limits)

    patch.setattr(claims, "times", fault)


def signatures_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Key, "verify", lambda *_: True)


def overrides_without_effect(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def fault(*_: Any) -> Iterator[None]:
        yield

    patch.setattr(Overrides, "put", fault)


def overrides_that_stay(patch: pytest.MonkeyPatch) -> None:
    shipped = Overrides.put

    @contextmanager
    def fault(self: Overrides, thing: Any, fake: Any) -> Iterator[None]:
        shipped(self, thing, fake).__enter__()
        yield

    patch.setattr(Overrides, "put", fault)


def new_instances_each_time(patch: pytest.MonkeyPatch) -> None:
    shipped = Container.resolve

    def fault(self: Container, thing: Any) -> Any:
        self._made.clear()
        return shipped(self, thing)

    patch.setattr(Container, "resolve", fault)


def first_handler_for_all_methods(patch: pytest.MonkeyPatch) -> None:
    shipped, made = http._endpoint, dict[str, Any]()
    patch.setattr(http, "_endpoint", lambda row: made.setdefault(row.path, shipped(row)))


def methods_lost_on_the_way(patch: pytest.MonkeyPatch) -> None:
    def fault(self: OperationHandle, name: str) -> Any:
        return OperationHandle(self._called._replace(method="GET"))

    patch.setattr(OperationHandle, "__getattr__", fault)


def controllers_without_priority(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(compiling, "controller_of", lambda target: replace(controller_of(target), options={}))


def writes_lost_in_memory(patch: pytest.MonkeyPatch) -> None:
    async def fault(self: MemoryBackend, key: str, entry: Any) -> int:
        return 1

    patch.setattr(MemoryBackend, "put", fault)


def writes_lost_in_a_file(patch: pytest.MonkeyPatch) -> None:
    async def fault(self: SQLiteBackend, key: str, entry: Any) -> int:
        return 1

    patch.setattr(SQLiteBackend, "put", fault)


@dataclass(frozen=True)
class Fault:
    """One fault, and the check that has to find it."""

    plant: Plant
    group: str
    found_by: str


FAULTS = [
    Fault(two_levels_swapped, "framework", "priority: a HIGH waiting behind 200 LOW is next"),
    Fault(two_levels_swapped, "framework", "priority: a level never goes before a higher one that could run"),
    Fault(reserves_forgotten, "framework", "priority: a level never goes before a higher one that could run"),
    Fault(caps_forgotten, "framework", "priority: no level has more seats than its cap"),
    Fault(last_come_first_served, "framework", "priority: who came first in a level goes first"),
    Fault(nobody_called_when_a_seat_is_free, "framework", "priority: nobody waits while there is room"),
    Fault(those_who_go_not_counted, "framework", "priority: every request is accounted for"),
    Fault(every_request_of_one_level, "framework", "priority: requests are admitted by level"),
    Fault(overrides_without_effect, "framework", "injection: inject.override is seen, and ends"),
    Fault(overrides_that_stay, "framework", "injection: inject.override is seen, and ends"),
    Fault(new_instances_each_time, "framework", "injection: inject gives one instance, made with what it needs"),
    Fault(
        first_handler_for_all_methods,
        "framework",
        "methods: each method of a path reaches its own handler by HTTP",
    ),
    Fault(methods_lost_on_the_way, "framework", "methods: each method of a path reaches its own handler by proxy"),
    Fault(
        controllers_without_priority,
        "framework",
        "syntax: functions and classes give equal endpoints and answers",
    ),
    Fault(never_fresh, "services", "cache: an answer is kept while it is fresh"),
    Fault(never_stale, "services", "cache: an old answer is served, with its age, while the source is down"),
    Fault(always_stale, "services", "cache: beyond max_stale the error is passed on"),
    Fault(everybody_let_through, "services", "auth: a call without a token is 401"),
    Fault(undeclared_let_through, "services", "auth: a call without a token is 401"),
    Fault(roles_ignored, "services", "auth: a token without the roles is 403"),
    Fault(everybody_refused, "services", "auth: a token with the roles is let through"),
    Fault(signatures_not_looked_at, "services", "auth: a forged token is refused"),
    Fault(signatures_not_looked_at, "services", "auth: a foreign token is refused"),
    Fault(expired_accepted, "services", "auth: an expired token is refused"),
    Fault(writes_lost_in_memory, "connection", "storage: memory (data.backend)"),
    Fault(writes_lost_in_a_file, "connection", "storage: sqlite:///shop.db (service shop)"),
]
SETTINGS = {
    "data": {"services": {"shop": "sqlite:///shop.db"}},
    "priority": {"total": 50, "queue": 300, "reserve": {"low": 2}},
}


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda one: f"{one.plant.__name__}-{one.found_by}")
def test_a_planted_fault_is_found_by_the_check_named_for_it(
    fault: Fault, loop: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = project_of(loop=loop, root=tmp_path, settings=SETTINGS)
    fault.plant(monkeypatch)
    assert fault.found_by in failing(results_of(fault.group, project, only=fault.found_by))


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_without_a_fault_every_one_of_these_checks_holds(loop: str, tmp_path: Path) -> None:
    found = results_of("all", project_of(loop=loop, root=tmp_path, settings=SETTINGS))
    assert failing(found) == set()
    assert {one.found_by for one in FAULTS} <= {name for name, one in found.items() if not one.skipped}
    assert list(tmp_path.iterdir()) == []
