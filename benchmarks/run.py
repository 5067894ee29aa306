"""Requests per second and latency of a GET that returns JSON, with one path parameter, over keep-alive connections.

The same handler is served by Evox and by its peers, each in a process of its own. The load comes from this process, by
plain sockets, one request at a time on each connection. All servers are measured in every round, one after the other,
so that a slow moment of the machine meets them alike. Nothing is asserted about time: this prints, people judge.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import re
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio
from fastapi import FastAPI

from evox import service

HERE: Final = Path(__file__).resolve()
PATIENCE: Final = 10.0
WARM_UP: Final = 0.3
UVLOOP: Final = find_spec("uvloop") is not None
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)

app = FastAPI()
svc = service("bench")


@svc.get("/items/{item_id}")
@app.get("/items/{item_id}")
async def read_item(item_id: int) -> dict[str, Any]:
    return {"item_id": item_id, "name": f"item {item_id}"}


# --- the servers, each in a process of its own -----------------------------------------------------------------------


def hypercorn(descriptor: int, backend: str, **options: Any) -> None:
    config = importlib.import_module("hypercorn.config").Config()
    config.bind = [f"fd://{descriptor}"]
    config.errorlog = None
    serve: Callable[..., Any] = importlib.import_module(f"hypercorn.{backend}").serve
    anyio.run(serve, app, config, backend=backend, backend_options=options)


def uvicorn(descriptor: int) -> None:
    library = importlib.import_module("uvicorn")
    library.run(app, fd=descriptor, log_level="error", access_log=False)


SERVE: Final[dict[str, Callable[[int], None]]] = {
    "hypercorn-asyncio": lambda descriptor: hypercorn(descriptor, "asyncio"),
    "hypercorn-uvloop": lambda descriptor: hypercorn(descriptor, "asyncio", use_uvloop=True),
    "hypercorn-trio": lambda descriptor: hypercorn(descriptor, "trio"),
    "uvicorn": uvicorn,
}


@contextmanager
def process(command: Sequence[str], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVOX_")}
    with subprocess.Popen(
        [sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True, **options
    ) as started:
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(5)
            except subprocess.TimeoutExpired:
                started.kill()


@contextmanager
def peer(name: str) -> Iterator[tuple[str, int]]:
    """Serve the FastAPI app by another server, on a socket that is bound here; yield where."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as bound:
        descriptor = bound.fileno()
        with process([str(HERE), "--serve", name, str(descriptor)], pass_fds=(descriptor,)):
            yield bound.getsockname()


@contextmanager
def evox(backend: str) -> Iterator[tuple[str, int]]:
    """Serve the Evox service as users do, with ``evox run``; yield where."""
    command = ["-m", "evox", "run", f"{HERE}:svc", "--port", "0", "--json", "--backend", backend]
    with process(command) as started:
        assert started.stdout is not None
        line = started.stdout.readline()
        if not line:
            raise RuntimeError("evox run did not start; it says why above")
        host, _, port = json.loads(line)["services"][0]["url"].removeprefix("http://").partition(":")
        yield host, int(port)


# --- the load ---------------------------------------------------------------------------------------------------------


class Connection:
    """One keep-alive connection with one request at a time under way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._item = 0
        self._sent = 0.0
        self._received = b""

    def ask(self, item: int) -> None:
        self._item, self._received = item, b""
        self._sent = time.perf_counter()
        self.socket.sendall(b"GET /items/%d HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n" % item)

    def take(self) -> float | None:
        """Read what is there; return the seconds the answer took once it is whole and right."""
        data = self.socket.recv(65536)
        now = time.perf_counter()
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n") if found else None
        if data and (length is None or len(body) < int(length[1])):
            return None
        right = b'{"item_id":%d,"name":"item %d"}' % (self._item, self._item)
        if not head.startswith(b"HTTP/1.1 200") or body != right:
            raise RuntimeError(f"a wrong answer: {self._received!r}")
        return now - self._sent


@dataclass
class Measured:
    """What was seen of one server.

    Attributes:
        rates: Requests per second, one for each round.
        latencies: Seconds, of all requests of all rounds.
        busy: The part of the time that the load process worked, one for each round. Near 1 it is the load that is
            measured, and not the server.
    """

    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def percentile(self, part: float) -> float:
        return sorted(self.latencies)[min(int(len(self.latencies) * part), len(self.latencies) - 1)]


def load(address: tuple[str, int], *, seconds: float, connections: int) -> tuple[list[float], float, float]:
    """Send requests for a while; return their latencies, the seconds it took and the seconds of processor it cost."""
    items = count(1)
    latencies: list[float] = []
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        began, cost = time.perf_counter(), time.process_time()
        end = began + seconds
        for _ in range(connections):
            connection = Connection(address)
            stack.callback(connection.socket.close)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.ask(next(items))
        while selector.get_map():
            ready = selector.select(PATIENCE)
            if not ready:
                raise RuntimeError(f"no answer within {PATIENCE:g} s")
            for key, _ in ready:
                took = key.data.take()
                if took is None:
                    continue
                latencies.append(took)
                if time.perf_counter() < end:
                    key.data.ask(next(items))
                else:
                    selector.unregister(key.fileobj)
        return latencies, time.perf_counter() - began, time.process_time() - cost


def contenders() -> dict[str, Any]:
    """Return what is measured, by name. The first is what the others are compared with."""
    found: dict[str, Any] = {"FastAPI, hypercorn, asyncio": lambda: peer("hypercorn-asyncio")}
    if UVLOOP:
        found["FastAPI, hypercorn, uvloop"] = lambda: peer("hypercorn-uvloop")
    found["FastAPI, hypercorn, trio"] = lambda: peer("hypercorn-trio")
    if find_spec("uvicorn") is not None:
        found["FastAPI, uvicorn"] = lambda: peer("uvicorn")
    found["Evox, trio"] = lambda: evox("trio")
    found["Evox, uvloop" if UVLOOP else "Evox, asyncio"] = lambda: evox("asyncio")
    return found


def measure(*, seconds: float, rounds: int, connections: int) -> dict[str, Measured]:
    """Start all servers, measure them in turns, and end them."""
    with ExitStack() as stack:
        addresses = {name: stack.enter_context(start()) for name, start in contenders().items()}
        seen = {name: Measured() for name in addresses}
        for address in addresses.values():
            load(address, seconds=WARM_UP, connections=connections)
        for _ in range(rounds):
            for name, address in addresses.items():
                latencies, took, cost = load(address, seconds=seconds, connections=connections)
                seen[name].rates.append(len(latencies) / took)
                seen[name].latencies += latencies
                seen[name].busy.append(cost / took)
        return seen


def report(seen: dict[str, Measured]) -> None:
    base = statistics.median(next(iter(seen.values())).rates)
    print(f"{'':<28}{'requests/s':>11}{'lowest-highest':>17}{'ratio':>8}{'p50 ms':>9}{'p99 ms':>9}{'load busy':>11}")
    for name, one in seen.items():
        rate, span = statistics.median(one.rates), f"{min(one.rates):.0f}-{max(one.rates):.0f}"
        times = f"{one.percentile(0.5) * 1000:>9.2f}{one.percentile(0.99) * 1000:>9.2f}"
        print(f"{name:<28}{rate:>11.0f}{span:>17}{rate / base:>8.2f}{times}{statistics.mean(one.busy):>11.0%}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description="Requests/s and latency of a JSON GET.")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement (default: 1.5)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each server (default: 3)")
    parser.add_argument("--connections", type=int, default=16, help="kept open at a time (default: 16)")
    parser.add_argument("--serve", nargs=2, metavar=("NAME", "FD"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        SERVE[given.serve[0]](int(given.serve[1]))
        return 0
    if given.seconds <= 0 or given.rounds < 1 or given.connections < 1:
        parser.error("--seconds, --rounds and --connections are more than zero")
    names = ("evox-framework", "fastapi", "hypercorn", "trio", *(["uvloop"] if UVLOOP else []))
    print("GET /items/{item_id}, JSON, loopback; server and load each have one process")
    print(f"{given.connections} connections, {given.rounds} rounds of {given.seconds:g} s for each server")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, ", end="")
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in names), end="\n\n", flush=True)
    report(measure(seconds=given.seconds, rounds=given.rounds, connections=given.connections))
    return 0


if __name__ == "__main__":
    sys.exit(main())
