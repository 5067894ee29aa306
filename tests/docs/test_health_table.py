"""The table of states and probes in the decision on restarts and health is what health really answers."""

from typing import Any, Final

import anyio
import pytest
from tests.docs.pages import ROOT

from evox.runtime import BackgroundTask, Lifecycle, RestartPolicy, Runner, State
from evox.services.health import Check, Checks

PAGE: Final = ROOT / "docs" / "decisions" / "0008-restarts-and-health.md"
UP: Final = (State.STARTING, State.READY)
# What each row of the table means: the ways into its state, and what is wrong with the service besides.
ROWS: Final[dict[str, tuple[list[tuple[State, ...]], str]]] = {
    "STARTING, the first time": ([(State.STARTING,)], ""),
    "READY": ([UP], ""),
    "READY, a background task given up": ([UP], "task"),
    "READY, a check of yours fails": ([UP], "check"),
    "RESTARTING, STARTING again, DRAINING": (
        [(*UP, State.RESTARTING), (*UP, State.RESTARTING, State.STARTING), (*UP, State.DRAINING)],
        "",
    ),
    "FAILED": ([(*UP, State.FAILED)], ""),
}


async def broken() -> bool:
    raise ValueError("broken")


async def fine() -> bool:
    return True


async def answers(walk: tuple[State, ...], wrong: str) -> list[str]:
    """Return what the four probes answer to a service that went this way, in the words of the table."""
    threads = anyio.CapacityLimiter(1)
    task = BackgroundTask("task", broken if wrong == "task" else fine, restart=RestartPolicy(max_restarts=0))
    runner = Runner(task, "svc", threads=threads)
    await runner.run()
    lifecycle = Lifecycle("svc")
    for state in walk:
        lifecycle.move(state)
    checks = (Check("check", broken if wrong == "check" else fine),)
    health = Checks("svc", checks, lifecycle, (runner,), threads)
    words = {"pass": "200", "warn": "200 `warn`", "fail": "503"}
    return [words[(await health.report(probe)).status] for probe in ("overall", "live", "ready", "startup")]


def table() -> dict[str, Any]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def test_the_table_of_states_has_the_rows_that_are_checked() -> None:
    assert list(table()) == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
async def test_a_row_of_the_table_of_states_is_what_health_answers(row: str) -> None:
    ways, wrong = ROWS[row]
    for walk in ways:
        assert await answers(walk, wrong) == table()[row]
