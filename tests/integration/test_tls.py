"""TLS: HTTP/1.1, HTTP/2, WebSocket and server-sent events over it, and clients that do it wrong, on both loops."""

import re
import shutil
import ssl
import subprocess
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import trustme
import wsproto
from anyio.streams.tls import TLSAttribute, TLSStream
from fastapi.responses import StreamingResponse
from tests.support import LIVENESS, Run
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from evox import Service, WebSocket, service
from evox.testing import Env, running

CERT, KEY, CA = "cert.pem", "key.pem", "ca.pem"
GET = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a certificate for 127.0.0.1, its key, and the authority that made it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    made = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    made.cert_chain_pems[0].write_to_path(folder / CERT)
    made.private_key_pem.write_to_path(folder / KEY)
    authority.cert_pem.write_to_path(folder / CA)
    return folder


@pytest.fixture
def trust(certified: Path) -> ssl.SSLContext:
    """Return a client's context that trusts the authority."""
    return ssl.create_default_context(cafile=str(certified / CA))


class Shop:
    """A service over TLS, and what its handlers wait for."""

    def __init__(self) -> None:
        self.service: Service = service("shop")
        self.go = anyio.Event()
        self.ended = anyio.Event()

        @self.service.get("/hello")
        async def hello() -> dict[str, str]:
            return {"said": "hello"}

        @self.service.get("/events")
        async def events() -> StreamingResponse:
            return StreamingResponse(self.tell(), media_type="text/event-stream")

        @self.service.websocket("/echo")
        async def echo(socket: WebSocket) -> None:
            await socket.accept()
            async for text in socket.iter_text():
                await socket.send_text(f"{socket.url.scheme} {text}")

    async def tell(self) -> AsyncIterator[str]:
        try:
            for number in range(3):
                yield f"data: {number}\n\n"
                await self.go.wait()
                self.go = anyio.Event()
        finally:
            self.ended.set()

    @asynccontextmanager
    async def running(self, certified: Path, **serving: Any) -> AsyncIterator[Env]:
        settings = {"serving": {"certfile": CERT, "keyfile": KEY, **serving}}
        async with running(self.service, sockets=True, settings=settings, root=certified) as env:
            yield env

    def address(self, env: Env) -> tuple[str, int]:
        url = httpx2.URL(env.url(self.service))
        assert url.port is not None
        return url.host, url.port

    async def connect(self, env: Env, trust: ssl.SSLContext, *alpn: str) -> TLSStream:
        if alpn:
            trust.set_alpn_protocols(list(alpn))
        host, port = self.address(env)
        return await anyio.connect_tcp(host, port, tls=True, ssl_context=trust, tls_standard_compatible=False)

    async def settled(self, env: Env) -> None:
        """Wait until no connection is left."""
        with anyio.fail_after(LIVENESS):
            while env.port(self.service).statistics().connections:  # noqa: ASYNC110  seen from outside only
                await anyio.sleep(0.01)


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def everything(stream: anyio.abc.ByteReceiveStream) -> bytes:
    """Return all that comes until the other side closes, in whatever way."""
    data = b""
    with anyio.fail_after(5):
        try:
            while True:
                data += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return data


@pytest.mark.parametrize(("http2", "version"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
async def test_V7_a_client_is_answered_over_tls_in_the_version_it_asks_for(
    shop: Shop, certified: Path, trust: ssl.SSLContext, http2: bool, version: str
) -> None:
    async with shop.running(certified) as env, env.client(shop.service, http2=http2, verify=trust) as client:
        for _ in range(20):
            answer = await client.get("/hello")
            assert (answer.status_code, answer.http_version, answer.json()) == (200, version, {"said": "hello"})
        assert env.port(shop.service).statistics().total == 1


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["h2", "http/1.1"], "h2"),
        (["http/1.1", "h2"], "h2"),
        (["http/1.1"], "http/1.1"),
        (["spdy/3"], None),
        ([], None),
    ],
)
async def test_V7_the_protocol_is_agreed_in_the_handshake_and_http2_is_preferred(
    shop: Shop, certified: Path, trust: ssl.SSLContext, offered: list[str], chosen: str | None
) -> None:
    async with shop.running(certified) as env, await shop.connect(env, trust, *offered) as stream:
        assert stream.extra(TLSAttribute.alpn_protocol) == chosen
        if chosen != "h2":
            await stream.send(GET)
            assert (await everything(stream)).startswith(b"HTTP/1.1 200 ")


async def test_V7_server_sent_events_arrive_one_by_one_over_tls(
    shop: Shop, certified: Path, trust: ssl.SSLContext
) -> None:
    async with shop.running(certified) as env:
        for http2 in (False, True):
            client = env.client(shop.service, http2=http2, verify=trust)
            async with client.stream("GET", "/events") as answer:
                lines = answer.aiter_lines()
                for number in range(3):
                    assert (await anext(lines), await anext(lines)) == (f"data: {number}", "")
                    shop.go.set()  # the next one is made only now
                assert [line async for line in lines] == []
            assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")


async def test_V7_a_websocket_talks_over_tls(shop: Shop, certified: Path, trust: ssl.SSLContext) -> None:
    protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    async with shop.running(certified) as env, await shop.connect(env, trust, "http/1.1") as stream:

        async def event() -> wsproto.events.Event:
            while True:
                for one in protocol.events():
                    return one
                with anyio.fail_after(5):
                    protocol.receive_data(await stream.receive())

        await stream.send(protocol.send(Request(host="127.0.0.1", target="/echo")))
        assert isinstance(await event(), AcceptConnection)
        for text in ("one", "two"):
            await stream.send(protocol.send(TextMessage(text)))
            said = await event()
            assert isinstance(said, TextMessage)
            assert said.data == f"wss {text}"
        await stream.send(protocol.send(CloseConnection(code=1000)))
        assert isinstance(await event(), CloseConnection)
        assert await everything(stream) == b""
        await shop.settled(env)


def _features() -> str:
    curl = shutil.which("curl")
    return subprocess.run([curl, "--version"], capture_output=True, text=True, check=True).stdout if curl else ""


@pytest.mark.skipif("HTTP2" not in _features(), reason="there is no curl with HTTP/2, which is nghttp2's client")
@pytest.mark.parametrize(("option", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
async def test_V7_curl_is_answered(shop: Shop, certified: Path, option: str, version: str) -> None:
    async with shop.running(certified) as env:
        urls = [f"{env.url(shop.service)}/hello"] * 3
        asked = ["curl", "-sS", option, "--cacert", str(certified / CA), "-m", "5", "-w", " %{http_version}\n", *urls]
        done = await anyio.run_process(asked, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f'{{"said":"hello"}} {version}\n' * 3


@pytest.mark.skipif(shutil.which("nghttp") is None, reason="there is no nghttp")
async def test_V7_nghttp_is_answered(shop: Shop, certified: Path) -> None:
    async with shop.running(certified) as env:
        done = await anyio.run_process(["nghttp", "-n", "-s", "-m", "20", f"{env.url(shop.service)}/hello"])
    assert done.stdout.count(b" 200 ") == 20


async def test_V7_tls_1_1_is_refused(
    shop: Shop, certified: Path, trust: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is what the test is about
        trust.minimum_version = trust.maximum_version = ssl.TLSVersion.TLSv1_1
    trust.set_ciphers("DEFAULT:@SECLEVEL=0")
    async with shop.running(certified) as env:
        with pytest.raises((ssl.SSLError, anyio.EndOfStream, anyio.BrokenResourceError)):
            await shop.connect(env, trust)
        await shop.settled(env)
        assert env.port(shop.service).statistics().complaints == {"TLS handshake failed": 1}
    assert "UNSUPPORTED_PROTOCOL" in caplog.text


async def test_V7_plain_http_to_the_port_of_tls_harms_nobody(
    shop: Shop, certified: Path, trust: ssl.SSLContext
) -> None:
    async with shop.running(certified) as env, env.client(shop.service, verify=trust) as client:
        assert (await client.get("/hello")).status_code == 200
        async with await anyio.connect_tcp(*shop.address(env)) as stream:
            await stream.send(GET)
            assert b"hello" not in await everything(stream)
        assert (await client.get("/hello")).status_code == 200
        assert env.port(shop.service).statistics().complaints == {"TLS handshake failed": 1}


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "a-part"])
async def test_V4_a_handshake_that_does_not_come_is_closed_after_header_timeout(
    shop: Shop, certified: Path, begun: bytes
) -> None:
    async with shop.running(certified, header_timeout=0.2) as env:
        async with await anyio.connect_tcp(*shop.address(env)) as stream:
            began = anyio.current_time()
            if begun:
                await stream.send(begun)
            assert await everything(stream) == b""
            assert 0.1 < anyio.current_time() - began < 2
        await shop.settled(env)


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
async def test_V4_a_handshake_and_nothing_else_is_closed(
    shop: Shop, certified: Path, trust: ssl.SSLContext, alpn: str
) -> None:
    async with shop.running(certified, header_timeout=0.2) as env:
        async with await shop.connect(env, trust, alpn) as stream:
            assert b"HTTP/1.1" not in await everything(stream)
        await shop.settled(env)


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
@pytest.mark.parametrize("asked", [b"", GET, b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["idle", "get", "events"])
async def test_V7_a_client_that_leaves_without_saying_so_leaves_nothing(
    shop: Shop, certified: Path, trust: ssl.SSLContext, alpn: str, asked: bytes
) -> None:
    async with shop.running(certified) as env:
        before = len(anyio.get_running_tasks())
        stream = await shop.connect(env, trust, alpn)
        await stream.send(asked or b"\r\n")
        if b"events" in asked and alpn == "http/1.1":
            assert await stream.receive()
        await stream.transport_stream.aclose()  # FIN, and no close_notify
        await shop.settled(env)
        if b"events" in asked and alpn == "http/1.1":
            with anyio.fail_after(2):
                await shop.ended.wait()
        await anyio.wait_all_tasks_blocked()
        assert len(anyio.get_running_tasks()) == before


async def test_V7_the_server_says_that_it_closes_and_the_client_need_not_guess(
    shop: Shop, certified: Path, trust: ssl.SSLContext
) -> None:
    async with shop.running(certified) as env:
        host, port = shop.address(env)
        trust.set_alpn_protocols(["http/1.1"])
        async with await anyio.connect_tcp(host, port, tls=True, ssl_context=trust) as stream:
            await stream.send(GET)  # this client takes an end without close_notify for an attack
            assert (await everything(stream)).endswith(b'{"said":"hello"}')


SERVICE = """
    from evox import Request, service

    svc = service("shop").port(0)


    @svc.get("/where")
    async def where(request: Request) -> str:
        return str(request.url)
"""


@pytest.fixture
def folder(tmp_path: Path, certified: Path) -> Path:
    for name in (CERT, KEY):
        shutil.copy(certified / name, tmp_path)
    return tmp_path


def test_V7_the_banner_shows_https(folder: Path, evox_run: Run, backend: str) -> None:
    process = evox_run({"shop.py": SERVICE}, "--certfile", CERT, "--keyfile", KEY, "--backend", backend)
    line = process.wait_line("https://127.0.0.1:")
    found = re.search(r"https://127\.0\.0\.1:\d+", line)
    assert found is not None
    assert "http://" not in process.out
    assert process.end() == 0


def test_V7_the_event_of_the_start_shows_https_and_so_does_the_request(
    folder: Path, certified: Path, evox_run: Run, backend: str
) -> None:
    env = {"EVOX_SERVING__CERTFILE": CERT, "EVOX_SERVING__KEYFILE": KEY}
    process = evox_run({"shop.py": SERVICE}, "--json", "--backend", backend, env=env)
    url = process.url()
    assert url.startswith("https://127.0.0.1:")
    trust = ssl.create_default_context(cafile=str(certified / CA))
    with httpx2.Client(verify=trust, http2=True, timeout=LIVENESS, trust_env=False) as client:
        answer = client.get(f"{url}/where")
    assert (answer.http_version, answer.json()) == ("HTTP/2", f"{url}/where")
    assert process.end() == 0
    assert process.err == ""
