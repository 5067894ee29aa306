"""X6: what is given in the stead of a service that is not available, and never in that of one that refuses."""

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.unit.service_proxy.scripted import ENDS, OK, Answer, Late, answered, cut, refused, status

from evox import ServiceBuilder
from evox.core import proxy
from evox.errors import (
    CallError,
    CallFailed,
    CallUnavailable,
    CircuitOpen,
    InvalidCall,
    UnknownOperation,
    UnknownService,
)
from evox.service_proxy import NoAnswer, Reply
from evox.service_proxy.calls import Outcome
from evox.testing import run_virtual, running

UNAVAILABLE: list[Answer] = [
    *map(status, (408, 429, 500, 501, 502, 503, 504, 599)),
    refused(),
    cut(),
    NoAnswer("its certificate is not believed", sent=False, final=True),
    NoAnswer("its answer is too long", sent=True, final=True),
    NoAnswer("its time was over", sent=True, is_timeout=True),
    Reply(200, b"{no json"),
    Reply(302, b"", {"location": "/elsewhere"}),
]
REFUSALS = (400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 423, 451)


def shown(answer: Answer) -> str:
    return str(answer.status) if isinstance(answer, Reply) else str(answer)


@pytest.mark.parametrize("answer", UNAVAILABLE, ids=shown)
async def test_X6_a_fallback_is_given_when_there_is_no_answer_of_use(answer: Answer) -> None:
    async with answered(answer):
        assert await proxy.users.read().with_fallback("instead") == "instead"
        assert (await proxy.users.read().with_fallback(None).outcome()).value is None
        with pytest.raises(CallFailed):
            await proxy.users.read()


@pytest.mark.parametrize("code", REFUSALS)
async def test_X6_no_fallback_is_given_for_a_refusal(code: int) -> None:
    async with answered(status(code)) as target:
        for end in ENDS:
            with pytest.raises(CallError) as caught:
                await end(proxy.users.read().with_fallback(never))
            assert caught.value.code == code
            assert not isinstance(caught.value, CallFailed)
        assert len(target.sent) == 2


def never(*_: Any) -> Any:
    raise AssertionError("a fallback was asked")


async def test_X6_no_fallback_is_given_for_a_call_that_cannot_be_made() -> None:
    svc = ServiceBuilder("users")

    @svc.get("/users/{user_id}")
    async def get_user(user_id: int) -> int:
        return user_id

    async with running(svc):
        with pytest.raises(UnknownService):
            await proxy.usrs.get_user(1).with_fallback(never)
        with pytest.raises(UnknownOperation):
            await proxy.users.get_usr(1).with_fallback(never)
        with pytest.raises(InvalidCall):
            await proxy.users.get_user(1, 2, 3).with_fallback(never)
        call = proxy.users.get_user(1).with_fallback(never)
        assert await call == 1
        with pytest.raises(InvalidCall):
            await call


async def test_X6_a_fallback_is_given_while_the_service_is_left_alone_and_nothing_is_sent() -> None:
    async with answered(status(500)) as target:
        for _ in range(10):
            assert await proxy.users.read().with_fallback(0) == 0
        found = await proxy.users.read().with_fallback(0).outcome()
        assert isinstance(found.error, CircuitOpen)
        assert (found.attempts, found.error.attempts, len(target.sent)) == (0, 0, 10)


class Counting:
    """Fallbacks that are functions of all sorts; they keep the errors that they were given."""

    def __init__(self) -> None:
        self.errors: list[CallError] = []

    def plain(self) -> str:
        return "instead"

    async def later(self) -> str:
        await anyio.lowlevel.checkpoint()
        return "instead"

    def told(self, error: CallError) -> str:
        self.errors.append(error)
        return "instead"

    async def told_later(self, error: CallError, /) -> str:
        await anyio.lowlevel.checkpoint()
        return self.told(error)

    def with_default(self, value: str = "instead", *rest: Any, **named: Any) -> str:
        assert not rest
        assert not named
        return value


@pytest.mark.parametrize(
    ("name", "given"), [("plain", 0), ("later", 0), ("told", 1), ("told_later", 1), ("with_default", 0)]
)
async def test_X6_a_fallback_may_be_a_function_sync_or_async_that_takes_the_error_or_does_not(
    name: str, given: int
) -> None:
    made = Counting()
    forms: list[Callable[..., Any]] = [getattr(made, name), partial(getattr(made, name))]
    for form in forms:
        async with answered(refused()):
            assert await proxy.users.read().with_fallback(form) == "instead"
    assert [(type(error), error.attempts) for error in made.errors] == [(CallUnavailable, 3)] * 2 * given


@pytest.mark.parametrize(("fallback", "value"), [(list, []), (dict, {}), (str, ""), (lambda: None, None)])
async def test_X6_a_type_makes_an_empty_value(fallback: Any, value: Any) -> None:
    async with answered(refused()):
        assert await proxy.users.read().with_fallback(fallback) == value


async def test_X6_another_call_may_be_the_fallback() -> None:
    async with answered(refused(), refused(), refused(), OK):
        assert await proxy.users.read().with_fallback(proxy.users.read) == 1


async def test_X6_a_fallback_is_not_asked_when_all_is_well() -> None:
    async with answered(OK):
        assert await proxy.users.read().with_fallback(never) == 1
        assert await proxy.users.read().with_fallback(never).outcome() == Outcome(1)


@pytest.mark.parametrize("is_async", [False, True])
async def test_X6_a_fallback_that_raises_raises_and_shows_what_it_was_for(is_async: bool) -> None:
    def broken() -> None:
        raise LookupError("nothing kept")

    async def broken_later() -> None:
        await anyio.lowlevel.checkpoint()
        broken()

    async with answered(status(500)):
        for end in ENDS:
            with pytest.raises(LookupError, match="nothing kept") as caught:
                await end(proxy.users.read().with_fallback(broken_later if is_async else broken))
            assert isinstance(caught.value.__context__, CallFailed)


def test_X6_a_caller_that_is_cancelled_gets_no_fallback() -> None:
    async def main() -> None:
        async with answered(Late(1000)):
            with anyio.move_on_after(1) as scope:
                await proxy.users.read().with_fallback(never)
            assert scope.cancelled_caught

    run_virtual(main)


def test_X6_a_caller_that_has_no_time_for_another_attempt_gets_the_fallback_at_once() -> None:
    async def main() -> None:
        async with answered(status(503, retry_after="5")):
            began = anyio.current_time()
            with anyio.fail_after(1):
                assert await proxy.users.read().with_fallback(0) == 0
            assert anyio.current_time() == began

    run_virtual(main)
