"""HTTP/2 as well-behaved and less well-behaved clients speak it, with and without TLS, on both loops."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import anyio
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import pytest
from tests.integration.http2 import Shop, certify, connected
from tests.support import LIVENESS

from evox.testing import running

UPLOAD: Final = bytes(2_000_000)
WINDOW: Final = 65_535
GET: Final = b"GET /hello HTTP/1.1\r\nHost: x\r\n"
UPGRADE: Final = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certify(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_V7_without_h2c_an_upgrade_is_answered_in_http_1_1(shop: Shop) -> None:
    async with shop.running(h2c=False) as (env, _), connected(env, shop.service, begun=False) as peer:
        settings = peer.protocol.initiate_upgrade_connection()
        assert settings is not None
        await peer.stream.send(GET + UPGRADE + settings + b"\r\n\r\n")
        assert (await peer.stream.receive()).startswith(b"HTTP/1.1 200 ")


async def test_V7_without_h2c_prior_knowledge_is_answered_505(shop: Shop) -> None:
    async with shop.running(h2c=False) as (env, _), connected(env, shop.service) as peer:
        assert (await peer.stream.receive()).startswith(b"HTTP/1.1 505 ")
        await peer.closed()


async def test_V7_with_h2c_a_client_of_prior_knowledge_is_answered(shop: Shop) -> None:
    async with shop.running() as (env, client):
        for _ in range(20):
            answer = await client.get("/hello")
            assert (answer.http_version, answer.json()) == ("HTTP/2", "hello")
        assert env.port(shop.service).statistics().total == 1


async def test_V7_with_h2c_a_client_may_upgrade_and_goes_on_in_http_2(shop: Shop) -> None:
    async with shop.running() as (env, _), connected(env, shop.service, begun=False) as peer:
        settings = peer.protocol.initiate_upgrade_connection()
        assert settings is not None
        await peer.stream.send(GET + UPGRADE + settings + b"\r\n\r\n")
        head, _, rest = (await peer.stream.receive()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        peer._events += peer.protocol.receive_data(rest)
        await peer.flush()
        assert await peer.answer(1) == ("200", b'"hello"')
        assert await peer.answer(await peer.get("/hello")) == ("200", b'"hello"')


async def test_V7_with_h2c_an_upgrade_whose_settings_are_none_is_answered_in_http_1_1(shop: Shop) -> None:
    async with shop.running() as (env, _), connected(env, shop.service, begun=False) as peer:
        await peer.stream.send(GET + UPGRADE + b"AAAA\r\n\r\n")
        assert (await peer.stream.receive()).startswith(b"HTTP/1.1 200 ")


async def test_V7_with_h2c_http_1_1_is_still_spoken(shop: Shop) -> None:
    async with shop.running() as (env, _), env.client(shop.service) as client:
        answer = await client.get("/hello")
        assert (answer.http_version, answer.json()) == ("HTTP/1.1", "hello")


@pytest.mark.parametrize("chunks", [0, 16_384, 200_000], ids=["whole", "small-parts", "large-parts"])
async def test_V5_an_answer_before_the_body_was_read_does_not_hang_and_the_connection_goes_on(
    shop: Shop, certified: Path, chunks: int
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for at in range(0, len(UPLOAD), chunks):
            yield UPLOAD[at : at + chunks]

    settings = {"serving": {"certfile": "cert.pem", "keyfile": "key.pem"}}
    trust = ssl.create_default_context(cafile=str(certified / "ca.pem"))
    async with running(shop.service, sockets=True, settings=settings, root=certified) as env:
        client = env.client(shop.service, http2=True, verify=trust, timeout=LIVENESS)
        with anyio.fail_after(LIVENESS):
            for _ in range(5):
                answer = await client.post("/guarded", content=parts() if chunks else UPLOAD)
                assert (answer.status_code, answer.http_version) == (401, "HTTP/2")
                assert (await client.get("/hello")).json() == "hello"
                assert (await client.post("/upload", content=UPLOAD)).json() == len(UPLOAD)
        assert env.port(shop.service).statistics().total == 1


async def test_V7_a_hundred_streams_of_one_connection_run_at_the_same_time(shop: Shop) -> None:
    async with shop.running() as (env, client), anyio.create_task_group() as group:
        assert (await client.get("/hello")).status_code == 200  # the client knows now how many it may open
        answers: list[int] = []

        async def ask() -> None:
            answers.append((await client.get("/wait")).status_code)

        for _ in range(100):
            group.start_soon(ask)
        await shop.until_inside(100)
        shop.go.set()
        with anyio.fail_after(LIVENESS):
            while len(answers) < 100:  # noqa: ASYNC110  they are what is waited for
                await anyio.sleep(0.01)
        assert (set(answers), shop.most) == ({200}, 100)
        assert env.port(shop.service).statistics().total == 1


async def test_V7_no_stream_is_refused_to_a_client_that_keeps_to_the_number_allowed(shop: Shop) -> None:
    shop.go.set()
    async with shop.running(streams=10) as (env, client):
        answers: list[int] = []

        async def ask() -> None:
            answers.extend([(await client.get("/wait")).status_code for _ in range(20)])

        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(ask)
        assert answers == [200] * 600
        assert shop.most <= 10
        assert env.port(shop.service).statistics().total == 1


async def test_V7_a_stream_whose_handler_does_not_read_its_body_stalls_no_other(shop: Shop) -> None:
    async with shop.running() as (env, _), connected(env, shop.service) as peer:
        await peer.next(h2.events.RemoteSettingsChanged)
        held = [await peer.post("/hold") for _ in range(3)]
        for number in held:
            await peer.send(number, 2 * WINDOW, end=False)
        await shop.until_inside(3)
        for _ in range(3):
            assert await peer.answer(await peer.get("/hello")) == ("200", b'"hello"')
            number = await peer.post("/upload")
            await peer.send(number, 300_000)
            assert await peer.answer(number) == ("200", b"300000")
        # What such a stream may send is bounded: nothing was given back to it.
        assert [peer.protocol.local_flow_control_window(number) for number in held] == [0, 0, 0]
        shop.go.set()
        for number in held:
            await peer.send(number, 300_000)
            assert await peer.answer(number) == ("200", b"%d" % (2 * WINDOW + 300_000))


async def test_V2_a_clients_goaway_ends_its_connection_and_leaves_nothing(shop: Shop) -> None:
    async with shop.running() as (env, _):
        async with connected(env, shop.service) as peer:
            assert await peer.answer(await peer.get("/hello")) == ("200", b'"hello"')
            peer.protocol.close_connection()
            await peer.flush()
            await peer.closed()
        await shop.settled(env)
        assert env.port(shop.service).statistics().complaints == {}


async def test_V2_streams_that_are_reset_without_end_cost_their_own_connection_only(shop: Shop) -> None:
    async with shop.running() as (env, client):
        assert (await client.get("/hello")).status_code == 200
        async with connected(env, shop.service) as peer:
            await peer.next(h2.events.RemoteSettingsChanged)
            with contextlib.suppress(anyio.BrokenResourceError):
                for _ in range(2_000):
                    number = await peer.get("/wait")
                    peer.protocol.reset_stream(number)
                    await peer.flush()
            await peer.closed()
        await shop.settled(env, 1)
        assert (await client.get("/hello")).status_code == 200
        assert env.port(shop.service).statistics().complaints == {"flood": 1}
        assert shop.inside == 0


async def test_V2_a_flood_that_comes_at_once_is_one_complaint(shop: Shop) -> None:
    async with shop.running() as (env, _):
        async with connected(env, shop.service) as peer:
            await peer.next(h2.events.RemoteSettingsChanged)
            for _ in range(300):
                peer.protocol.reset_stream(await peer.get("/wait"))
            await peer.flush()
            await peer.closed()
        await shop.settled(env)
        assert env.port(shop.service).statistics().complaints == {"flood": 1}


async def test_V2_a_flood_of_resets_is_told_to_calm_down(shop: Shop) -> None:
    async with shop.running() as (env, _), connected(env, shop.service) as peer:
        await peer.next(h2.events.RemoteSettingsChanged)
        for _ in range(110):
            peer.protocol.reset_stream(await peer.get("/wait"))
        await peer.flush()
        said = await peer.next(h2.events.ConnectionTerminated)
        assert said.error_code == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM
