"""Everything at once, and SIGTERM in the middle of it: a drain that each client alone would not put to the test.

One run on each loop; 20 in a row with ``EVOX_SOAK``.
"""

import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import pytest
import wsproto
from tests.support import Answer, EvoxProcess, HttpSocket, Run
from wsproto.events import AcceptConnection, CloseConnection, Request

pytestmark = pytest.mark.usefixtures("http1")

DELAY, TIMEOUT, GRACE = 0.4, 3.0, 0.8
RUNS: Final = 20 if os.environ.get("EVOX_SOAK") else 1
CLIENTS, FEW = 20, 5
UPLOAD_ENDS: Final = DELAY + 1.2  # after the signal: long after the listener is closed, long before the deadline
SETTINGS: Final = {
    "EVOX_SERVING__DRAIN_DELAY": f"{DELAY}s",
    "EVOX_SERVING__DRAIN_TIMEOUT": f"{TIMEOUT}s",
    "EVOX_SERVING__STREAM_GRACE": f"{GRACE}s",
    "EVOX_RUNTIME__SHUTDOWN_TIMEOUT": "0.5s",
}
SERVICE = """
    from collections.abc import AsyncIterator

    import anyio
    from fastapi.responses import PlainTextResponse, StreamingResponse

    from evox import Request, WebSocket, service

    svc = service("drained").port(0)


    @svc.get("/quick")
    async def quick() -> dict[str, str]:
        return {"said": "quick"}


    @svc.post("/upload")
    async def upload(request: Request) -> int:
        return len(await request.body())


    async def ticks() -> AsyncIterator[str]:
        while True:
            yield "data: tick\\n\\n"
            await anyio.sleep(0.05)


    @svc.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(ticks(), media_type="text/event-stream")


    @svc.get("/huge")
    async def huge() -> PlainTextResponse:
        return PlainTextResponse(bytes(50_000_000))


    @svc.websocket("/talk")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.send_text(await socket.receive_text())
"""


class Crowd:
    """Clients in threads of their own, and what they saw; times are monotonic."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.signalled = threading.Event()
        self.answered = 0
        self.unanswered: list[tuple[float, str]] = []
        self.readiness: list[tuple[float, int]] = []
        self.uploads: list[Answer] = []
        self.streams_ended: list[bool] = []
        self.closes: list[int] = []
        self._lock = threading.Lock()
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._under_way: list[threading.Event] = []

    def add(self, client: Callable[[threading.Event], None], count: int = 1) -> None:
        """Start clients; each sets its event once it is in the middle of things."""

        def run(under_way: threading.Event) -> None:
            try:
                client(under_way)
            except BaseException as failure:  # noqa: BLE001  raised by ``join``
                self._failures.append(failure)
            finally:
                under_way.set()

        for _ in range(count):
            self._under_way.append(threading.Event())
            self._threads.append(threading.Thread(target=run, args=(self._under_way[-1],), daemon=True))
            self._threads[-1].start()

    def wait_under_way(self) -> None:
        for one in self._under_way:
            assert one.wait(10)

    def join(self) -> None:
        """Wait for the end of all clients."""
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        if self._failures:
            raise BaseExceptionGroup("clients failed", self._failures)

    def connections(self) -> Iterator[HttpSocket]:
        """Yield connections until nobody listens any more."""
        while True:
            try:
                connection = HttpSocket(self.address)
            except OSError:
                return
            with connection:
                yield connection

    def keep_alive(self, under_way: threading.Event) -> None:
        """Ask again and again, on one connection for as long as it lives."""
        for connection in self.connections():
            closes = False
            while not closes:
                sent = time.monotonic()
                try:
                    answer = connection.get("/quick")
                except (OSError, http.client.HTTPException) as error:
                    self.unanswered.append((sent, repr(error)))
                    break
                assert answer.status == 200
                closes = answer.closes
                with self._lock:
                    self.answered += 1
                under_way.set()

    def ready(self, under_way: threading.Event) -> None:
        """Ask for readiness every few milliseconds, each time on a new connection."""
        for connection in self.connections():
            sent = time.monotonic()
            try:
                self.readiness.append((sent, connection.get("/health/ready").status))
            except (OSError, http.client.HTTPException) as error:
                self.unanswered.append((sent, repr(error)))
            under_way.set()
            time.sleep(0.005)

    def slow_upload(self, under_way: threading.Event) -> None:
        """Send a body byte by byte, until some time after the signal."""
        with HttpSocket(self.address) as connection:
            connection.send("/upload", "POST", {"Transfer-Encoding": "chunked"})
            under_way.set()
            ends = float("inf")
            while time.monotonic() < ends:
                connection.socket.sendall(b"1\r\nx\r\n")
                if ends == float("inf") and self.signalled.wait(0.05):
                    ends = time.monotonic() + UPLOAD_ENDS
                time.sleep(0.02)
            connection.socket.sendall(b"0\r\n\r\n")
            self.uploads.append(connection.answer())

    def stream(self, under_way: threading.Event) -> None:
        """Read an endless answer until it ends."""
        with HttpSocket(self.address) as connection:
            connection.send("/stream")
            assert connection.socket.recv(1000)
            under_way.set()
            while not connection.closed():
                pass
            self.streams_ended.append(True)

    def websocket(self, under_way: threading.Event) -> None:
        """Wait for the server's close, and answer it as a good client does."""
        protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        with HttpSocket(self.address) as connection:
            connection.socket.sendall(protocol.send(Request(host="drained", target="/talk")))
            while True:
                protocol.receive_data(connection.socket.recv(65_536) or None)
                for event in protocol.events():
                    if isinstance(event, AcceptConnection):
                        under_way.set()
                    elif isinstance(event, CloseConnection):
                        self.closes.append(int(event.code))
                        connection.socket.sendall(protocol.send(event.response()))
                        return


@contextmanager
def deaf(address: tuple[str, int]) -> Iterator[None]:
    """Ask for a big answer, and never read it."""
    with ExitStack() as stack:
        connection = stack.enter_context(HttpSocket(address))
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send("/huge")
        assert connection.socket.recv(1)
        yield


@pytest.mark.soak
@pytest.mark.parametrize("run", range(RUNS))
def test_V3_a_drain_in_the_middle_of_everything_leaves_nobody_unanswered(evox_run: Run, backend: str, run: int) -> None:
    process: EvoxProcess = evox_run({"drained.py": SERVICE}, "--json", "--backend", backend, env=SETTINGS)
    crowd = Crowd(process.address())
    crowd.add(crowd.keep_alive, CLIENTS)
    crowd.add(crowd.ready)
    for client in (crowd.slow_upload, crowd.stream, crowd.websocket):
        crowd.add(client, FEW)
    with deaf(process.address()):
        crowd.wait_under_way()
        signalled = process.kill(signal.SIGTERM)
        crowd.signalled.set()
        code = process.wait()
        took = time.monotonic() - signalled
        crowd.join()
    stopped = process.event("stopped")
    sent_in_time = [one for one in crowd.unanswered if one[0] < signalled + DELAY]
    ready = [status for sent, status in crowd.readiness if signalled + 0.1 < sent < signalled + DELAY]
    assert sent_in_time == []
    assert crowd.answered > 2 * CLIENTS
    assert set(ready) == {503}
    assert [(one.status, one.closes) for one in crowd.uploads] == [(200, True)] * FEW
    assert crowd.streams_ended == [True] * FEW
    assert crowd.closes == [1001] * FEW
    assert (code, stopped["cut_requests"]) == (0, [])
    assert took < TIMEOUT + 1.0
    assert process.err == ""
