"""Drains of services that speak HTTP/2 over TLS, as ``evox run`` serves them, on both loops."""

import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from hyperframe.frame import DataFrame, Frame, GoAwayFrame
from tests.hostile import frames
from tests.integration.http2 import certify
from tests.support import LIVENESS, EvoxProcess, Run

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


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certify(tmp_path_factory.mktemp("tls"))


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
