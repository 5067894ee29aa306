"""Priorities: what is promised of admission, held against the shipped scheduler with the seats that the project has.

Those of the process and, where a service has seats of its own, those too. One check tries whole requests: that what
comes by HTTP is admitted by the scheduler at all.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import anyio

from evox.config import PrioritySettings
from evox.scheduling import Priority
from evox.services import ServiceBuilder
from evox.testing.harness import running
from evox.testing.selftest.levels import Crowd, crowd, fill, flood
from evox.testing.selftest.project import Check, Project
from evox.testing.selftest.results import Failed, Skipped

__all__ = ["priority_checks"]

LOWS: Final = 200
FIX: Final = "this is a fault of Evox itself: install it anew, or report it with this line"


class _Crowds:
    """What was seen of crowds, each drawn once for all checks that look at it."""

    def __init__(self) -> None:
        self._seen: dict[str, Crowd] = {}

    def __repr__(self) -> str:
        return f"<crowds on the seats of {', '.join(self._seen) or 'nobody yet'}>"

    def of(self, whose: str, settings: PrioritySettings) -> Crowd:
        if whose not in self._seen:
            self._seen[whose] = crowd(settings)
        return self._seen[whose]


_Look = Callable[[str, PrioritySettings, _Crowds], None]


def priority_checks(project: Project) -> Iterator[Check]:
    """Yield what must hold of admission."""
    seats, crowds = _seats(project), _Crowds()
    looks: list[tuple[str, _Look]] = [
        (f"a HIGH waiting behind {LOWS} LOW is next", _high_is_next),
        ("a level never goes before a higher one that could run", _strict),
        ("no level has more seats than its cap", _capped),
        ("who came first in a level goes first", _in_order),
        ("nobody waits while there is room", _at_work),
        ("every request is accounted for", _accounted),
    ]
    for name, look in looks:
        yield Check("framework", f"priority: {name}", partial(_of_all, seats, look, crowds))
    yield Check("framework", "priority: requests are admitted by level", _by_requests, virtual=True)


def _seats(project: Project) -> dict[str, PrioritySettings]:
    own = {f"service {one.name!r}": one.settings.concurrency for one in project.services}
    return {"the process": project.loaded.settings.priority} | {
        name: found for name, found in own.items() if found is not None
    }


async def _of_all(seats: dict[str, PrioritySettings], look: _Look, crowds: _Crowds) -> None:
    for whose, settings in seats.items():
        look(whose, settings, crowds)
        await anyio.lowlevel.checkpoint()


def _high_is_next(whose: str, settings: PrioritySettings, crowds: _Crowds) -> None:
    del crowds
    made = Crowd(settings)
    for level in Priority:
        for _ in range(settings.reserve.of(level.label)):
            made.arrive(level)
    fill(made, list(Priority))
    for _ in range(min(LOWS, settings.queue.low)):
        made.arrive(Priority.LOW)
    high = made.arrive(Priority.HIGH)
    level, index = min((level, index) for index, (level, _) in enumerate(made.holding))
    if high not in made.waiting[Priority.HIGH] or level is Priority.LOW:
        raise Skipped(f"with the seats of {whose} no HIGH can wait behind a LOW")
    made.leave(index)  # one of HIGH if there is one: it may have as many as it may
    first = made.grants[0] if made.grants else None
    if first is None or first.level is not Priority.HIGH:
        got = "nobody" if first is None else f"one of {first.level.label}"
        raise Failed(f"with the seats of {whose} {got} got the seat that became free", "the one of high", FIX)


def _strict(whose: str, settings: PrioritySettings, crowds: _Crowds) -> None:
    for one in crowds.of(whose, settings).grants:
        if one.earlier:
            seen = f"with the seats of {whose} one of {one.level.label} got a seat before one of {one.earlier[0].label}"
            raise Failed(seen, "strict order, reserves first", FIX)


def _capped(whose: str, settings: PrioritySettings, crowds: _Crowds) -> None:
    over = [
        said for made in (crowds.of(whose, settings), *(flood(settings, one) for one in Priority)) for said in made.over
    ]
    if over:
        raise Failed(f"with the seats of {whose}: {over[0]}", "never more than total and cap", FIX)


def _in_order(whose: str, settings: PrioritySettings, crowds: _Crowds) -> None:
    for one in crowds.of(whose, settings).grants:
        if one.passed is not None:
            seen = f"with the seats of {whose} number {one.number} of {one.level.label} went before {one.passed}"
            raise Failed(seen, "first come, first served", FIX)


def _at_work(whose: str, settings: PrioritySettings, crowds: _Crowds) -> None:
    idle = crowds.of(whose, settings).idle
    if idle:
        raise Failed(f"with the seats of {whose}: {idle[0]}", "that it runs at once", FIX)


def _accounted(whose: str, settings: PrioritySettings, crowds: _Crowds) -> None:
    made = crowds.of(whose, settings)
    for told in made.scheduler.statistics().levels:
        level = told.level
        counted = (made.arrived[level], made.admitted[level], made.rejected[level], made.cancelled[level])
        said = (told.arrived, told.admitted, sum(told.rejected.values()), told.cancelled)
        if counted != said or told.queued != len(made.waiting[level]) or told.arrived != sum(said[1:]) + told.queued:
            seen = f"of {level.label} of {whose}: arrived, admitted, rejected, cancelled {said}, queued {told.queued}"
            raise Failed(seen, f"{counted}, and {len(made.waiting[level])}", FIX)


async def _by_requests() -> None:
    probe = ServiceBuilder("selftest-levels").concurrency(total=1, high=1, medium=1, low=1, queue=50, max_wait="1h")
    began, go_on, order = anyio.Event(), anyio.Event(), list[str]()

    @probe.get("/first", priority="low")
    async def first() -> None:
        began.set()
        await go_on.wait()

    @probe.get("/low", priority="low")
    async def low() -> None:
        order.append("low")

    @probe.get("/high", priority="high")
    async def high() -> None:
        order.append("high")

    async with running(probe) as env, anyio.create_task_group() as group:
        client = env.client(probe)
        group.start_soon(client.get, "/first")
        await began.wait()
        for path in (*["/low"] * 20, "/high"):
            group.start_soon(client.get, path)
            await anyio.wait_all_tasks_blocked()
        go_on.set()
    if order != ["high", *["low"] * 20]:
        seen = f"handlers ran in the order {', '.join(order[:3])}, ..., {len(order)} of them"
        raise Failed(seen, "high first, then 20 of low", FIX)
