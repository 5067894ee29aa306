"""More connections than there is room for: above the cap of a listener, and above the descriptors of a process."""

import json
import logging
import resource
import select
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from tests.lanes import ONE_WAY, running
from tests.support import Answer, EvoxProcess, HttpSocket, Run

from evox import Service, service
from evox.testing import Env

pytestmark = pytest.mark.usefixtures("http1")

SOON: Final = 8.0  # liveness only
CAP, CROWD = 20, 300
DESCRIPTORS, CLIENTS = 64, 150
GET: Final = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SERVICE: Final = """
    from evox import service

    svc = service("crowded").port(0)


    @svc.get("/")
    async def root() -> str:
        return "root"
"""


def build() -> Service:
    svc = service("crowded").port(0)

    @svc.get("/")
    async def root() -> str:
        return "root"

    return svc.build()


@pytest.fixture
async def env() -> AsyncIterator[Env]:
    settings = {"serving": {"connections": CAP}}
    async with running(build(), sockets=True, settings=settings) as env:
        yield env


def dial(env: Env) -> socket.socket:
    host, _, port = env.url("crowded").removeprefix("http://").partition(":")
    raw = socket.create_connection((host, int(port)))
    raw.setblocking(False)
    return raw


async def read(raw: socket.socket) -> bytes:
    """Return what comes next; nothing once the server has closed."""
    await anyio.wait_readable(raw)
    try:
        return raw.recv(65_536)
    except ConnectionError:
        return b""


async def rest(raw: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    got = b""
    while data := await read(raw):
        got += data
    return got


async def ask(raw: socket.socket) -> bytes:
    """Send one request and return its answer; nothing if the server closes instead."""
    try:
        raw.sendall(GET)
    except ConnectionError:
        return b""
    got = b""
    while not got.endswith(b'"root"') and (data := await read(raw)):
        got += data
    return got


async def until(env: Env, *, connections: int | None = None, total: int = 0) -> None:
    """Wait until so many connections are open, and so many were accepted."""
    while True:
        now = env.port("crowded").statistics()
        if now.total >= total and connections in (None, now.connections):
            return
        await anyio.sleep(0.01)


@contextmanager
def closing() -> Iterator[list[socket.socket]]:
    made: list[socket.socket] = []
    try:
        yield made
    finally:
        for one in made:
            one.close()


async def test_V4_a_connection_over_the_cap_is_answered_503_and_closed(env: Env) -> None:
    with anyio.fail_after(SOON), closing() as made:
        made += [dial(env) for _ in range(CAP)]
        await until(env, connections=CAP)
        made.append(dial(env))
        answer = await rest(made[-1])
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert {b"retry-after: 1", b"connection: close"} < set(head.split(b"\r\n"))
        assert b"content-length: %d" % len(body) in head
        assert json.loads(body)["status"] == 503


async def test_V4_a_request_over_the_cap_gets_its_503_though_nobody_reads_it(env: Env) -> None:
    with anyio.fail_after(SOON), closing() as made:
        made += [dial(env) for _ in range(CAP)]
        await until(env, connections=CAP)
        made.append(dial(env))
        made[-1].sendall(GET)
        assert (await rest(made[-1])).startswith(b"HTTP/1.1 503 ")


async def test_V4_of_300_idle_connections_the_surplus_is_turned_away_and_the_others_are_served(env: Env) -> None:
    with anyio.fail_after(SOON), closing() as made:
        made += [dial(env) for _ in range(CAP)]
        await until(env, connections=CAP)
        made += [dial(env) for _ in range(CROWD - CAP)]
        await until(env, connections=CAP, total=CROWD)
        for one in made[:CAP]:
            assert (await ask(one)).startswith(b"HTTP/1.1 200")
        surplus = [await rest(one) for one in made[CAP:]]
        assert {answer[:12] for answer in surplus} <= {b"", b"HTTP/1.1 503"}
        assert b"HTTP/1.1 503" in {answer[:12] for answer in surplus}
        for one in made[:CAP]:
            assert (await ask(one)).startswith(b"HTTP/1.1 200")
        assert env.port("crowded").statistics().complaints == {"too many connections": CROWD - CAP}


async def test_V4_a_place_that_becomes_free_is_given_to_the_next_connection(env: Env) -> None:
    with anyio.fail_after(SOON), closing() as made:
        made += [dial(env) for _ in range(CROWD)]
        await until(env, total=CROWD)
        for one in made:
            one.close()
        await until(env, connections=0)
        made[:] = [dial(env) for _ in range(CAP)]
        for one in made:
            assert (await ask(one)).startswith(b"HTTP/1.1 200")
        made.pop().close()
        await until(env, connections=CAP - 1)
        made.append(dial(env))
        assert (await ask(made[-1])).startswith(b"HTTP/1.1 200")


async def test_V4_one_line_speaks_for_all_the_surplus(env: Env, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "evox.serving")
    with anyio.fail_after(SOON), closing() as made:
        made += [dial(env) for _ in range(CROWD)]
        await until(env, total=CROWD)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert lines[0].startswith("crowded: client 127.0.0.1:")
    assert lines[0].endswith("too many connections")


def few_descriptors(process: EvoxProcess) -> None:
    """Leave a running process with few descriptors."""
    hard = resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))


def answered(address: tuple[str, int], limit: float) -> Answer:
    """Ask again and again until there is an answer.

    Raises:
        OSError: if there is none within the limit.
    """
    end = time.monotonic() + limit
    while True:
        try:
            with HttpSocket(address, timeout=0.5) as client:
                return client.get("/")
        except OSError:
            if time.monotonic() > end:
                raise


@pytest.fixture
def crowded(evox_run: Run, backend: str) -> EvoxProcess:
    process = evox_run({"crowded.py": SERVICE}, "--json", "--backend", backend)
    process.event("started")
    few_descriptors(process)
    return process


def answers(clients: list[HttpSocket]) -> int:
    """Send a request on every connection, and return how many are answered before there is silence."""
    for client in clients:
        client.send("/")
    waiting: list[Any] = [client.socket for client in clients]
    got = 0
    while ready := select.select(waiting, [], [], 0.5)[0]:
        for one in ready:
            waiting.remove(one)
            try:
                got += one.recv(65_536).startswith(b"HTTP/1.1 200")
            except ConnectionError:
                continue
    return got


def test_V4_a_process_out_of_descriptors_lives_and_serves_again_within_2_s_of_their_release(
    crowded: EvoxProcess,
) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(HttpSocket(crowded.address())) for _ in range(CLIENTS)]
        held = answers(clients)
        assert 10 < held < DESCRIPTORS
        assert crowded.process.poll() is None
    assert answered(crowded.address(), 2.0).status == 200
    assert crowded.end() == 0


def test_V4_a_process_out_of_descriptors_still_answers_the_clients_it_has(crowded: EvoxProcess) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(HttpSocket(crowded.address()))
        assert first.get("/").status == 200
        for _ in range(CLIENTS):
            stack.enter_context(HttpSocket(crowded.address()))
        for _ in range(20):
            assert first.get("/").body == b'"root"'


@ONE_WAY
def test_V4_connections_that_waited_for_descriptors_are_answered_once_there_are_some(crowded: EvoxProcess) -> None:
    with ExitStack() as waiting:
        with ExitStack() as first:
            for _ in range(DESCRIPTORS + 10):
                first.enter_context(HttpSocket(crowded.address()))
            last = waiting.enter_context(HttpSocket(crowded.address(), timeout=2.0))
            last.send("/")
        assert last.answer().status == 200


@ONE_WAY
def test_V4_a_process_out_of_descriptors_neither_spins_nor_floods_its_log(crowded: EvoxProcess) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(HttpSocket(crowded.address())) for _ in range(CLIENTS)]
        answers(clients)
        before = _ticks(crowded)
        time.sleep(1.0)
        assert _ticks(crowded) - before < 30  # hundredths of a second
        assert crowded.err.count("\n") < 10


def _ticks(process: EvoxProcess) -> int:
    fields = Path(f"/proc/{process.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
