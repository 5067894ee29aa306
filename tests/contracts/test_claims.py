"""X9 on every backend: of all who claim an idempotency key at once, in however many processes, one has it."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.contracts.backends import KINDS, SHARED, opened

from evox.data import Store
from evox.data.backends.base import Backend
from evox.data.flights import Flights
from evox.data.homes import Homes
from evox.data.near import Near
from evox.errors import IdempotencyConflict, IdempotencyMismatch
from evox.services.answers import Answer
from evox.services.first_answers import Claim, FirstAnswers

EACH_KIND = pytest.mark.parametrize("kind", KINDS)
EACH_SHARED = pytest.mark.parametrize("kind", SHARED)
ONE, OTHER = b"1" * 32, b"2" * 32
ANSWER = Answer(201, ((b"content-type", b"text/plain"), (b"x-a", b"\xff")), b"\x00body")


class OneStore:
    """As much of a service's data as first answers need, over one backend."""

    value_bytes = 10_000

    def __init__(self, backend: Backend, group: Any) -> None:
        self.homes = Homes("s", {})
        near = None if backend.facts.name == "memory" else Near(1000, 1_000_000, 1.0)
        self._store = Store(backend, near, Flights(group, "s"))

    async def store_of(self, home: Any) -> Store:
        return self._store


def firsts(backend: Backend, group: Any) -> FirstAnswers:
    return FirstAnswers(OneStore(backend, group))  # type: ignore[arg-type]


async def claimed(one: FirstAnswers, *, lease: float = 60.0, digest: bytes = ONE) -> Claim:
    found = await one.claim("pay", "k", digest, lease)
    assert isinstance(found, Claim)
    return found


async def crowd(sides: list[FirstAnswers], number: int) -> list[Claim]:
    """Let many claim one key at once; return who has it."""
    won: list[Claim] = []

    async def one(side: FirstAnswers) -> None:
        try:
            won.append(await claimed(side))
        except IdempotencyConflict:
            return

    async with anyio.create_task_group() as group:
        for index in range(number):
            group.start_soon(one, sides[index % len(sides)])
    return won


@EACH_KIND
async def test_X9_of_twenty_who_claim_a_key_at_once_one_has_it(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend, anyio.create_task_group() as group:
        assert len(await crowd([firsts(backend, group)], 20)) == 1


@EACH_SHARED
async def test_X9_of_twenty_in_several_processes_one_has_it(kind: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(anyio.create_task_group())
        sides = [firsts(await stack.enter_async_context(opened(kind, tmp_path)), group) for _ in range(3)]
        (claim,) = await crowd(sides, 20)
        holder = next(one for one in sides if one.statistics().running)
        await holder.keep(claim, ANSWER, 60.0)
        for side in sides:
            holder.leave(claim)
            assert await side.claim("pay", "k", ONE, 60.0) == ANSWER


@EACH_KIND
async def test_X9_an_answer_is_kept_as_it_was_and_for_its_request_alone(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend, anyio.create_task_group() as group:
        one = firsts(backend, group)
        claim = await claimed(one)
        with pytest.raises(IdempotencyMismatch):
            await one.claim("pay", "k", OTHER, 60.0)
        await one.keep(claim, ANSWER, 60.0)
        one.leave(claim)
        assert await firsts(backend, group).claim("pay", "k", ONE, 60.0) == ANSWER
        with pytest.raises(IdempotencyMismatch):
            await firsts(backend, group).claim("pay", "k", OTHER, 60.0)


@EACH_KIND
async def test_X9_a_key_that_was_freed_can_be_claimed_at_once_for_any_request(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend, anyio.create_task_group() as group:
        one, other = firsts(backend, group), firsts(backend, group)
        for digest in (ONE, OTHER, ONE):
            claim = await claimed(one, digest=digest)
            with pytest.raises((IdempotencyConflict, IdempotencyMismatch)):
                await other.claim("pay", "k", ONE, 60.0)
            await one.free(claim)
            one.leave(claim)
        assert one.statistics().freed == 3


@EACH_KIND
async def test_X9_a_claim_whose_time_is_over_is_free_and_its_first_holder_cannot_end_the_next(
    kind: str, tmp_path: Path
) -> None:
    async with opened(kind, tmp_path) as backend, anyio.create_task_group() as group:
        late, next_one = firsts(backend, group), firsts(backend, group)
        old = await claimed(late, lease=0.0)  # its process has died, or seems so
        new = await claimed(next_one)
        await late.free(old)
        with pytest.raises(IdempotencyConflict):
            await firsts(backend, group).claim("pay", "k", ONE, 60.0)
        await late.keep(old, ANSWER._replace(body=b"late"), 60.0)
        assert late.statistics().unkept == 1
        await next_one.keep(new, ANSWER, 60.0)
        assert await firsts(backend, group).claim("pay", "k", ONE, 60.0) == ANSWER


@EACH_KIND
async def test_X9_an_answer_that_came_after_its_claim_had_ended_is_kept_where_nobody_else_has_the_key(
    kind: str, tmp_path: Path
) -> None:
    async with opened(kind, tmp_path) as backend, anyio.create_task_group() as group:
        one = firsts(backend, group)
        await one.keep(await claimed(one, lease=0.0), ANSWER, 60.0)
        assert await firsts(backend, group).claim("pay", "k", ONE, 60.0) == ANSWER


@EACH_KIND
async def test_X9_an_answer_is_no_copy_that_may_be_taken_away(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend, anyio.create_task_group() as group:
        one = firsts(backend, group)
        claim = await claimed(one)
        await one.keep(claim, ANSWER, 60.0)
        await backend.invalidate(claim.full)
        await backend.invalidate_prefix("s/", "s/in:i")
        assert await firsts(backend, group).claim("pay", "k", ONE, 60.0) == ANSWER


@EACH_KIND
async def test_X9_a_claim_that_was_given_up_while_it_was_stored_blocks_nobody(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(kind, tmp_path) as backend, anyio.create_task_group() as group:
        fill, stored = backend.fill, anyio.Event()

        async def stored_and_no_answer(*args: Any) -> int:
            await fill(*args)
            monkeypatch.undo()
            stored.set()
            await anyio.sleep_forever()
            return 0

        monkeypatch.setattr(backend, "fill", stored_and_no_answer)
        async with anyio.create_task_group() as claiming:
            claiming.start_soon(claimed, firsts(backend, group))
            await stored.wait()
            claiming.cancel_scope.cancel()
        await claimed(firsts(backend, group), digest=OTHER)


@EACH_KIND
async def test_X9_a_key_that_changes_hands_while_it_is_looked_up_is_looked_up_again(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend, anyio.create_task_group() as group:
        one, other = firsts(backend, group), firsts(backend, group)
        store = await one._data.store_of(one._home)
        get, holder = store.get, list[Claim]()

        async def taken_meanwhile(*args: Any, **more: Any) -> Any:
            reading = await get(*args, **more)
            if not holder:
                holder.append(await claimed(other))
                await other.keep(holder[0], ANSWER, 60.0)
            return reading

        store.get = taken_meanwhile  # type: ignore[method-assign]
        assert await one.claim("pay", "k", ONE, 60.0) == ANSWER
