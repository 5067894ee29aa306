"""Services that start while others call already: connections to services elsewhere are kept, and closed at the end."""

from typing import Any

import anyio
from tests.faults.raw_peer import OK, declared, raw_peer
from tests.unit.testing.peers import descriptors, until

from evox import ServiceBuilder
from evox.core import proxy
from evox.testing import running


async def test_what_is_known_of_a_service_elsewhere_stays_when_another_one_starts_here() -> None:
    orders, later = ServiceBuilder("orders"), ServiceBuilder("later").depends_on("orders")

    @orders.on_startup
    async def start() -> None:
        assert await proxy.users.get_user(1) == 1

    async with raw_peer(OK) as peer:
        before = descriptors()
        settings: Any = {"peers": {"users": peer.url}}
        async with running(orders, later, settings=settings, declared=[declared()]):
            assert await proxy.users.get_user(1) == 1
            assert proxy.statistics().external == 2
            assert peer.open == 1
        with anyio.fail_after(3):
            await until(lambda: peer.open == 0)
            await until(lambda: len(descriptors()) <= len(before))
