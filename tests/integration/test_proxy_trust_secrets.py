"""A4: no argument, key or token of a call is in an error, a log, a repr or an answer to the caller's own client."""

import logging
import secrets
import traceback
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel
from tests.faults.raw_peer import answer, calling, raw_peer

from evox import Body, Cookie, Depends, Header, ServiceBuilder
from evox.core import auth, proxy
from evox.errors import CallError, CallFailed, CallInvalid
from evox.failures import describe
from evox.testing import acting_as, running, spread

Where = Literal["in-process", "loopback"]
both = pytest.mark.parametrize("where", ["in-process", "loopback"])
KEY = "Zx8k2LqPw5vN9rT3yB7mJ4hG6fD1sA0c-internal"
SECRET = f"hunter{secrets.token_hex(8)}"
GIVEN: dict[str, dict[str, Any]] = {
    "query": {"number": SECRET, "word": SECRET},
    "query_with_dependency": {"number": SECRET, "word": SECRET},
    "path": {"number": SECRET},
    "header": {"x_number": SECRET},
    "cookie": {"number": SECRET},
    "body": {"login": {"name": SECRET, "password": {"is": SECRET}, "age": SECRET}},
}


class Login(BaseModel):
    name: str
    password: str
    age: int


def nothing() -> int:
    return 1


def callee() -> ServiceBuilder:
    svc = ServiceBuilder("callee")

    @svc.get("/query")
    async def query(number: int, word: str) -> int:
        return number

    @svc.get("/dependency")
    async def query_with_dependency(number: int, word: str, one: Annotated[int, Depends(nothing)]) -> int:
        return number

    @svc.get("/path/{number}")
    async def path(number: int) -> int:
        return number

    @svc.get("/header")
    async def header(x_number: Annotated[int, Header()]) -> int:
        return x_number

    @svc.get("/cookie")
    async def cookie(number: Annotated[int, Cookie()]) -> int:
        return number

    @svc.post("/body")
    async def body(login: Annotated[Login, Body()]) -> int:
        return login.age

    @svc.get("/works")
    async def works(word: str) -> str:
        return word

    @svc.get("/fails")
    async def fails(word: str) -> str:
        raise RuntimeError("it failed")

    return svc


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Return all that any formatter may write of what was logged, at whatever level."""
    found = [caplog.text]
    for record in caplog.records:
        found += [record.getMessage(), repr(record.args)]
        if record.exc_info and record.exc_info[1] is not None:
            found += [*traceback.format_exception(record.exc_info[1]), describe(record.exc_info[1], trace=True)]
    return "\n".join(found)


@both
@pytest.mark.parametrize("operation", list(GIVEN))
async def test_A4_arguments_that_are_refused_are_told_to_their_caller_alone(
    where: Where, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Within one process the callee's own error was the cause, and every traceback showed what had been given."""
    caplog.set_level(logging.DEBUG)
    asker = ServiceBuilder("asker")

    @asker.get("/ask")
    async def ask() -> Any:
        return await getattr(proxy.callee, operation)(**GIVEN[operation])

    async with spread(where, asker, callee()) as env:
        reply = await env.client(asker).get("/ask")
        assert (reply.status_code, reply.json()["title"]) == (502, "Bad Gateway")
        assert SECRET not in reply.text + repr(reply.headers)
        call = getattr(proxy.callee, operation)(**GIVEN[operation])
        assert SECRET not in repr(call)
        with pytest.raises(CallInvalid) as caught:
            await call
        shown = [str(caught.value), repr(caught.value), repr(proxy.statistics()), repr(caught.value.__cause__)]
        shown += [*traceback.format_exception(caught.value), describe(caught.value, trace=True)]
        assert SECRET not in "\n".join(shown)
        assert SECRET in repr(caught.value.detail)
    assert SECRET not in logged(caplog)


@both
async def test_A4_no_argument_is_logged_of_a_call_that_works_or_fails(
    where: Where, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with spread(where, ServiceBuilder("asker"), callee()):
        assert await proxy.callee.works(SECRET) == SECRET
        with pytest.raises(CallFailed) as caught:
            await proxy.callee.fails(SECRET)
        assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in logged(caplog)


async def test_A4_no_argument_is_shown_of_a_call_that_nobody_answers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = {"peers": {"callee": "http://127.0.0.1:9"}, "proxy": {"attempts": 1}}
    async with running(ServiceBuilder("asker"), settings=settings, declared=[callee()]):
        with pytest.raises(CallError) as caught:
            await proxy.callee.works(SECRET)
        assert SECRET not in "".join(traceback.format_exception(caught.value)) + repr(proxy.statistics())
    assert SECRET not in logged(caplog)


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "500 Internal Server Error", "302 Found"])
@pytest.mark.parametrize("media", ["text/plain", "application/json", "application/problem+json"])
async def test_A4_a_token_that_a_peer_sends_back_is_shown_nowhere(
    status: str, media: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A page for debugging repeats the request: the token stood in the error, and with it in the log."""
    caplog.set_level(logging.DEBUG)
    (tmp_path / "internal.key").write_text(KEY, encoding="utf-8")
    heads: list[str] = []

    async def reflects(stream: Any) -> None:
        sent = next(line for line in peer.heads[-1].decode().split("\r\n") if line.lower().startswith("authorization"))
        heads.append(sent.split(" ")[-1])
        said = f"you sent {sent}" if media == "text/plain" else f'{{"detail": "you sent {sent}"}}'
        await stream.send(answer(said.encode(), status=status, media=media))

    async with (
        raw_peer(reflects) as peer,
        calling(peer, auth={"internal_keys": [str(tmp_path / "internal.key")]}) as env,
    ):
        with acting_as("ada"), pytest.raises(CallError) as caught:
            await proxy.users.get_user(1)
        shown = [str(caught.value), repr(caught.value), repr(proxy.statistics()), repr(env), repr(auth.current())]
        shown += [*traceback.format_exception(caught.value), describe(caught.value, trace=True), logged(caplog)]
        authority = env.service("orders").authority
        shown += [repr(authority), repr(authority.internal_tokens()), repr(authority.statistics())]
        shown += [repr(env.service("orders").runtime.loaded.settings)]
    assert heads
    for secret in (heads[0], heads[0].split(".")[1], KEY):
        assert secret not in "\n".join(shown)


async def test_A4_what_a_peer_says_goes_to_no_client_of_the_caller() -> None:
    said = answer(
        b'{"detail": "the row of hunter2"}', "x-secret: hunter2", "set-cookie: a=hunter2", status="409 Conflict"
    )
    asker = ServiceBuilder("orders")

    @asker.get("/ask")
    async def ask() -> Any:
        return await proxy.users.get_user(1)

    async with raw_peer(said) as peer:
        settings = {"peers": {"users": {"url": peer.url}}, "proxy": {"attempts": 1}}
        callee_of = ServiceBuilder("users")
        callee_of.get("/users/{user_id}", name="get_user")(_user)
        async with running(asker, settings=settings, declared=[callee_of]) as env:
            reply = await env.client(asker).get("/ask")
    assert reply.status_code == 502
    assert "hunter2" not in reply.text + repr(reply.headers)


async def _user(user_id: int) -> int:
    return user_id
