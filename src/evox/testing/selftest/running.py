"""Running: checks one after the other, each on a loop of its own and with a limit.

A check that waits too long is cancelled. One that holds the loop itself cannot be, so whoever may end the process gives
``on_stuck``, which is told what there is so far.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import anyio

from evox.errors import EvoxError
from evox.errors.secrets import masked
from evox.errors.words import words_of
from evox.failures import root_cause, user_frames
from evox.runtime import Choice, end_if_stuck, run
from evox.testing.selftest.project import Check
from evox.testing.selftest.results import Failed, Result, Skipped
from evox.testing.selftest.virtual import run_in_virtual_time

__all__ = ["run_checks"]

MONTH: Final = 30 * 86_400.0  # virtual seconds, which are over at once
GRACE: Final = 3.0  # seconds that a check may go on after it was cancelled
OnStuck = Callable[[list[Result]], int]


def run_checks(
    checks: Iterable[Check],
    loop: Choice,
    *,
    on_result: Callable[[Result], None] = lambda _: None,
    on_stuck: OnStuck | None = None,
) -> list[Result]:
    """Run checks and return what became of them.

    Args:
        checks: What must hold.
        loop: The loop that the project runs on.
        on_result: Called with each result at once.
        on_stuck: Called in a thread with all results, the last one being that of the check which holds the loop;
            returns the exit code with which the process ends. None leaves it alone.
    """
    results: list[Result] = []
    with _quiet():
        for check in checks:
            began = time.perf_counter()
            timer = None
            if on_stuck is not None:
                timer = end_if_stuck(check.limit + GRACE, lambda: _stuck(on_stuck, check, results))  # noqa: B023
            try:
                found = _result(check, loop, began)
            finally:
                if timer is not None:
                    timer.cancel()
            results.append(found)
            on_result(found)
    return results


def _result(check: Check, loop: Choice, began: float) -> Result:
    try:
        why, ok, skipped = _run(check, loop) or "", True, False
    except Exception as error:  # noqa: BLE001  whatever it is, it is why the check does not hold
        cause = root_cause(error)
        skipped = isinstance(cause, Skipped)
        ok, why = skipped, str(cause) if isinstance(cause, Skipped) else _why(cause)
    return Result(check.group, check.name, ok, skipped, masked(why), time.perf_counter() - began)


def _run(check: Check, loop: Choice) -> str | None:
    limit = MONTH if check.virtual else check.limit

    async def bounded() -> str | None:
        with anyio.move_on_after(limit):
            return await check.run()
        raise Failed(
            f"it was not done within {'a month of virtual time' if check.virtual else f'{limit:g} s'}",
            "that it ends",
            "see what it waits for: what it talks to may be down, or this machine too busy",
        )

    return run_in_virtual_time(loop.backend, bounded) if check.virtual else run(loop, bounded)


def _why(error: BaseException) -> str:
    """Return what is wrong in the three lines of a failure."""
    if isinstance(error, Failed):
        return str(error)
    if isinstance(error, EvoxError):
        seen = f"{error.id}: {error.what}" + (f": {error.why}" if error.why else "")
        return str(Failed(seen, "no error", error.fix or "see what it says"))
    at = "".join(f", at {place}" for place in user_frames(error)[-1:])
    return str(Failed(f"{type(error).__name__}: {words_of(error)}{at}", "no error", "correct what raises it"))


def _stuck(on_stuck: OnStuck, check: Check, results: Sequence[Result]) -> int:
    seen = f"it holds the loop for {check.limit + GRACE:.0f} s"
    why = str(Failed(seen, "that it waits with await, or ends", "look for a blocking call or an endless loop"))
    return on_stuck([*results, Result(check.group, check.name, ok=False, why=why, seconds=check.limit + GRACE)])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what checks provoke out of the log: refusals, full queues and sources that fail are what they are about."""
    log = logging.getLogger("evox")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)
