"""Memory: what an idle connection keeps of a server's memory, and whether requests leave anything behind.

The server is ``evox run`` in a process of its own, and its memory is what the system says of that process. Linux tells
by ``/proc``; elsewhere there is nothing to read, and this says so.
"""

import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["CONNECTIONS", "REQUESTS", "Memory", "measure"]

CONNECTIONS: Final = 10_000
REQUESTS: Final = 1_000_000
WARM: Final = 50_000  # requests after which what is made once has been made
AT_ONCE: Final = 32
APP: Final = Path(__file__).parent / "http" / "apps" / "on_evox.py"
_ASKED: Final = b"GET /items/12 HTTP/1.1\r\nHost: bench\r\n\r\n"
_SPARE: Final = 200  # descriptors that both sides need besides
_SETTLE: Final = 1.0  # seconds in which a server lets go of what was closed
_PATIENCE: Final = 30  # times that


@dataclass(frozen=True, slots=True)
class Memory:
    """What was seen of one server.

    Attributes:
        backend: Its loop.
        connections: Idle ones that were held at a time.
        each: Bytes of memory that one of them keeps.
        requests: How many were answered after the warm-up.
        growth: Bytes by which the server has grown over them.
        descriptors: How many more are open at the end than at the beginning.
    """

    backend: str
    connections: int
    each: float
    requests: int
    growth: int
    descriptors: int


def measure(backend: str, *, connections: int = CONNECTIONS, requests: int = REQUESTS) -> Memory:
    """Measure a server on one loop.

    Args:
        backend: ``"trio"`` or ``"asyncio"``.
        connections: Idle connections to hold.
        requests: Requests to send.

    Raises:
        OSError: if the system says nothing of a process's memory, or allows fewer descriptors than that takes.
        RuntimeError: if the server does not start, or answers otherwise than it should.
    """
    _allow(connections + _SPARE)
    with _server(backend) as (process, address):
        growth, more = _grown(process, address, requests)
    # Another server: the first one's memory has room that connections would take without its being seen.
    with _server(backend) as (process, address):
        each, left = _held(process, address, connections)
    return Memory(backend, connections, each, requests, growth, more + left)


def _grown(process: int, address: tuple[str, int], requests: int) -> tuple[int, int]:
    """Return by how many bytes a server grows over so many requests, and how many descriptors more it has then."""
    _send(address, min(WARM, max(requests, 1000)))
    time.sleep(_SETTLE)
    start, before = _memory(process), _descriptors(process)
    _send(address, requests)
    time.sleep(_SETTLE)
    return _memory(process) - start, _descriptors(process) - before


def _held(process: int, address: tuple[str, int], connections: int) -> tuple[float, int]:
    """Return the bytes that each of so many idle connections keeps, and the descriptors that are left of them."""
    _send(address, 1000)
    time.sleep(_SETTLE)
    start, before = _memory(process), _descriptors(process)
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(address, 10)) for _ in range(connections)]
        for one in held:
            _ask(one)
        time.sleep(_SETTLE)
        each = (_memory(process) - start) / connections
    for _ in range(_PATIENCE):  # closing very many takes a server a while
        time.sleep(_SETTLE)
        if _descriptors(process) <= before:
            break
    return each, _descriptors(process) - before


def _ask(one: socket.socket) -> None:
    """Send one request, and read its answer.

    Raises:
        RuntimeError: if the answer is another one.
    """
    one.sendall(_ASKED)
    answer = one.recv(65_536)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the server answered {answer[:100]!r}")


def _send(address: tuple[str, int], requests: int) -> None:
    """Send so many requests over a few connections."""
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        left = requests
        for _ in range(min(AT_ONCE, requests)):
            one = stack.enter_context(socket.create_connection(address, 10))
            selector.register(one, selectors.EVENT_READ, one)
            one.sendall(_ASKED)
            left -= 1
        waiting = len(selector.get_map())
        while waiting:
            for key, _ in selector.select(10):
                if not key.data.recv(65_536).startswith(b"HTTP/1.1 200 "):
                    raise RuntimeError("the server has broken a connection")
                if left:
                    key.data.sendall(_ASKED)
                    left -= 1
                else:
                    waiting -= 1


@contextmanager
def _server(backend: str) -> Iterator[tuple[int, tuple[str, int]]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVOX_")}
    given = environment | {"EVOX_LOG": "error", "EVOX_SERVING__DRAIN_DELAY": "0", "EVOX_SERVING__BACKLOG": "65535"}
    given["EVOX_SERVING__CONNECTIONS"] = "1000000"
    command = [sys.executable, "-m", "evox", "run", str(APP), "--port", "0", "--json", "--backend", backend]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, env=given, cwd=folder, stdout=subprocess.PIPE) as started,  # noqa: S603  it is ours
    ):
        try:
            line = started.stdout.readline() if started.stdout is not None else b""
            if not line:
                raise RuntimeError("evox run did not start; it says why above")
            host, _, port = json.loads(line)["services"][0]["url"].removeprefix("http://").partition(":")
            yield started.pid, (host, int(port))
        finally:
            started.send_signal(signal.SIGTERM)
            try:
                started.wait(15)
            except subprocess.TimeoutExpired:
                started.kill()


def _allow(descriptors: int) -> None:
    """Let this process, and those that it starts, have so many descriptors.

    Raises:
        OSError: if the system does not allow it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < descriptors:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
        except (ValueError, OverflowError, OSError):
            raise OSError(f"{descriptors} descriptors are needed, and the system allows {hard}: ulimit -n") from None


def _memory(process: int) -> int:
    """Return the bytes of memory that a process has for itself."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def _descriptors(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))
