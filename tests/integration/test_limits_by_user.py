"""P7: a limit for each client goes by the user where one is known, wherever it calls from, and else by the address."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from evox import ServiceBuilder
from evox.core import auth
from evox.testing import Env, running

HERE, THERE = "127.0.0.1", "127.0.0.2"


class Limited:
    """A service that lets each client have one request at a time; all of them wait until ``go_on``."""

    def __init__(self) -> None:
        self.svc = ServiceBuilder("limited").concurrency(total=50, per_client=1)
        self.waits, self.seen, self.go_on = anyio.Event(), anyio.Event(), anyio.Event()
        self.svc.get("/me")(auth.require_intent("look")(self.waiting()))
        self.svc.get("/open")(auth.public(self.waiting()))

    def waiting(self) -> Callable[[], Awaitable[None]]:
        async def wait() -> None:
            (self.seen if self.waits.is_set() else self.waits).set()
            await self.go_on.wait()

        return wait


async def status(env: Env, path: str, subject: str | None, address: str) -> int:
    """Send a request from one of the addresses of this machine, and return the status of its answer."""
    host, _, port = env.url("limited").removeprefix("http://").partition(":")
    lines = [f"GET {path} HTTP/1.1", "Host: limited", "Connection: close"]
    lines += [] if subject is None else [f"Authorization: Bearer {env.token(subject)}"]
    async with await anyio.connect_tcp(host, int(port), local_host=address) as stream:
        await stream.send("\r\n".join([*lines, "", ""]).encode())
        return int((await stream.receive()).split(b" ")[1])


SECOND: list[tuple[tuple[str, str | None, str], tuple[str, str | None, str], int]] = [
    (("/me", "ada", HERE), ("/me", "ada", HERE), 429),
    (("/me", "ada", HERE), ("/me", "ada", THERE), 429),
    (("/me", "ada", HERE), ("/open", "ada", THERE), 429),
    (("/me", "ada", HERE), ("/me", "bob", HERE), 200),
    (("/me", "ada", HERE), ("/open", None, HERE), 200),
    (("/open", None, HERE), ("/me", "ada", HERE), 200),
    (("/open", None, HERE), ("/open", None, HERE), 429),
    (("/open", None, HERE), ("/open", None, THERE), 200),
    (("/open", None, HERE), ("/open", "ada", HERE), 200),
    (("/me", "ada", HERE), ("/me", None, HERE), 401),
]


@pytest.mark.parametrize(("first", "second", "expected"), SECOND)
async def test_P7_who_a_client_is_goes_by_its_user_and_else_by_its_address(
    first: tuple[str, str | None, str], second: tuple[str, str | None, str], expected: int
) -> None:
    limited = Limited()
    async with running(limited.svc, sockets=True) as env, anyio.create_task_group() as group:
        found: list[int] = []

        async def ask(path: str, subject: str | None, address: str) -> None:
            found.append(await status(env, path, subject, address))
            limited.seen.set()

        group.start_soon(ask, *first)
        with anyio.fail_after(5):
            await limited.waits.wait()
            group.start_soon(ask, *second)
            await limited.seen.wait()  # it is answered, or waits too
        limited.go_on.set()
    assert sorted(found) == sorted([200, expected])


async def test_P7_what_an_address_says_of_itself_does_not_make_it_another_client() -> None:
    limited = Limited()
    async with running(limited.svc) as env, anyio.create_task_group() as group:
        client = env.client(limited.svc)
        group.start_soon(client.get, "/open")
        await anyio.wait_all_tasks_blocked()
        for headers in ({"x-forwarded-for": "10.0.0.1"}, {"authorization": "Bearer no.good.token"}, {"x-user": "ada"}):
            assert (await client.get("/open", headers=headers)).status_code == 429
        limited.go_on.set()
