"""A real ``evox run`` is told to end, by real signals, while real clients are in the middle of things.

The settings are small so that a test takes seconds; what is bounded in real time is what CONTRACTS V3 bounds.
"""

import http.client
import signal
import threading
import time
from collections.abc import Mapping

import pytest
from tests.lanes import ONE_WAY
from tests.support import EvoxProcess, HttpSocket, Run

pytestmark = pytest.mark.usefixtures("http1")

DELAY, TIMEOUT, GRACE = 0.4, 2.0, 0.8
SETTINGS = {
    "EVOX_SERVING__DRAIN_DELAY": f"{DELAY}s",
    "EVOX_SERVING__DRAIN_TIMEOUT": f"{TIMEOUT}s",
    "EVOX_SERVING__STREAM_GRACE": f"{GRACE}s",
    "EVOX_RUNTIME__SHUTDOWN_TIMEOUT": "0.5s",
}
SERVICE = """
    import time
    from collections.abc import AsyncIterator

    import anyio
    from fastapi.responses import PlainTextResponse, StreamingResponse

    from evox import Request, service

    svc = service("drained").port(0)


    @svc.get("/quick")
    async def quick() -> dict[str, str]:
        return {"said": "quick"}


    @svc.get("/slow/{wait}")
    async def slow(wait: float) -> dict[str, float]:
        await anyio.sleep(wait)
        return {"waited": wait}


    @svc.post("/upload")
    async def upload(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}


    async def ticks() -> AsyncIterator[str]:
        while True:
            yield "data: tick\\n\\n"
            await anyio.sleep(0.05)


    @svc.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(ticks())


    @svc.get("/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(ticks(), media_type="text/event-stream")


    async def parts() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield bytes(100_000)


    @svc.get("/huge-stream")
    async def huge_stream() -> StreamingResponse:
        return StreamingResponse(parts())


    @svc.get("/huge-body")
    async def huge_body() -> PlainTextResponse:
        return PlainTextResponse(bytes(50_000_000))


    @svc.get("/thread")
    def thread() -> str:
        time.sleep(60)
        return "too late"


    @svc.get("/blocked")
    async def blocked() -> str:
        time.sleep(60)
        return "too late"
"""


@pytest.fixture
def drained(evox_run: Run, backend: str) -> EvoxProcess:
    """Return a running service to be told to end."""
    process: EvoxProcess = evox_run({"drained.py": SERVICE}, "--json", "--backend", backend, env=SETTINGS)
    process.event("started")
    return process


class Load:
    """Clients that ask again and again until the server has left; notes requests that got no answer."""

    def __init__(self, address: tuple[str, int], clients: int, path: str, headers: Mapping[str, str]) -> None:
        self.address, self.path, self.headers = address, path, headers
        self.answered = 0
        self.unanswered: list[tuple[float, str]] = []
        self.warm = threading.Barrier(clients + 1)
        self._count = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        warm = False
        while True:
            try:
                connection = HttpSocket(self.address)
            except OSError:
                return  # nobody listens any more
            with connection:
                closes = False
                while not closes:
                    sent = time.monotonic()
                    try:
                        connection.send(self.path, headers=self.headers)
                        answer = connection.answer()
                    except (OSError, http.client.HTTPException) as error:
                        with self._count:
                            self.unanswered.append((sent, repr(error)))
                        return
                    closes = answer.closes
                    with self._count:
                        self.answered += answer.status == 200
                    if not warm:
                        warm = True
                        self.warm.wait(10)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.parametrize("path", ["/quick", "/slow/0.05"])
@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}], ids=["keep-alive", "close"])
def test_V3_no_request_sent_before_the_drain_delay_was_over_stays_unanswered(
    drained: EvoxProcess, path: str, headers: Mapping[str, str]
) -> None:
    load = Load(drained.address(), 20, path, headers)
    load.warm.wait(10)
    signalled = drained.kill(signal.SIGTERM)
    assert drained.wait() == 0
    load.join()
    assert load.answered > 40
    assert [one for one in load.unanswered if one[0] < signalled + DELAY] == []


def test_V3_readiness_says_503_within_a_tenth_of_a_second(drained: EvoxProcess) -> None:
    address = drained.address()
    signalled = drained.kill(signal.SIGTERM)
    late: list[int] = []
    while time.monotonic() < signalled + DELAY - 0.1:
        with HttpSocket(address) as connection:
            sent = time.monotonic()
            status = connection.get("/health/ready").status
            if sent > signalled + 0.1:
                late.append(status)
    assert late
    assert set(late) == {503}
    assert drained.wait() == 0


def test_V3_liveness_goes_on_saying_200_while_it_drains(drained: EvoxProcess) -> None:
    with HttpSocket(drained.address()) as connection:
        drained.kill(signal.SIGTERM)
        drained.event("draining")
        assert connection.get("/health/live").status == 200


def test_V3_an_answer_during_the_drain_says_that_the_connection_closes(drained: EvoxProcess) -> None:
    with HttpSocket(drained.address()) as connection:
        assert not connection.get("/quick").closes
        connection.send("/slow/0.2")
        time.sleep(0.05)  # it is being answered now
        drained.kill(signal.SIGTERM)
        answer = connection.answer()
        assert (answer.status, answer.closes) == (200, True)
        assert connection.closed()


def test_V3_a_connection_made_during_the_drain_delay_is_answered(drained: EvoxProcess) -> None:
    drained.kill(signal.SIGTERM)
    drained.event("draining")
    with HttpSocket(drained.address()) as connection:
        answer = connection.get("/quick")
    assert (answer.status, answer.closes) == (200, True)
    assert drained.wait() == 0


def test_V3_nobody_listens_after_the_drain_delay(drained: EvoxProcess) -> None:
    with HttpSocket(drained.address()) as connection:
        connection.send("/slow/1.5")
        time.sleep(0.05)
        signalled = drained.kill(signal.SIGTERM)
        time.sleep(signalled + DELAY + 0.3 - time.monotonic())
        with pytest.raises(ConnectionRefusedError):
            HttpSocket(drained.address())
        assert connection.answer().status == 200


def test_V3_a_slow_request_in_flight_is_finished(drained: EvoxProcess) -> None:
    with HttpSocket(drained.address()) as connection:
        connection.send("/slow/1.2")
        time.sleep(0.1)
        drained.kill(signal.SIGTERM)
        answer = connection.answer()
    assert (answer.status, answer.body) == (200, b'{"waited":1.2}')
    assert drained.wait() == 0


def test_V3_an_upload_begun_before_the_drain_is_answered(drained: EvoxProcess) -> None:
    with HttpSocket(drained.address()) as connection:
        connection.send("/upload", "POST", {"Content-Length": "10"})
        connection.socket.sendall(b"first")
        time.sleep(0.1)
        signalled = drained.kill(signal.SIGTERM)
        time.sleep(signalled + DELAY + 0.2 - time.monotonic())
        connection.socket.sendall(b"later")
        answer = connection.answer()
    assert (answer.status, answer.body) == (200, b'{"bytes":10}')
    assert drained.wait() == 0


@pytest.mark.parametrize("used", [True, False])
def test_V3_an_idle_connection_does_not_delay_the_end(drained: EvoxProcess, used: bool) -> None:
    with HttpSocket(drained.address()) as connection:
        if used:
            connection.get("/quick")
        signalled = drained.kill(signal.SIGTERM)
        assert drained.wait() == 0
        assert time.monotonic() < signalled + DELAY + 1.0


def test_V3_a_request_that_was_not_sent_to_its_end_does_not_outlive_the_deadline(drained: EvoxProcess) -> None:
    with HttpSocket(drained.address()) as connection:
        connection.socket.sendall(b"GET /quick HTTP/1.1\r\nHost: x\r\nX-Half: ")
        signalled = drained.kill(signal.SIGTERM)
        assert drained.wait() == 0
        assert time.monotonic() < signalled + TIMEOUT + 1.0


def test_V3_a_request_longer_than_the_deadline_is_cut_and_the_exit_code_is_124(drained: EvoxProcess) -> None:
    with HttpSocket(drained.address()) as connection:
        connection.send("/slow/30")
        time.sleep(0.1)
        signalled = drained.kill(signal.SIGTERM)
        assert connection.answer().status == 503
        assert drained.wait() == 124
        assert time.monotonic() < signalled + TIMEOUT + 1.0
    assert drained.event("stopped")["cut_requests"] == ["GET /slow/30"]


@pytest.mark.parametrize("path", ["/stream", "/events"])
def test_V3_an_endless_stream_is_ended_at_stream_grace_and_the_exit_code_is_0(drained: EvoxProcess, path: str) -> None:
    with HttpSocket(drained.address()) as connection:
        connection.send(path)
        assert connection.socket.recv(1000)
        signalled = drained.kill(signal.SIGTERM)
        while not connection.closed():
            assert time.monotonic() < signalled + TIMEOUT
        assert drained.wait() == 0
        assert signalled + GRACE <= time.monotonic() < signalled + GRACE + 1.0
    stopped = drained.event("stopped")
    assert (stopped["cut_streams"], stopped["cut_requests"]) == ([f"GET {path}"], [])


@pytest.mark.parametrize("path", ["/huge-body", "/huge-stream"])
def test_V3_a_client_that_does_not_read_delays_no_shutdown_past_the_deadline(drained: EvoxProcess, path: str) -> None:
    with HttpSocket(drained.address()) as connection:
        connection.send(path)
        assert connection.socket.recv(1)
        signalled = drained.kill(signal.SIGTERM)
        assert drained.wait() == 0
        assert time.monotonic() < signalled + TIMEOUT + 1.0


def test_V3_a_stuck_thread_is_ended_with_its_process_and_the_exit_code_is_124(drained: EvoxProcess) -> None:
    with HttpSocket(drained.address()) as connection:
        connection.send("/thread")
        time.sleep(0.1)
        signalled = drained.kill(signal.SIGTERM)
        assert drained.wait() == 124
        assert time.monotonic() < signalled + TIMEOUT + 1.0
    assert drained.event("stopped")["cut_requests"] == ["GET /thread"]


@ONE_WAY
def test_V3_a_loop_that_is_blocked_is_ended_with_its_process_and_the_exit_code_is_124(drained: EvoxProcess) -> None:
    with HttpSocket(drained.address()) as connection:
        connection.send("/blocked")
        time.sleep(0.1)
        drained.kill(signal.SIGTERM)
        assert drained.wait() == 124


@ONE_WAY
@pytest.mark.parametrize("path", ["/slow/30", "/thread", "/blocked"])
def test_R5_a_second_interrupt_ends_at_once_with_130(drained: EvoxProcess, path: str) -> None:
    with HttpSocket(drained.address()) as connection:
        connection.send(path)
        time.sleep(0.1)
        drained.kill(signal.SIGINT)
        time.sleep(0.1)  # two signals of one number that wait at the same time are one
        second = drained.kill(signal.SIGINT)
        assert drained.wait() == 130
        assert time.monotonic() < second + 0.5


@ONE_WAY
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_R5_the_first_signal_drains_and_exits_0(drained: EvoxProcess, number: signal.Signals) -> None:
    drained.kill(number)
    assert drained.wait() == 0
    assert [one["event"] for one in drained.events] == ["started", "draining", "stopped"]
    assert drained.events[1]["signal"] == number.name
    assert drained.events[2]["code"] == 0
    assert drained.err == ""


LIVES = """
    import time

    import anyio

    from evox import service

    first = service("first").port(0)
    second = service("second").port(0).depends_on("first")


    def say(text: str) -> None:
        with open("lives.txt", "a") as file:
            file.write(text + "\\n")


    for svc in (second, first):

        @svc.on_startup
        async def begin(name: str = svc.name) -> None:
            say(f"start {name}")

        @svc.on_shutdown
        async def end(name: str = svc.name) -> None:
            say(f"stop {name}")


    @second.get("/slow")
    async def slow() -> str:
        await anyio.sleep(0.8)
        say("answer")
        return "done"
"""


@ONE_WAY
def test_R3_services_stop_in_reverse_order_after_the_last_answer(evox_run: Run, backend: str) -> None:
    process = evox_run({"lives.py": LIVES}, "--json", "--backend", backend, env=SETTINGS)
    with HttpSocket(process.address("second")) as connection:
        connection.send("/slow")
        time.sleep(0.1)
        assert process.end() == 0
        assert connection.answer().status == 200
    lives = (process.folder / "lives.txt").read_text().split("\n")
    assert lives == ["start first", "start second", "answer", "stop second", "stop first", ""]


def test_V3_time_in_which_the_process_stood_still_is_not_taken_from_those_who_wait(evox_run: Run, backend: str) -> None:
    """A machine that sleeps, or is moved, in the middle of a drain: its deadline is over when it goes on."""
    short = {"EVOX_SERVING__DRAIN_DELAY": "200ms", "EVOX_SERVING__DRAIN_TIMEOUT": "600ms"}
    process = evox_run({"drained.py": SERVICE}, "--json", "--backend", backend, env=SETTINGS | short)
    process.event("started")
    statuses: list[int] = []

    def ask() -> None:
        """Ask on one connection after the other until nobody listens."""
        while True:
            try:
                with HttpSocket(process.address()) as connection:
                    statuses.append(connection.get("/quick").status)
            except OSError:
                return

    clients = [threading.Thread(target=ask, daemon=True) for _ in range(20)]
    for client in clients:
        client.start()
    process.kill(signal.SIGTERM)
    process.event("draining")
    process.kill(signal.SIGSTOP)
    time.sleep(0.8)
    process.kill(signal.SIGCONT)
    for client in clients:
        client.join(10)
    assert process.wait() == 0
    assert set(statuses) == {200}
