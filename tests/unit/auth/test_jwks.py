"""A5: keys that are fetched: how often, for whom, how long the old ones are believed, and what a failure changes."""

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from evox.auth import Key
from evox.auth.jwks import LIMIT, MOST, PAUSE, FetchedKeys
from evox.errors import KeysUnavailable, UnknownKey
from evox.testing import run_virtual

URL = "https://login.example/jwks.json"
MAX_AGE, MAX_STALE = 600.0, 3600.0
OLD, NEW = (Key.generate("EdDSA", kid=name) for name in ("old", "new"))


def jwks(*keys: Key) -> bytes:
    return json.dumps({"keys": [key.public_jwk() for key in keys]}).encode()


class Issuer:
    """What publishes keys: what it answers, and how long that takes."""

    def __init__(self, *keys: Key, takes: float = 0.0) -> None:
        self.answer: bytes | Exception = jwks(*keys)
        self.takes = takes
        self.asked: list[float] = []

    async def fetch(self) -> bytes:
        self.asked.append(anyio.current_time())
        await anyio.sleep(self.takes)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def keys(self, max_age: float = MAX_AGE) -> FetchedKeys:
        return FetchedKeys(URL, self.fetch, max_age=max_age, max_stale=MAX_STALE)


def virtual(test: Callable[..., Awaitable[None]], *args: Any) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            await test(group, *args)
            group.cancel_scope.cancel()

    run_virtual(main)


def test_A5_10_000_tokens_of_unknown_keys_cost_one_fetch_in_30_s() -> None:
    async def main(group: Any) -> None:
        issuer = Issuer(OLD)
        keys = issuer.keys()
        await keys.refresh(group.start_soon)
        for number in range(10_000):
            with pytest.raises(UnknownKey):
                keys.find(f"unknown-{number}")
            await keys.refresh(group.start_soon)
            await anyio.sleep(0.01)
        assert keys.fetches == len(issuer.asked) == 4  # within 100 s
        assert all(later - sooner >= PAUSE for sooner, later in zip(issuer.asked, issuer.asked[1:], strict=False))

    virtual(main)


def test_A5_all_who_wait_at_once_wait_for_one_fetch() -> None:
    async def main(group: Any) -> None:
        issuer = Issuer(OLD, takes=2)
        keys, found = issuer.keys(), []

        async def wait() -> None:
            await keys.refresh(group.start_soon)
            found.append(keys.find("old").kid)

        async with anyio.create_task_group() as waiters:
            for _ in range(500):
                waiters.start_soon(wait)
                await anyio.sleep(0.003)  # some come while it is on
        assert (len(found), len(issuer.asked)) == (500, 1)
        assert anyio.current_time() - issuer.asked[0] == pytest.approx(2)

    virtual(main)


def test_A5_a_waiter_that_leaves_takes_the_fetch_from_nobody() -> None:
    async def main(group: Any) -> None:
        issuer = Issuer(OLD, takes=3)
        keys = issuer.keys()
        with anyio.move_on_after(1) as left:
            await keys.refresh(group.start_soon)  # the one that began it
        assert left.cancelled_caught
        await keys.refresh(group.start_soon)
        assert keys.find("old").kid == "old"
        assert len(issuer.asked) == 1
        assert anyio.current_time() - issuer.asked[0] == pytest.approx(3)

    virtual(main)


def test_A5_a_service_that_ends_during_its_fetch_leaves_the_next_one_free(caplog: pytest.LogCaptureFixture) -> None:
    async def main(group: Any) -> None:
        issuer = Issuer(OLD, takes=3)
        keys = issuer.keys()
        async with anyio.create_task_group() as service:
            service.start_soon(keys.refresh, service.start_soon)
            await anyio.sleep(1)
            service.cancel_scope.cancel()
        await anyio.sleep(PAUSE)
        await keys.refresh(group.start_soon)
        assert keys.find("old").kid == "old"

    virtual(main)
    assert caplog.messages == []


def test_A5_a_server_that_hangs_is_left_after_5_s(caplog: pytest.LogCaptureFixture) -> None:
    async def main(group: Any) -> None:
        issuer = Issuer(OLD, takes=10_000)
        keys, began = issuer.keys(), anyio.current_time()
        await keys.refresh(group.start_soon)
        assert anyio.current_time() - began == pytest.approx(LIMIT)
        with pytest.raises(KeysUnavailable):
            keys.find("old")

    virtual(main)
    assert caplog.messages == [
        f"keys of {URL} cannot be fetched, and there are none: it did not answer within {LIMIT:g} s"
    ]


def test_A5_keys_are_fetched_at_max_age_and_a_removed_one_is_refused_from_then_on() -> None:
    async def main(group: Any) -> None:
        issuer = Issuer(OLD, NEW)
        keys = issuer.keys()
        await keys.refresh(group.start_soon)
        began = anyio.current_time()
        group.start_soon(keys.tend, group.start_soon)
        await anyio.sleep(1)
        issuer.answer = jwks(NEW)
        await anyio.sleep(MAX_AGE - 2)
        assert keys.find("old").kid == "old"
        await anyio.sleep(2)
        with pytest.raises(UnknownKey):
            keys.find("old")
        assert keys.find("new").kid == "new"
        await anyio.sleep(MAX_AGE * 9.5)
        assert [round(when - began) for when in issuer.asked] == [round(MAX_AGE) * number for number in range(11)]

    virtual(main)


def test_A5_a_failure_keeps_the_old_keys_until_max_stale_and_not_a_second_longer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main(group: Any) -> None:
        issuer = Issuer(OLD)
        keys = issuer.keys()
        await keys.refresh(group.start_soon)
        group.start_soon(keys.tend, group.start_soon)
        issuer.answer = OSError("no route to host")
        await anyio.sleep(MAX_STALE - 1)
        assert keys.find("old").kid == "old"
        await anyio.sleep(2)
        for kid in ("old", "new", None):
            with pytest.raises(KeysUnavailable):
                keys.find(kid)
        issuer.answer = jwks(OLD)
        await anyio.sleep(PAUSE)
        assert keys.find("old").kid == "old"  # it asks again, however long that takes

    virtual(main)
    assert "those that are there are believed for 3000 s more: no route to host" in caplog.messages[0]
    assert caplog.messages[-1].startswith(f"keys of {URL} cannot be fetched, and there are none")
    assert len(caplog.messages) <= (MAX_STALE - MAX_AGE) / PAUSE + 2


@pytest.mark.parametrize("began", [0.0, 0.1, 1 / 3, 1e6 + 0.7, 12_345.678_901])
@pytest.mark.parametrize("max_age", [1.0, 29.9, 30.1, 100 / 3])
def test_A5_no_moment_makes_it_ask_without_a_pause(began: float, max_age: float) -> None:
    """Rounding made a time that was due one at which nothing was done, over and over."""

    async def main(group: Any) -> None:
        issuer = Issuer(OLD, takes=0.123)
        await anyio.sleep(began)
        keys = issuer.keys(max_age=max_age)
        group.start_soon(keys.tend, group.start_soon)
        await anyio.sleep(3000)
        assert 80 <= len(issuer.asked) <= 101

    virtual(main)


def mixed(*others: Any) -> bytes:
    return json.dumps({"keys": [*others, OLD.public_jwk()]}).encode()


@pytest.mark.parametrize(
    "other",
    [
        {**NEW.public_jwk(), "use": "enc"},
        Key.generate("HS256", kid="new").secret_jwk(),
        NEW.secret_jwk(),
        {**NEW.public_jwk(), "alg": "ECDH-ES"},
        {**NEW.public_jwk(), "kty": ["OKP"]},
        {**NEW.public_jwk(), "alg": {}},
        {**NEW.public_jwk(), "crv": "X25519"},
        {},
        None,
        "text",
    ],
)
def test_A5_what_tokens_cannot_be_verified_with_is_passed_over(other: Any) -> None:
    async def main(group: Any) -> None:
        issuer = Issuer()
        issuer.answer = mixed(other)
        keys = issuer.keys()
        await keys.refresh(group.start_soon)
        assert keys.find("old").algorithm == "EdDSA"
        assert not keys.find("old").can_sign
        with pytest.raises(UnknownKey):
            keys.find("new")

    virtual(main)


SECRET = Key.generate("HS256", kid="hidden").secret_jwk()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", ""),
        (b"<html>", ""),
        (b"\xff\xfe", ""),
        (b"[" * 100_000, ""),
        (b"[]", f"it is no JWKS of at most {MOST} keys"),
        (b"{}", f"it is no JWKS of at most {MOST} keys"),
        (b'{"keys": {}}', f"it is no JWKS of at most {MOST} keys"),
        (mixed(*[{}] * MOST), f"it is no JWKS of at most {MOST} keys"),
        (b'{"keys": []}', "no key in it can verify signatures: it is empty"),
        (json.dumps({"keys": [SECRET]}).encode(), "it is published, and should be secret"),
    ],
)
def test_A5_what_is_no_jwks_changes_nothing_and_is_logged(
    answer: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(group: Any) -> None:
        issuer = Issuer(OLD, NEW)
        keys = issuer.keys()
        await keys.refresh(group.start_soon)
        issuer.answer = answer
        await anyio.sleep(PAUSE)
        await keys.refresh(group.start_soon)
        assert (len(issuer.asked), keys.find("old").kid, keys.find("new").kid) == (2, "old", "new")

    virtual(main)
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "evox.auth")
    assert why in record.message
    assert SECRET["k"] not in caplog.text
