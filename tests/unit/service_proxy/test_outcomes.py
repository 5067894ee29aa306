"""X6: what an outcome says of a call: whether it is degraded, why, how old it is, and after how many attempts."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.unit.service_proxy.scripted import ENDS, OK, Answer, answered, cut, refused, status

from evox import ServiceBuilder
from evox.core import proxy
from evox.errors import (
    CallError,
    CallFailed,
    CallTimeout,
    CallUnavailable,
    UnusableAnswer,
)
from evox.service_proxy import NoAnswer, Reply
from evox.service_proxy.calls import Outcome
from evox.testing import run_virtual, running


def never(*_: Any) -> Any:
    raise AssertionError("a fallback was asked")


@pytest.mark.parametrize(
    ("answers", "kind", "attempts"),
    [
        ([status(503)], CallUnavailable, 3),
        ([status(500)], CallFailed, 1),
        ([refused()], CallUnavailable, 3),
        ([refused(), cut(), status(500)], CallFailed, 3),
        ([status(503), Reply(200, b"{no json")], UnusableAnswer, 2),
        ([status(503), NoAnswer("its time was over", sent=True, is_timeout=True)], CallTimeout, 2),
    ],
    ids=str,
)
async def test_X6_an_outcome_says_that_it_is_degraded_why_and_after_how_many_attempts(
    answers: list[Answer], kind: type[CallError], attempts: int
) -> None:
    """It said one attempt whenever the last of them had no answer, and so did the error without a fallback."""
    async with answered(*answers):
        found = await proxy.users.read().with_fallback("instead").outcome()
        assert (found.value, found.degraded, found.age, found.attempts) == ("instead", True, 0.0, attempts)
        assert found.error is not None
        assert type(found.error) is kind
        assert found.error.attempts == attempts
    for end in ENDS:
        async with answered(*answers):
            with pytest.raises(kind) as caught:
                await end(proxy.users.read())
            assert type(caught.value) is kind
            assert caught.value.attempts == attempts


async def test_X6_an_outcome_says_that_all_is_well_and_after_how_many_attempts() -> None:
    async with answered(status(503), refused(), OK):
        assert await proxy.users.read().outcome() == Outcome(1, degraded=False, age=0.0, attempts=3, error=None)


async def test_X6_a_refusal_after_a_retry_says_how_often_it_was_tried() -> None:
    async with answered(status(503), status(404)):
        with pytest.raises(CallError, match="tried 2 times") as caught:
            await proxy.users.read().outcome()
        assert caught.value.attempts == 2


def test_X6_an_old_answer_of_the_callees_cache_is_degraded_and_says_its_age() -> None:
    users, broken = ServiceBuilder("users"), False

    @users.get("/rates", cache=10, fallback="aggressive", max_stale=600)
    async def rates() -> dict[str, int]:
        if broken:
            raise RuntimeError("the source is down")
        return {"eur": 1}

    async def main() -> None:
        nonlocal broken
        async with running(ServiceBuilder("orders"), users):
            assert await proxy.users.rates().outcome() == Outcome({"eur": 1})
            await anyio.sleep(4)
            kept = await proxy.users.rates().outcome()
            assert (kept.degraded, kept.age, kept.error) == (False, 4.0, None)
            broken = True
            await anyio.sleep(96)
            old = await proxy.users.rates().with_fallback(never).outcome()
            assert (old.value, old.degraded, old.age, old.attempts) == ({"eur": 1}, True, 100.0, 1)
            assert old.error is None
            await anyio.sleep(600)
            gone = await proxy.users.rates().with_fallback({}).outcome()
            assert (gone.value, gone.degraded, gone.age) == ({}, True, 0.0)
            assert isinstance(gone.error, CallFailed)

    run_virtual(main)
