"""X4, X9: calls with an idempotency key: who gets one, and that it is the same for each attempt of one call alone."""

from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest
from tests.unit.service_proxy.scripted import GET, OK, POST, Scripted, answered, cut, refused, status

from evox import ServiceBuilder
from evox.core import proxy
from evox.errors import CallUnavailable, InvalidCall
from evox.services.operations import Operation
from evox.testing import running


def keys(target: Scripted) -> list[str | None]:
    return [sending.key for _, sending in target.sent]


@pytest.mark.parametrize("answer", [status(503), status(429), cut(), refused()], ids=str)
async def test_X9_a_call_with_a_key_is_repeated_with_that_key(answer: Any) -> None:
    async with answered(answer, answer, OK) as target:
        assert (await proxy.users.pay().with_key("order-7").outcome()).attempts == 3
        assert keys(target) == ["order-7"] * 3


async def test_X9_an_operation_that_keeps_answers_gets_a_key_of_its_own_for_each_call() -> None:
    async with answered(cut(), OK) as target:
        assert await proxy.users.pay() == 1
        assert await proxy.users.pay() == 1
        first, again, second = keys(target)
        assert first == again != second
        assert None not in (first, second)


async def test_X9_other_operations_get_no_key() -> None:
    async with answered(OK) as target:
        assert await proxy.users.read() == await proxy.users.add() == 1
        assert keys(target) == [None, None]


async def test_X4_without_a_key_a_post_is_made_once() -> None:
    async with answered(cut(), OK) as target:
        with pytest.raises(CallUnavailable) as caught:
            await proxy.users.add()
        assert caught.value.may_have_run
        assert len(target.sent) == 1


@pytest.mark.parametrize("key", ["", "a\nb", "é", "x" * 256, " \x7f", 7, None])
def test_X9_a_key_that_cannot_be_sent_is_refused_at_once(key: Any) -> None:
    call = proxy.users.pay()
    with pytest.raises(InvalidCall, match=r"users\.pay"):
        call = call.with_key(key)


async def test_X9_a_key_is_refused_where_no_answers_are_kept_by_it() -> None:
    async with answered(OK) as target:
        for call in (proxy.users.add(), proxy.users.read()):
            with pytest.raises(InvalidCall, match="run again"):
                await call.with_key("order-7")
        assert target.sent == []


async def test_X9_a_key_is_sent_where_nobody_knows_whether_answers_are_kept_by_it() -> None:
    """Of services that are not ours their document need not say so; who gives a key knows."""
    async with answered(cut(), OK) as target:
        target.found = (GET, POST, Operation("charge", "POST", "/charges", keyed=None))
        assert await proxy.users.charge().with_key("order-7") == 1
        assert keys(target) == ["order-7"] * 2
    async with answered(cut(), OK) as target:
        target.found = (Operation("charge", "POST", "/charges", keyed=None),)
        with pytest.raises(CallUnavailable):
            await proxy.users.charge()
        assert keys(target) == [None]


@pytest.mark.parametrize("is_declared", [True, False])
async def test_X9_a_service_of_ours_elsewhere_refuses_a_key_too_however_it_is_known(
    tmp_path: Path, is_declared: bool
) -> None:
    """Its own description was not believed, and a payment could be made three times."""
    path = tmp_path / "internal.key"
    path.write_text(token_urlsafe(40))
    shared: dict[str, Any] = {"auth": {"internal_keys": [str(path)]}}
    users, paid = ServiceBuilder("users"), []

    @users.post("/pay")
    async def pay() -> int:
        paid.append(1)
        return 1

    async def refund() -> int:
        return 1

    users.app.add_api_route("/refund", refund, methods=["POST"])  # may keep answers as it likes

    async with running(users, sockets=True, settings=shared) as there:
        settings = shared | {"peers": {"users": {"url": there.url(users)}}}
        declared = [users] if is_declared else []
        async with running(ServiceBuilder("orders"), settings=settings, declared=declared) as env:
            with pytest.raises(InvalidCall, match="run again"), env.faults("users", cut=True):
                await proxy.users.pay().with_key("order-7")
            assert paid == []
            assert await proxy.users.pay() == 1
            assert await proxy.users.refund().with_key("order-7") == 1


async def test_X9_a_fake_of_an_unknown_service_takes_a_key() -> None:
    async with running(ServiceBuilder("orders")) as env:
        fake = env.fake("bank", pay=1)
        assert await proxy.bank.pay().with_key("order-7") == 1
        assert len(fake.calls) == 1


@pytest.mark.parametrize("key", [" a", "a ", " ", ""])
def test_X9_a_key_that_no_header_carries_as_it_is_is_refused_at_once(key: str) -> None:
    """Over a socket it broke each attempt, and counted as a failure of the callee."""
    with pytest.raises(InvalidCall, match="spaces at the ends"):
        _ = proxy.users.get_user(1).with_key(key)
