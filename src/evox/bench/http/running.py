"""Running: from what somebody asks for to all that was found out."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

import anyio

from evox.bench.calling import CALLS, ROUNDS, Measured, calling
from evox.bench.http.contestants import chosen, versions
from evox.bench.http.machine import machine
from evox.bench.http.measuring import CONNECTIONS, Load, Plan, measure
from evox.bench.http.questions import named
from evox.bench.http.result import Result
from evox.bench.http.servers import cores
from evox.bench.http.wrk import available

__all__ = ["run"]

_WHOLE: Final = 3.0  # seconds for each loop that calls within the process are measured for, when they are measured well


def run(
    *,
    only: Sequence[str] = (),
    against: Sequence[str] = (),
    rounds: int = 3,
    seconds: float = 1.0,
    connections: int = CONNECTIONS,
    load: Load | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """Measure.

    Args:
        only: Names of questions; all where none is named.
        against: Names or families of peers; all where none is named.
        rounds: Turns that each contestant has at each question.
        seconds: Length of a turn. wrk rounds it up to whole ones.
        connections: Open at a time where a question does not say.
        load: Who sends small requests. None is wrk, where it is installed and a turn is a second at least.
        progress: Is told what is going on.
    """
    contestants, questions, here = chosen(against), named(only), machine()
    missing = {one.name: one.missing for one in contestants if one.missing}
    plan = Plan(
        [one for one in contestants if one.name not in missing],
        [one for one in questions if one.kind != "calls"],
        rounds,
        seconds,
        load or ("wrk" if available() and seconds >= 1 else "shipped"),
        cores(),
        connections,
    )
    tables = measure(plan, progress) if plan.questions else []
    calls = {}
    if len(plan.questions) < len(questions):
        progress("calls within the process")
        calls = {backend: _calls(backend, rounds * seconds / _WHOLE) for backend in ("trio", "asyncio")}
    return Result(plan, here, versions(), missing, tables, calls)


def _calls(backend: str, scale: float) -> list[Measured]:
    logging.getLogger("evox").setLevel(logging.ERROR)
    rounds, calls = max(3, int(ROUNDS * min(scale, 1))), max(2, int(CALLS * min(scale, 1)))
    return anyio.run(lambda: calling(calls=calls, rounds=rounds), backend=backend)
