"""Peers with a time of their own: calls of them end in it, unless a call says otherwise."""

from typing import Any

import anyio
import pytest
from tests.faults.raw_peer import calling, raw_peer

from evox.core import proxy
from evox.errors import CallTimeout


async def silent(stream: Any) -> None:
    """Read what comes, and say nothing."""
    while True:
        await stream.receive()


@pytest.mark.parametrize("known", [True, False])
async def test_X3_a_peer_that_never_answers_has_the_time_that_its_settings_give_it(*, known: bool) -> None:
    async with raw_peer(silent) as peer, calling(peer, known=known, of={"timeout": "0.2s"}):
        with anyio.fail_after(3):
            with pytest.raises(CallTimeout):
                await proxy.users.get_user(1)
            with pytest.raises(CallTimeout):
                async for _ in proxy.users.numbers():
                    pass
        with anyio.move_on_after(0.4) as scope, pytest.raises(CallTimeout):
            await proxy.users.get_user(1).with_timeout(30)
        assert scope.cancelled_caught or anyio.current_time() >= scope.deadline
