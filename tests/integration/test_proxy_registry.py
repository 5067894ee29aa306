"""Services of several processes that find each other: through a registry, through DNS, and behind a gateway."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests import valkey_server

from evox import ServiceBuilder
from evox.config import Loaded, settings_of
from evox.core import proxy
from evox.errors import CallUnavailable, InvalidOption
from evox.orchestrator.announcing import check_proxy
from evox.testing import running, service_process

# coredis leaves a connection's queues as they are when it cannot connect; no descriptor is lost by that.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")
PEERS = str(Path(__file__).with_name("peers.py"))


def settings(tmp_path: Path, **proxy_settings: object) -> dict[str, Any]:
    key = tmp_path / "calls.key"
    key.write_text(secrets.token_urlsafe(40))
    return {"auth": {"internal_keys": [str(key)]}, "proxy": proxy_settings}


def orders() -> ServiceBuilder:
    return ServiceBuilder("order-service")


async def found(name: str) -> object:
    """Call a service until its announcement is seen."""
    with anyio.fail_after(15):
        while True:
            try:
                return await getattr(proxy, name).pid()
            except CallUnavailable:
                await anyio.sleep(0.05)


async def test_a_service_announces_itself_and_is_found_by_name(tmp_path: Path) -> None:
    shared = settings(tmp_path, registry=valkey_server.url(), lease="1s")
    async with running(orders(), settings=shared):
        with pytest.raises(CallUnavailable, match="is not available"):
            await proxy.user_service.pid()
        async with service_process(PEERS, settings=shared) as first:
            assert await found("user_service") == first.pid
            assert await proxy.user_service.get_user(7) == {"id": 7, "name": "Ada"}


async def test_one_instance_that_is_killed_leaves_the_calls_to_the_other(tmp_path: Path) -> None:
    shared = settings(tmp_path, registry=valkey_server.url(), lease="1s")
    async with (
        running(orders(), settings=shared),
        service_process(PEERS, settings=shared) as first,
        service_process(PEERS, settings=shared) as second,
    ):
        seen: set[object] = set()
        with anyio.fail_after(15):
            while seen != {first.pid, second.pid}:
                seen.add(await found("user_service"))
        first.kill()
        await first.wait()
        answered = [await proxy.user_service.pid() for _ in range(20)]  # each is tried again elsewhere
        assert set(answered) == {second.pid}


async def test_a_service_behind_a_gateway_is_announced_with_its_path(tmp_path: Path) -> None:
    shared = settings(tmp_path, registry=valkey_server.url(), lease="1s")
    async with (
        running(orders(), settings=shared),
        service_process(PEERS, settings=shared | {"gateway": True}) as process,
    ):
        assert await found("user_service") == process.pid


async def test_a_service_is_found_by_the_pattern_of_its_dns_name(tmp_path: Path) -> None:
    shared = settings(tmp_path)
    async with service_process(PEERS, settings=shared | {"gateway": True}) as process:
        base = process.urls["user-service"].removesuffix("/user-service")
        pattern: Mapping[str, Any] = shared | {"proxy": {"dns": f"{base}/{{service}}"}}
        async with running(orders(), settings=pattern):
            assert await proxy.user_service.pid() == process.pid


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_leads_nowhere_is_not_announced(host: str) -> None:
    said = {"registry": "valkey://127.0.0.1:6379"}
    with pytest.raises(InvalidOption, match=r"proxy\.advertise"):
        check({"host": host, "proxy": said})
    check({"host": host, "proxy": said | {"advertise": "https://10.0.0.7"}})
    check({"host": host})


def check(options: dict[str, Any]) -> None:
    check_proxy(Loaded(settings_of(options, "a test"), Path(__file__).parent))


def test_certificates_that_cannot_be_read_are_refused_before_anything_starts() -> None:
    with pytest.raises(InvalidOption, match=r"peers\.users\.cafile"):
        check({"peers": {"users": {"url": "https://users.example", "cafile": "nowhere.pem"}}})
    with pytest.raises(InvalidOption, match=r"proxy\.cafile"):
        check({"proxy": {"cafile": Path(__file__).name}})
