"""Names of services may come from anywhere: none of them leads a call, or a token, to another place."""

from typing import Any

import anyio
import pytest

from evox import ServiceBuilder
from evox.core import proxy
from evox.errors import UnknownService
from evox.testing import run_virtual, running

ODD = [
    "a.b",
    "a/b",
    "a@evil.example",
    "a:1@evil.example",
    "evil.example#",
    "a?b",
    "a b",
    "ä",
    "1a",
    "a" * 64,
    "a\n",
    "%2f",
    "-a",
]


@pytest.mark.parametrize("name", ODD)
async def test_a_name_that_no_service_has_is_no_part_of_a_url(name: str) -> None:
    svc = ServiceBuilder("caller")
    async with running(svc, settings={"proxy": {"dns": "https://{service}.shop.example"}}):
        with pytest.raises(UnknownService):
            await getattr(proxy, name).get_user(1)


def test_X3_a_job_has_its_own_time_and_not_what_was_left_of_the_request_that_began_it() -> None:
    caller, callee, found = ServiceBuilder("caller"), ServiceBuilder("callee"), list[Any]()

    @callee.get("/answer")
    async def answer() -> int:
        return 42

    async def later() -> None:
        await anyio.sleep(5)
        found.append(await proxy.callee.answer())

    @caller.get("/begin", timeout=1)
    async def begin() -> None:
        caller.start_soon(later)

    async def main() -> None:
        async with running(caller, callee) as env:
            assert (await env.client(caller).get("/begin")).status_code == 200
            await anyio.sleep(10)
            assert found == [42]

    run_virtual(main)
