"""A Valkey that cannot be used as it is named or set up: said at the start, with what to do, and without a secret.

What broke: what a server answers while a connection is opened was taken for a fault of a hook, in its own words.
"""

import gc
import logging
import ssl
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from anyio.abc import AnyByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from tests.valkey_server import ValkeyServer

from evox import ServiceBuilder, data_io
from evox.errors import BackendRefused, BackendUnavailable, EvoxError
from evox.testing import running

# coredis leaves a connection's queues as they are when it cannot connect; no descriptor is lost by that.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")


@pytest.fixture(autouse=True)
def nothing_left_to_others() -> Iterator[None]:
    yield
    gc.collect()  # what is left to the garbage collector is to be found in this test


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    made = ValkeyServer(appendonly="yes").start()
    yield made
    made.remove()


def shop(url: str) -> Any:
    return running(ServiceBuilder("shop"), settings={"data": {"backend": url, "timeout": 2}})


async def talk(server: ValkeyServer, *lines: str) -> None:
    async with await anyio.connect_tcp("127.0.0.1", server.port) as asked:
        for line in lines:
            await asked.send(line.encode() + b"\r\n")
            await asked.receive()


async def refused(url: str) -> str:
    """Return all that a refusal shows, its causes included."""
    with pytest.raises(EvoxError) as caught:
        async with shop(url):
            pass
    assert isinstance(caught.value, BackendRefused), caught.value
    assert caught.value.exit_code == 78
    assert caught.value.fix
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in shown
    return shown


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("/99", "it has no database 99"),
        ("/shop", "'shop' is no number of a database"),
        ("/0?db=x", "'x' is no number of a database"),
        ("/0?max_idle_time=x", "its URL cannot be used"),
    ],
)
async def test_a_url_that_names_what_is_not_there_is_refused_at_the_start(
    server: ValkeyServer, rest: str, why: str
) -> None:
    assert why in await refused(server.url.removesuffix("/0") + rest)


async def test_a_url_that_names_no_host_is_refused_at_the_start() -> None:
    assert "it names no host" in await refused("valkey:///0")


async def test_a_certificate_that_is_not_there_is_refused_at_the_start() -> None:
    assert "No such file" in await refused("valkeys://:hunter2@127.0.0.1:9/0?ssl_ca_certs=/nowhere/ca.pem")


@pytest.mark.parametrize(
    ("name", "more", "trusted"),
    [
        ("localhost", "", True),
        ("elsewhere.example", "", False),
        ("elsewhere.example", "&ssl_check_hostname=false", True),
        ("elsewhere.example", "&ssl_cert_reqs=none", True),
    ],
)
async def test_over_tls_a_server_has_to_be_the_one_that_is_named(
    server: ValkeyServer, tmp_path: Path, name: str, more: str, trusted: bool
) -> None:
    """The driver trusts whoever has a certificate for any name, unless it is told otherwise."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with in_tls(server, authority.issue_cert(name)) as port:
        url = f"valkeys://localhost:{port}/0?ssl_ca_certs={tmp_path}/ca.pem{more}"
        if trusted:
            async with shop(url):
                await data_io.write("a", 1)
                assert await data_io.read("a") == 1
        else:
            with pytest.raises(BackendUnavailable, match=r"certificate|[Hh]ostname"):
                async with shop(url):
                    pass


@asynccontextmanager
async def in_tls(server: ValkeyServer, certificate: trustme.LeafCert) -> AsyncIterator[int]:
    """Put TLS before a server, which its wheel was built without; give the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def serve(client: AnyByteStream) -> None:
        async with (
            await anyio.connect_tcp("127.0.0.1", server.port) as behind,
            client,
            anyio.create_task_group() as group,
        ):
            group.start_soon(pass_on, client, behind, group.cancel_scope)
            await pass_on(behind, client, group.cancel_scope)

    async def pass_on(source: AnyByteStream, target: AnyByteStream, scope: anyio.CancelScope) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                await target.send(await source.receive())
        scope.cancel()

    async with TLSListener(plain, context, standard_compatible=False) as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield plain.extra(SocketAttribute.local_port)
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("credentials", "why"),
    [
        ("", "it asks for a password, and the URL has none"),
        (":hunter2@", "it does not take the user or password"),
        ("ada:hunter2@", "it does not take the user or password"),
    ],
)
async def test_a_password_that_is_missing_or_wrong_is_said_without_the_protocols_words(
    server: ValkeyServer, credentials: str, why: str
) -> None:
    await talk(server, "CONFIG SET requirepass right")
    shown = await refused(f"valkey://{credentials}127.0.0.1:{server.port}/0")
    assert why in shown
    assert "HELLO" not in shown


@pytest.mark.parametrize("right", ["-eval", "-info", "-get", "resetkeys"])
async def test_a_user_without_the_rights_that_are_needed_is_refused_at_the_start(
    server: ValkeyServer, right: str
) -> None:
    await talk(server, f"ACL SETUSER ada on >hunter2 ~* &* +@all {right}")
    shown = await refused(f"valkey://ada:hunter2@127.0.0.1:{server.port}/0")
    assert "its user may not do what is needed" in shown
    assert "ACL SETUSER" in shown


async def test_the_rights_that_are_said_to_be_needed_are_enough(server: ValkeyServer) -> None:
    shown = await refused_rights(server)
    rights = shown.split("on ><password> ")[1].split("\n")[0].replace('"', "")
    await talk(server, f"ACL SETUSER bob on >hunter2 {rights}")
    async with shop(f"valkey://bob:hunter2@127.0.0.1:{server.port}/0"):
        await data_io.write("a", 1)
        await data_io.write("b", 1, ttl="1h", tags=["t"])
        assert await data_io.read("a") == 1
        assert await data_io.invalidate(tag="t") == 1
        assert await data_io.invalidate(prefix="b") == 0
        assert await data_io.delete("a")


async def refused_rights(server: ValkeyServer) -> str:
    await talk(server, "ACL SETUSER ada on >hunter2 ~* &* +@all -eval")
    return await refused(f"valkey://ada:hunter2@127.0.0.1:{server.port}/0")


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "noeviction"])
async def test_a_server_that_may_drop_records_is_told_of_once_when_it_is_opened(
    server: ValkeyServer, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    await talk(server, f"CONFIG SET maxmemory-policy {policy}")
    with caplog.at_level(logging.WARNING, "evox.data"):
        async with shop(server.url):
            await data_io.write("a", 1)
            await data_io.write("b", 1)
    told_of = [one.getMessage() for one in caplog.records if "maxmemory-policy" in one.getMessage()]
    assert len(told_of) == (policy != "noeviction")
    assert all(policy in one and "noeviction" in one for one in told_of)


async def test_a_replica_that_nobody_asks_for_more_gives_what_it_has(server: ValkeyServer) -> None:
    async with shop(server.url):
        await data_io.write("a", 1)
    await talk(server, "REPLICAOF 127.0.0.1 1")
    async with shop(server.url):
        assert await data_io.read("a") == 1
