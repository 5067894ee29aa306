"""What is odd and how it is met: entries that are no URLs, URLs that are no registry, a driver that is not there."""

import gc
import sys
from collections.abc import Iterator
from uuid import uuid4

import anyio
import pytest
from tests import valkey_server

from evox.errors import BackendRefused, MissingExtra, RegistryUnavailable
from evox.service_proxy import Instance, Registry

# coredis leaves a connection's queues as they are when it cannot connect; no descriptor is lost by that.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")
HERE = "http://10.0.0.1:8001"


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Let what a test leaves to the garbage collector be found in that test."""
    yield
    gc.collect()


@pytest.fixture
def service() -> str:
    return f"users-{uuid4().hex}"


async def test_what_is_no_url_of_a_service_is_ignored_with_one_warning(
    service: str, caplog: pytest.LogCaptureFixture
) -> None:
    odd = ["", "x", "ftp://10.0.0.1", "http://", "http://me:hunter2@10.0.0.1", "http://10.0.0.1:99999", "http://a\nb"]
    odd += ["javascript:alert(1)", "http://10.0.0.1?token=hunter2", "http://[::1", "http://h" + "x" * 3000]
    for member in (*odd, HERE):
        valkey_server.ask("ZADD", f"evox:services:{service}", "inf", member)
    valkey_server.ask("EVAL", r"redis.call('ZADD', KEYS[1], 'inf', '\255\0')", "1", f"evox:services:{service}")
    reader = Registry(valkey_server.url(), lease=0.03)
    for _ in range(2):
        await anyio.sleep(0.02)
        assert await reader.instances(service) == (Instance(service, HERE),)
    assert reader.statistics().fetches == 2
    said = [record.getMessage() for record in caplog.records if record.name == "evox.proxy"]
    assert len(said) == len(odd) + 1
    assert all("hunter2" not in one and "\n" not in one and len(one) < 500 for one in said)


async def test_a_key_that_is_something_else_is_an_error_and_no_crash(service: str) -> None:
    valkey_server.ask("SET", f"evox:services:{service}", "x")
    with pytest.raises(RegistryUnavailable, match="wrong kind of value"):
        await Registry(valkey_server.url()).instances(service)


async def test_a_url_that_others_would_not_believe_cannot_be_announced(service: str) -> None:
    with pytest.raises(ValueError, match="is no URL of a service") as caught:
        await Registry(valkey_server.url()).announce(service, "http://me:hunter2@10.0.0.1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://me:hunter2@host/db", "valkey://me:hunter2@host/one", "hunter2", ""])
def test_a_registry_that_is_no_server_of_its_kind_is_refused(url: str) -> None:
    with pytest.raises(BackendRefused) as caught:
        Registry(url)
    assert "me:hunter2" not in str(caught.value)


@pytest.mark.parametrize(("lease", "timeout"), [(0, 5), (15, -1), (float("nan"), 5)])
def test_a_lease_and_a_timeout_are_above_0(lease: float, timeout: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Registry("valkey://host", lease=lease, timeout=timeout)


def test_a_registry_without_the_driver_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "evox.service_proxy.registry_store")
    monkeypatch.setitem(sys.modules, "coredis.exceptions", None)
    with pytest.raises(MissingExtra, match=r'pip install "evox-framework\[valkey\]"'):
        Registry("valkey://host")
