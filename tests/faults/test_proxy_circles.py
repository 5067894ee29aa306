"""Circles and streams across runtimes and threads: each ends, however it is left."""

import gc
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import anyio
import anyio.to_thread
import pytest
from tests.unit.testing.peers import until

from evox import ServiceBuilder
from evox.core import proxy
from evox.errors import CallError
from evox.testing import running


async def test_services_elsewhere_that_call_each_other_in_a_circle_end_within_the_length_of_a_chain(
    tmp_path: Path,
) -> None:
    (tmp_path / "key").write_text(token_urlsafe(40))
    shared: dict[str, Any] = {"auth": {"internal_keys": [str(tmp_path / "key")]}, "proxy": {"attempts": 1}}
    a, b = ServiceBuilder("a"), ServiceBuilder("b")
    ran = 0

    @a.get("/go")
    async def go() -> Any:
        nonlocal ran
        ran += 1
        return await proxy.b.go()

    @b.get("/go")
    async def go_on() -> Any:
        return await proxy.a.go()

    to_b = shared | {"peers": {"b": "http://127.0.0.1:1"}}
    async with running(a, sockets=True, settings=to_b, declared=[b]) as there:
        to_a = shared | {"peers": {"a": there.url("a")}}
        async with running(b, sockets=True, settings=to_a, declared=[a]) as env:
            target: Any = there._board.line("b").target
            target._locate = _at(env.url("b"))  # which was not known before
            with anyio.fail_after(12), pytest.raises(CallError):
                await proxy.a.go()
    assert 1 <= ran <= 16


def _at(url: str) -> Any:
    async def locate() -> str:
        return url

    return locate


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_stream_dropped_in_another_thread_is_closed_when_the_next_one_begins(*, elsewhere: bool) -> None:
    ticks = ServiceBuilder("ticks")
    running_now = 0

    @ticks.get("/forever")
    async def forever() -> Any:
        nonlocal running_now
        running_now += 1
        try:
            yield 1
            await anyio.sleep_forever()
        finally:
            running_now -= 1

    async def check() -> None:
        held: list[Any] = [proxy.ticks.forever().stream()]
        await anext(held[0])
        await anyio.to_thread.run_sync(held.clear)
        gc.collect()
        assert running_now == 1
        async with proxy.ticks.forever().stream():
            with anyio.fail_after(3):
                await until(lambda: running_now <= 1)
        with anyio.fail_after(3):
            await until(lambda: running_now == 0)

    if not elsewhere:
        async with running(ServiceBuilder("orders"), ticks):
            await check()
        return
    async with running(ticks, sockets=True) as there:
        settings = {"peers": {"ticks": there.url("ticks")}}
        async with running(ServiceBuilder("orders"), settings=settings, declared=[ticks]):
            await check()
