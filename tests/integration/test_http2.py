"""HTTP/2 as well-behaved and less well-behaved clients speak it, with and without TLS, on both loops."""

import contextlib
import signal
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import httpx2
import pytest
import trustme
from anyio.abc import SocketStream
from fastapi import HTTPException
from hyperframe.frame import DataFrame, Frame, GoAwayFrame
from tests.hostile import frames
from tests.support import LIVENESS, EvoxProcess, Run

from evox import Request, Service, service
from evox.testing import Env, running

UPLOAD: Final = bytes(2_000_000)
WINDOW: Final = 65_535
GET: Final = b"GET /hello HTTP/1.1\r\nHost: x\r\n"
UPGRADE: Final = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
E = TypeVar("E", bound=h2.events.Event)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a certificate for 127.0.0.1, its key, and the authority that made it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    made = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder


class Shop:
    """A service, and what its handlers wait for."""

    def __init__(self) -> None:
        self.service: Service = service("shop")
        self.go = anyio.Event()
        self.inside, self.most, self.ended = 0, 0, 0

        @self.service.get("/hello")
        async def hello() -> str:
            return "hello"

        @self.service.get("/wait")
        async def wait() -> str:
            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                await self.go.wait()
            finally:
                self.inside -= 1
                self.ended += 1
            return "waited"

        @self.service.post("/guarded")
        async def guarded() -> None:
            raise HTTPException(401, "who are you?")

        @self.service.post("/hold")
        async def hold(request: Request) -> int:
            await wait()
            return len(await request.body())

        @self.service.post("/upload")
        async def upload(request: Request) -> int:
            return len(await request.body())

    @asynccontextmanager
    async def running(self, **serving: Any) -> AsyncIterator[tuple[Env, httpx2.AsyncClient]]:
        """Run it with HTTP/2 without TLS; the client speaks nothing else, on one connection."""
        async with running(self.service, sockets=True, settings={"serving": {"h2c": True, **serving}}) as env:
            limits = httpx2.Limits(max_connections=1)
            client = env.client(self.service, http1=False, http2=True, limits=limits, timeout=LIVENESS)
            yield env, client

    async def until_inside(self, count: int) -> None:
        with anyio.fail_after(LIVENESS):
            while self.inside != count:  # noqa: ASYNC110  the client's side and the handler's have no event in common
                await anyio.sleep(0.01)

    async def settled(self, env: Env, connections: int = 0) -> None:
        with anyio.fail_after(LIVENESS):
            while env.port(self.service).statistics().connections != connections:  # noqa: ASYNC110  as above
                await anyio.sleep(0.01)


@pytest.fixture
def shop() -> Shop:
    return Shop()


class Peer:
    """A client's side of one HTTP/2 connection, frame by frame."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self.protocol = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self._events: list[h2.events.Event] = []

    async def flush(self) -> None:
        await self.stream.send(self.protocol.data_to_send())

    async def get(self, path: str) -> int:
        """Send a request, and return the number of its stream."""
        number: int = self.protocol.get_next_available_stream_id()
        headers = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", path)]
        self.protocol.send_headers(number, headers, end_stream=True)
        await self.flush()
        return number

    async def next(self, kind: type[E]) -> E:
        """Return the next event of a kind."""
        with anyio.fail_after(5):
            while True:
                while self._events:
                    event = self._events.pop(0)
                    if isinstance(event, kind):
                        return event
                self._events += self.protocol.receive_data(await self.stream.receive())
                await self.stream.send(self.protocol.data_to_send())

    async def post(self, path: str) -> int:
        """Send the head of a request with a body, and return the number of its stream."""
        number: int = self.protocol.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", path)]
        self.protocol.send_headers(number, headers)
        await self.flush()
        return number

    async def send(self, number: int, left: int, *, end: bool = True) -> None:
        """Send a body, or a part of it, as fast as the server allows."""
        while left:
            size = min(left, self.protocol.local_flow_control_window(number), 16_384)
            if size:
                self.protocol.send_data(number, bytes(size))
                left -= size
                await self.flush()
            else:
                await self.next(h2.events.WindowUpdated)
        if end:
            self.protocol.end_stream(number)
            await self.flush()

    async def answer(self, number: int) -> tuple[str, bytes]:
        """Return status and body of a stream; no other may be answered in between."""
        head = await self.next(h2.events.ResponseReceived)
        body = b""
        assert number == head.stream_id
        while True:
            event = await self.next(h2.events.Event)
            if isinstance(event, h2.events.DataReceived):
                assert event.stream_id == head.stream_id
                body += event.data or b""
            elif isinstance(event, h2.events.StreamEnded):
                return dict(head.headers or [])[b":status"].decode(), body

    async def closed(self) -> None:
        """Read until the server has closed."""
        with anyio.fail_after(5):
            try:
                while True:
                    await self.stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return


@asynccontextmanager
async def connected(env: Env, svc: Service, *, begun: bool = True) -> AsyncIterator[Peer]:
    url = httpx2.URL(env.url(svc))
    assert url.port is not None
    async with await anyio.connect_tcp(url.host, url.port) as stream:
        peer = Peer(stream)
        if begun:
            peer.protocol.initiate_connection()
            await peer.flush()
        yield peer


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


async def test_V2_a_flood_of_resets_is_told_to_calm_down(shop: Shop) -> None:
    async with shop.running() as (env, _), connected(env, shop.service) as peer:
        await peer.next(h2.events.RemoteSettingsChanged)
        for _ in range(110):
            peer.protocol.reset_stream(await peer.get("/wait"))
        await peer.flush()
        said = await peer.next(h2.events.ConnectionTerminated)
        assert said.error_code == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM


DELAY = 0.5
SETTINGS = {
    "EVOX_SERVING__DRAIN_DELAY": f"{DELAY}s",
    "EVOX_SERVING__DRAIN_TIMEOUT": "3s",
    "EVOX_SERVING__STREAM_GRACE": "2s",
    "EVOX_SERVING__CERTFILE": "cert.pem",
    "EVOX_SERVING__KEYFILE": "key.pem",
}
SERVICE = """
    from collections.abc import AsyncIterator, Iterator

    import anyio
    from fastapi.responses import StreamingResponse

    from evox import service

    svc = service("shop").port(0)


    @svc.get("/slow/{wait}")
    async def slow(wait: float) -> dict[str, float]:
        await anyio.sleep(wait)
        return {"waited": wait}


    async def parts(wait: float) -> AsyncIterator[bytes]:
        yield b"first "
        await anyio.sleep(wait)
        yield b"second "
        await anyio.sleep(0.05)


    @svc.get("/parts/{wait}")
    async def in_parts(wait: float) -> StreamingResponse:
        return StreamingResponse(parts(wait))
"""


@pytest.fixture
def drained(tmp_path: Path, certified: Path, evox_run: Run, backend: str) -> EvoxProcess:
    for name in ("cert.pem", "key.pem", "ca.pem"):
        (tmp_path / name).write_bytes((certified / name).read_bytes())
    process: EvoxProcess = evox_run({"shop.py": SERVICE}, "--json", "--backend", backend, env=SETTINGS)
    process.event("started")
    return process


def client_of(process: EvoxProcess) -> httpx2.Client:
    trust = ssl.create_default_context(cafile=str(process.folder / "ca.pem"))
    return httpx2.Client(base_url=process.url(), verify=trust, http2=True, timeout=LIVENESS, trust_env=False)


class Load:
    """Clients that ask again and again, each on a connection of its own, until nobody listens."""

    def __init__(self, process: EvoxProcess, clients: int, path: str) -> None:
        self.process, self.path = process, path
        self.answered: list[float] = []
        self.unanswered: list[tuple[float, str]] = []
        self.warm = threading.Barrier(clients + 1)
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        warm = False
        while True:
            with client_of(self.process) as client:
                while True:
                    sent = time.monotonic()
                    try:
                        answer = client.get(self.path)
                    except httpx2.ConnectError:
                        return  # nobody listens any more
                    except httpx2.HTTPError as error:
                        self.unanswered.append((sent, repr(error)))
                        break
                    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
                    self.answered.append(sent)
                    if not warm:
                        warm = True
                        self.warm.wait(10)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # a client's, of a handshake cut short
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", ["/slow/0", "/slow/0.02", "/parts/0.02"])
def test_V3_no_request_over_http_2_sent_before_the_drain_delay_was_over_stays_unanswered(
    drained: EvoxProcess, path: str
) -> None:
    load = Load(drained, 10, path)
    load.warm.wait(10)
    signalled = drained.kill(signal.SIGTERM)
    assert drained.wait() == 0
    load.join()
    assert len(load.answered) > 20
    assert [one for one in load.unanswered if one[0] < signalled + DELAY] == []


class Blocking:
    """A client's side of one HTTP/2 connection that goes on after a GOAWAY, as RFC 9113 section 6.8 has it."""

    def __init__(self, process: EvoxProcess) -> None:
        trust = ssl.create_default_context(cafile=str(process.folder / "ca.pem"))
        trust.set_alpn_protocols(["h2"])
        plain = socket.create_connection(process.address(), LIVENESS)
        self.socket = trust.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=True)
        self._buffer, self._next = b"", 1
        self.socket.sendall(frames.OPENING)

    def get(self, path: str) -> int:
        number, self._next = self._next, self._next + 2
        asked = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"x"), (b":path", path.encode())]
        self.socket.sendall(frames.headers(number, asked))
        return number

    def frames(self) -> Iterator[Frame]:
        """Yield frames until the server closes."""
        while data := self.socket.recv(65_536):
            self._buffer += data
            while len(self._buffer) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self._buffer[:9]))
                if len(self._buffer) < 9 + length:
                    break
                frame.parse_body(memoryview(self._buffer[9 : 9 + length]))
                self._buffer = self._buffer[9 + length :]
                yield frame


@pytest.mark.parametrize(("path", "body"), [("/slow/1", b'{"waited":1.0}'), ("/parts/0.7", b"first second ")])
def test_V3_an_answer_over_http_2_that_ends_after_the_drain_delay_is_whole(
    drained: EvoxProcess, path: str, body: bytes
) -> None:
    peer = Blocking(drained)
    with peer.socket:
        number = peer.get(path)
        seen = peer.frames()
        time.sleep(0.2)
        drained.kill(signal.SIGTERM)
        got, ended, told = b"", False, 0
        for frame in seen:
            if isinstance(frame, DataFrame):
                assert frame.stream_id == number
                got += frame.data
            told += isinstance(frame, GoAwayFrame)
            ended = ended or "END_STREAM" in frame.flags
    assert (got, ended) == (body, True)
    assert told >= 1
    assert drained.wait() == 0


def test_V3_an_idle_http_2_connection_is_told_to_leave_at_the_signal_and_closed(drained: EvoxProcess) -> None:
    peer = Blocking(drained)
    with peer.socket:
        peer.get("/slow/0")
        seen = peer.frames()
        while not isinstance(next(seen), DataFrame):
            pass
        time.sleep(0.1)
        signalled = drained.kill(signal.SIGTERM)
        while not isinstance(next(seen), GoAwayFrame):
            pass
        assert time.monotonic() < signalled + DELAY
        assert [one for one in seen if not isinstance(one, GoAwayFrame)] == []
    assert drained.wait() == 0
    assert drained.err == ""
