"""Answers given before the request's body was read: they leave nothing behind, and close no more than they must.

Clients here send all of their body before they look at the answer, as most do.
"""

import os
import socket
import sys
import time
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import httpx2
import pytest
from fastapi import HTTPException
from tests.lanes import ONE_WAY, running
from tests.support import EvoxProcess, HttpSocket, Run

from evox import Request, Service, ServiceBuilder
from evox.testing import Env

pytestmark = pytest.mark.usefixtures("http1")

UPLOAD: Final = 2_000_000
SOON: Final = 2.0  # V5
LIVENESS: Final = 10.0
ANSWERS: Final = 50
PATHS: Final = {401: "/early", 413: "/whole"}


def early() -> Service:
    """Return a service whose ``/early`` answers 401 without a look at the body, and 413 is the server's own."""
    svc = ServiceBuilder("a")

    @svc.post("/early")
    async def refuse(request: Request) -> None:
        raise HTTPException(401)

    @svc.post("/whole")
    async def whole(request: Request) -> int:
        return len(await request.body())

    return svc


def upload(address: tuple[str, int], status: int, headers: dict[str, str]) -> int:
    """Send an upload to its end, as far as the server lets us, and return the answer's status."""
    chunked = "transfer-encoding" in headers
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (UPLOAD, bytes(UPLOAD)) if chunked else bytes(UPLOAD)
    with HttpSocket(address, timeout=LIVENESS) as connection:
        connection.send(PATHS[status], "POST", headers)
        connection.socket.sendall(body)
        return connection.answer().status


class Uploader:
    """One HTTP/2 connection that sends uploads, as far as the server's windows let it."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.http.initiate_connection()
        self.statuses: dict[int, int] = {}
        self.over: set[int] = set()

    def exchange(self, *, wait: bool) -> None:
        """Send what there is to send, and take what has come."""
        self.socket.settimeout(LIVENESS)
        self.socket.sendall(self.http.data_to_send())
        self.socket.settimeout(LIVENESS if wait else 0.0)
        try:
            data = self.socket.recv(65_536)
        except BlockingIOError:
            return
        assert data, f"the server closed the connection; answered so far: {self.statuses}"
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                headers = {str(name): value for name, value in event.headers}
                self.statuses[event.stream_id] = int(headers[":status"])
            elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                self.over.add(event.stream_id)

    def upload(self, path: str, headers: dict[str, str]) -> None:
        stream, left = self.http.get_next_available_stream_id(), UPLOAD
        head = {":method": "POST", ":scheme": "http", ":authority": "a", ":path": path, **headers}
        self.http.send_headers(stream, head.items())
        try:
            while left:
                room = min(left, self.http.local_flow_control_window(stream), self.http.max_outbound_frame_size)
                if room:
                    left -= room
                    self.http.send_data(stream, bytes(room), end_stream=not left)
                self.exchange(wait=not room)
        except h2.exceptions.StreamClosedError:
            pass  # it does not want the rest
        while stream not in self.over:
            self.exchange(wait=True)


def upload_over_http2(address: tuple[str, int], status: int, count: int) -> list[int]:
    """Send so many uploads one after the other on one connection, and return the status of each answer."""
    with socket.create_connection(address, LIVENESS) as connection:
        uploader = Uploader(connection)
        for _ in range(count):
            uploader.upload(PATHS[status], {"content-length": str(UPLOAD)})
        return list(uploader.statuses.values())


def open_files(pid: int | str = "self") -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208


def address_of(env: Env) -> tuple[str, int]:
    url = httpx2.URL(env.url("a"))
    return url.host, url.port or 80


async def closed(env: Env) -> None:
    """Wait until no connection is open."""
    with anyio.fail_after(LIVENESS):
        while env.port("a").statistics().connections:  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def settled(tasks: int, files: int) -> tuple[int, int]:
    """Wait until there are no more tasks and descriptors than these; return how many there are too many."""
    with anyio.move_on_after(SOON):
        while len(anyio.get_running_tasks()) > tasks or open_files() > files:  # noqa: ASYNC110
            await anyio.sleep(0.01)
    return max(0, len(anyio.get_running_tasks()) - tasks), max(0, open_files() - files)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("status", PATHS)
async def test_V5_answers_before_the_body_was_read_leave_no_task_and_no_descriptor(status: int, framing: str) -> None:
    limit = {"serving": {"body_bytes": 1_000_000 if status == 413 else 10_000_000}}
    headers = {"content-length": str(UPLOAD)} if framing == "length" else {"transfer-encoding": "chunked"}
    async with running(early(), sockets=True, settings=limit) as env:

        async def one() -> int:
            return await anyio.to_thread.run_sync(upload, address_of(env), status, headers)

        assert await one() == status
        await closed(env)
        tasks, files = len(anyio.get_running_tasks()), open_files()
        seen = [await one() for _ in range(ANSWERS)]
        assert await settled(tasks, files) == (0, 0)
        await closed(env)
    assert seen == [status] * ANSWERS


@ONE_WAY
@pytest.mark.parametrize("status", PATHS)
async def test_V5_the_same_over_http2(status: int) -> None:
    limit = {"serving": {"h2c": True, "body_bytes": 1_000_000 if status == 413 else 10_000_000}}
    async with running(early(), sockets=True, settings=limit) as env:

        async def many(count: int) -> list[int]:
            return await anyio.to_thread.run_sync(upload_over_http2, address_of(env), status, count)

        await many(1)
        await closed(env)
        tasks, files = len(anyio.get_running_tasks()), open_files()
        seen = [one for _ in range(5) for one in await many(ANSWERS // 5)]
        assert await settled(tasks, files) == (0, 0)
        await closed(env)
    assert seen == [status] * ANSWERS


async def test_V5_a_small_body_that_has_arrived_lets_the_connection_live() -> None:
    async with running(early(), sockets=True) as env:

        def ask_twice() -> list[tuple[int, str | None]]:
            with HttpSocket(address_of(env)) as connection:
                answers = []
                for _ in range(2):
                    body = b'{"name": "ada"}'
                    head = f"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                    connection.socket.sendall(head + body)
                    answer = connection.answer()
                    answers.append((answer.status, answer.headers.get("connection")))
                return answers

        assert await anyio.to_thread.run_sync(ask_twice) == [(401, None), (401, None)]


async def test_V5_a_body_that_has_not_arrived_closes_the_connection_and_the_answer_says_so() -> None:
    async with running(early(), sockets=True) as env:

        def ask() -> tuple[int, bool, bool]:
            with HttpSocket(address_of(env)) as connection:
                connection.send("/early", "POST", {"Content-Length": "10"})
                answer = connection.answer()
                return answer.status, answer.closes, connection.closed()

        assert await anyio.to_thread.run_sync(ask) == (401, True, True)


SERVICE = """
    import anyio
    from fastapi import HTTPException

    from evox import Request, service

    svc = service("early").port(0)


    @svc.get("/tasks")
    async def tasks() -> int:
        return len(anyio.get_running_tasks())


    @svc.post("/early")
    async def refuse(request: Request) -> None:
        raise HTTPException(401)


    @svc.post("/whole")
    async def whole(request: Request) -> int:
        return len(await request.body())
"""


def memory(process: EvoxProcess) -> int:
    """Return the resident memory of a process in bytes."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024


def fits(state: tuple[int, int], before: tuple[int, int]) -> bool:
    return all(now <= then for now, then in zip(state, before, strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("status", PATHS)
def test_V5_five_hundred_early_answers_grow_the_process_by_less_than_20_MB(
    evox_run: Run, backend: str, status: int
) -> None:
    limit = {"EVOX_SERVING__BODY_BYTES": "1MB"} if status == 413 else {}
    process = evox_run({"early.py": SERVICE}, "--json", "--backend", backend, env=limit)
    address, headers = process.address(), {"content-length": str(UPLOAD)}

    def state() -> tuple[int, int]:
        tasks = int(process.get("/tasks").text)
        time.sleep(0.1)  # the connection that asked is gone as well
        return tasks, open_files(process.process.pid)

    for _ in range(20):
        upload(address, status, headers)
    before, size = state(), memory(process)
    seen = [upload(address, status, headers) for _ in range(500)]
    done = time.monotonic()
    while not fits(state(), before) and time.monotonic() < done + SOON:
        time.sleep(0.05)
    assert fits(state(), before)
    assert memory(process) - size < 20_000_000
    assert seen == [status] * 500
