"""One meaning, two transports: a call means the same in one process and over a socket, whatever it is a call of."""

import logging
import os
import random
import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.properties.operation_values import told
from tests.properties.operations import Made, made_service

from evox import Service, ServiceBuilder
from evox.core import proxy
from evox.errors import CallError, InvalidCall
from evox.testing import running

# What Starlette's own middleware reads a stream with is not closed when its caller leaves in the middle.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator 'starlette.middleware.base:ResourceWarning")
SERVICES, OPERATIONS = 3, 24
SOAK = bool(os.environ.get("EVOX_SOAK"))
SEEDS = range(1, 64 if SOAK else 4)  # of 72 operations each
FAILED = ("CallFailed", "CallUnavailable", "UnusableAnswer")


def made(seed: int) -> list[tuple[Service, list[Made]]]:
    return [made_service(f"made-{i}", 1000 * seed + i, OPERATIONS) for i in range(SERVICES)]


async def outcome(service: str, operation: Made, arguments: dict[str, Any]) -> Any:
    """Return what comes of a call: a value with its types, or an error with all that it says."""
    call = getattr(getattr(proxy, service), operation.name)(**arguments)
    items: list[Any] = []
    try:
        if not operation.streams:
            return ["value", told(await call)]
        async for item in call:
            items.append(item)  # noqa: PERF401  what came before it broke off counts too
    except CallError as error:
        facts = [error.code, told(error.detail), error.attempts, error.retry_after, error.may_have_run]
        text = [str(error)] if error.code is not None else []  # how a connection broke is told where there is one
        return [type(error).__name__, *facts, *text, told(items)]
    except InvalidCall as error:
        return ["InvalidCall", str(error)]
    except Exception as error:  # noqa: BLE001  nothing else should come, and if it does it is the same
        return ["unexpected", type(error).__name__, str(error)]
    if items and all(isinstance(one, bytes) for one in items):
        return ["items", b"".join(items)]  # where they are cut is nobody's promise
    return ["items", [told(one) for one in items]]


def is_changed(operation: Made, given: dict[str, Any], came: Any) -> bool:
    """Return whether the callee took arguments that fit for something else."""
    if not operation.takes or came[0] != "value" or given not in operation.arguments[: operation.fitting]:
        return False
    seen = {key[1]: value for key, value in came[1][1]}
    for name, value in given.items():
        kind = operation.takes[name]
        is_sure = not any(one in str(kind) for one in ("Any", "int | str", "int, str, None"))  # 5 as a text is "5"
        if is_sure and name != "extra" and seen[repr(name)] != told(told(TypeAdapter(kind).validate_python(value))):
            return True
    return False


async def outcomes(services: Sequence[tuple[Service, list[Made]]]) -> list[Any]:
    found = []
    for service, operations in services:
        calls = [(one, given) for one in operations for given in one.arguments]
        random.Random(0).shuffle(calls)
        for one, given in calls:
            before = told(given)
            came = await outcome(service.name, one, given)
            assert told(given) == before, f"the arguments have changed: {one.about}"
            found.append((one, given, came))
            for _ in range(2 if came[0] in FAILED else 0):  # so many that fail would open the breaker
                assert await getattr(proxy, service.name).fine()
    return found


def shown(operation: Made, given: dict[str, Any], came: Any, other: Any) -> str:
    both = f"  in-process {str(came)[:800]}\n  socket     {str(other)[:800]}"
    return f"{operation.about}\n  given      {str(told(given))[:500]}\n{both}"


async def compare(seed: int) -> tuple[list[Any], list[str]]:
    """Return what came of each call in one process, and in what that differs from what came through a socket."""
    caller, here, there = ServiceBuilder("caller"), made(seed), made(seed)
    async with running(caller, *(service for service, _ in here)):
        inside = await outcomes(here)
    services = [service for service, _ in there]
    async with running(*services, sockets=True) as env:
        peers = {one.name: env.url(one) for one in services}
        async with running(caller, declared=services, settings={"peers": peers}):
            outside = await outcomes(here)
    wrong = []
    for (one, given, came), (_, _, other) in zip(inside, outside, strict=True):
        about = shown(one, given, came, other)
        if came != other:
            wrong.append(about)
        elif came[0] in ("unexpected", "CircuitOpen"):
            wrong.append(f"it should not come to this: {about}")
        elif is_changed(one, given, came):
            wrong.append(f"it was given something else: {about}")
    return [came for _, _, came in inside], wrong


async def check(seed: int) -> None:
    came, wrong = await compare(seed)
    assert not wrong, f"{len(wrong)} of {len(came)} calls\n" + "\n".join(wrong[:20])
    kinds = Counter(one[0] for one in came)
    assert kinds["value"] + kinds["items"] > len(came) / 4, kinds
    assert set(kinds) >= {"InvalidCall", "CallInvalid", "CallRefused", "CallFailed", "CallUnavailable"}, kinds


@pytest.mark.parametrize("seed", SEEDS)
async def test_X2_a_call_means_the_same_in_one_process_and_over_a_socket(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    await check(seed)


async def test_X2_so_does_one_of_a_service_that_is_known_by_its_description_alone(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.CRITICAL)
    caller, here, there = ServiceBuilder("caller"), made(1), [service for service, _ in made(1)]
    async with running(caller, *(service for service, _ in here)):
        inside = await outcomes(here)
    (tmp_path / "key").write_text(secrets.token_urlsafe(40), encoding="utf-8")
    asked: dict[str, Any] = {"auth": {"internal_keys": [str(tmp_path / "key")]}}
    async with running(*there, sockets=True, settings=asked) as env:
        peers = {"peers": {one.name: env.url(one) for one in there}}
        async with running(caller, settings=asked | peers):
            outside = await outcomes(here)
    wrong = []
    for (one, given, came), (_, _, other) in zip(inside, outside, strict=True):
        is_typed = came[0] in ("value", "items") or (came[0] == "UnusableAnswer" and other[0] in ("value", "items"))
        if is_typed and not one.takes:
            same = other[0] in ("value", "items")  # as JSON has it: there is no type to read it by
        elif came[0] in ("InvalidCall", "value"):
            same = came == other
        else:
            same = came[:-1] == other[:-1]  # but for the items that came before
        if not same:
            wrong.append(shown(one, given, came, other))
    assert not wrong, f"{len(wrong)} of {len(inside)} calls\n" + "\n".join(wrong[:20])
