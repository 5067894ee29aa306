"""X4: what is tried again, and what never is. Nobody waits between attempts here; see test_retry_waits for that."""

import contextlib

import anyio
import pytest
from tests.unit.service_proxy.scripted import GET, KEYED, OK, POST, Answer, attempt, cut, line_to, refused, status

from evox.errors import CallTimeout, CallUnavailable, CircuitOpen, UnusableAnswer
from evox.service_proxy import NoAnswer
from evox.service_proxy.breaker import Breaker
from evox.services.operations import Operation

REPEATED = (408, 429, 502, 503, 504)
FINAL = (300, 302, 304, 400, 401, 403, 404, 405, 409, 410, 413, 422, 425, 451, 500, 501, 505, 507, 599)


@pytest.mark.parametrize("code", REPEATED)
async def test_X4_an_idempotent_call_is_repeated_when_its_callee_has_no_time(code: int) -> None:
    line, target = line_to(status(code), OK)
    assert await attempt(line) == (OK, 2)
    assert len(target.sent) == 2
    known = line.statistics()
    assert (known.calls, known.failed, known.retries) == (1, 0, 1)


@pytest.mark.parametrize("code", REPEATED)
async def test_X4_after_three_attempts_the_last_answer_stands(code: int) -> None:
    line, target = line_to(status(503), status(503), status(code), OK)
    reply, tried = await attempt(line)
    assert (reply.status, tried, len(target.sent)) == (code, 3, 3)
    known = line.statistics()
    assert (known.calls, known.failed, known.retries) == (1, 1, 2)


@pytest.mark.parametrize("code", FINAL)
async def test_X4_other_answers_are_final(code: int) -> None:
    line, target = line_to(status(code), OK)
    reply, tried = await attempt(line)
    assert (reply.status, tried, len(target.sent)) == (code, 1, 1)


@pytest.mark.parametrize("error", [refused(), cut()], ids=["refused", "cut"])
async def test_X4_an_idempotent_call_without_an_answer_is_repeated(error: NoAnswer) -> None:
    line, target = line_to(error, error, OK)
    assert await attempt(line) == (OK, 3)
    assert len(target.sent) == 3


@pytest.mark.parametrize("operation", [Operation("x", method, "/") for method in ("POST", "PATCH", "GET")], ids=str)
@pytest.mark.parametrize("answer", [*map(status, REPEATED), cut()], ids=str)
async def test_X4_what_is_not_idempotent_is_not_repeated_once_anything_was_sent(
    operation: Operation, answer: Answer
) -> None:
    line, target = line_to(answer, OK)
    if isinstance(answer, NoAnswer):
        with pytest.raises(CallUnavailable) as caught:
            await attempt(line, operation)
        assert caught.value.may_have_run
        assert caught.value.attempts == 1
    else:
        assert (await attempt(line, operation))[1] == 1
    assert len(target.sent) == 1


async def test_X4_a_post_that_was_not_sent_is_repeated() -> None:
    line, target = line_to(refused(), refused(), OK)
    assert await attempt(line, POST) == (OK, 3)
    assert len(target.sent) == 3


async def test_X4_a_post_that_was_never_sent_says_that_it_has_not_run() -> None:
    line, target = line_to(refused())
    with pytest.raises(CallUnavailable) as caught:
        await attempt(line, POST)
    assert not caught.value.may_have_run
    assert caught.value.attempts == len(target.sent) == 3


async def test_X4_a_post_stops_at_the_first_attempt_that_may_have_reached_its_callee() -> None:
    line, target = line_to(refused(), cut(), OK)
    with pytest.raises(CallUnavailable) as caught:
        await attempt(line, POST)
    assert caught.value.may_have_run
    assert caught.value.attempts == len(target.sent) == 2


@pytest.mark.parametrize("answer", [*map(status, REPEATED), cut(), refused()], ids=str)
async def test_X4_a_post_with_a_key_is_repeated_with_the_same_key(answer: Answer) -> None:
    line, target = line_to(answer, answer, OK)
    assert await attempt(line, KEYED, key="order-7") == (OK, 3)
    assert [sending.key for _, sending in target.sent] == ["order-7"] * 3


async def test_X4_a_timeout_is_final_whatever_is_called() -> None:
    for operation, key in ((GET, None), (POST, None), (KEYED, "k")):
        line, target = line_to(NoAnswer("its time was over", sent=True, is_timeout=True), OK)
        with pytest.raises(CallTimeout):
            await attempt(line, operation, key=key)
        assert len(target.sent) == 1


async def test_X4_an_answer_that_is_of_no_use_is_final() -> None:
    line, target = line_to(NoAnswer("its answer is too long", sent=True, final=True), OK)
    with pytest.raises(UnusableAnswer):
        await attempt(line)
    assert len(target.sent) == 1


async def test_X4_a_target_that_is_not_to_be_believed_is_not_asked_again() -> None:
    line, target = line_to(NoAnswer("its certificate is not believed", sent=False, final=True), OK)
    with pytest.raises(CallUnavailable) as caught:
        await attempt(line)
    assert not caught.value.may_have_run
    assert len(target.sent) == 1


@pytest.mark.parametrize("tried", ["1", "3"])
async def test_X4_a_hop_that_has_tried_behind_is_not_tried_again(tried: str) -> None:
    line, target = line_to(status(503, x_evox_attempts=tried), OK)
    reply, count = await attempt(line)
    assert (reply.status, count, len(target.sent)) == (503, 1, 1)


@pytest.mark.parametrize("attempts", [1, 2, 4])
async def test_X4_it_is_tried_as_often_as_the_settings_say(attempts: int) -> None:
    line, target = line_to(status(503), attempts=attempts)
    assert (await attempt(line))[1] == attempts
    assert len(target.sent) == attempts


@pytest.mark.parametrize("answer", [status(503), refused()], ids=["503", "refused"])
async def test_X4_calls_of_a_target_that_fails_add_a_fifth_and_three_at_most(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, target = line_to(answer)
    monkeypatch.setattr(Breaker, "back", lambda *_, **__: None)  # it would hide what the budget does
    for made in range(1, 201):
        with contextlib.suppress(CallUnavailable):
            await attempt(line)
        assert len(target.sent) <= 1.2 * made + 3
    assert len(target.sent) == 243
    assert line.statistics().retries == 43


@pytest.mark.parametrize("answer", [status(503), refused()], ids=["503", "refused"])
async def test_X4_X5_a_target_that_fails_is_left_alone_after_ten_attempts(answer: Answer) -> None:
    line, target = line_to(answer)
    left_alone = 0
    for _ in range(200):
        try:
            await attempt(line)
        except CircuitOpen as error:
            left_alone += not error.may_have_run and error.attempts == 0
        except CallUnavailable:
            pass
    assert len(target.sent) == 10
    assert left_alone >= 190
    known = line.statistics()
    assert (known.calls, known.failed, known.breaker.state) == (200, 200, "open")
    assert known.retries <= 10


async def test_X4_X5_a_call_ends_with_what_was_heard_last_when_the_breaker_opens_meanwhile() -> None:
    line, target = line_to(status(503))
    for _ in range(8):
        permit = line.breaker.enter(anyio.current_time())
        assert permit is not None
        permit.give_back("failed", anyio.current_time())
    reply, tried = await attempt(line)
    assert (reply.status, tried, len(target.sent)) == (503, 2, 2)
    known = line.statistics()
    assert (known.failed, known.retries, known.breaker.state) == (1, 1, "open")


async def test_X4_a_target_that_breaks_otherwise_is_not_asked_again_and_its_probe_is_given_back() -> None:
    """Such an error is a defect, and the caller's to see; the breaker is not stuck on it."""
    line, target = line_to(OK)
    target.answers.clear()
    with pytest.raises(IndexError):
        await attempt(line)
    assert len(target.sent) == 1
    assert line.statistics().breaker.calls == 0
