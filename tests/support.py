"""What tests of the command share: ``evox run`` as a real process that always ends, and clients on plain sockets.

The clients block, so they are used from synchronous tests; every wait is bounded. Nothing here asserts anything.
"""

import json
import os
import random
import signal
import socket
import subprocess
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Self, TypeAlias
from uuid import uuid4
from weakref import WeakValueDictionary

import httpx2
from tests.commands import LIVENESS, command, environment
from tests.forked import started

__all__ = [
    "FEW_PLUGINS",
    "LIVENESS",
    "Answer",
    "EvoxProcess",
    "HttpSocket",
    "Run",
    "command",
    "environment",
    "evox_process",
    "free_port",
    "pids_of",
    "write_files",
]

MARK = "TEST_RUN_MARK"
FEW_PLUGINS = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_PLUGINS": "anyio.pytest_plugin,evox.testing.plugin",
}
"""For a pytest of a user's project: without the plugins of these tests here, which take two seconds to load."""
_running: MutableMapping[str, "EvoxProcess"] = WeakValueDictionary()


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write user code below a folder; common indentation is taken off."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")


def free_port(count: int = 1) -> int:
    """Return the first of ``count`` ports in a row that are free, for a test that must know them beforehand.

    They lie below the range that the kernel gives out itself, so that nobody who asks for port 0 gets them.
    """
    while True:
        first = random.randrange(20_000, 32_000)
        try:
            for port in range(first, first + count):
                with socket.create_server(("127.0.0.1", port)):
                    pass
        except OSError:
            continue
        return first


def pids_of(mark: str) -> list[int]:
    """Return the processes, children in sessions of their own included, that were started with this mark."""
    one = _running.get(mark)  # what the kernel shows of a fork's environment is that of whom it was forked from
    found = [one.process.pid] if one is not None and one.process.poll() is None else []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int(entry.name) in found:
                continue
            alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            if alive and f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # it ended while we looked, or is not ours
    return found


class EvoxProcess:
    """One ``evox run``, or another command that serves. Made by ``evox_process``.

    Attributes:
        folder: Where the user's code is.
        process: The process itself.
        mark: Found in the environment of all processes it starts; see ``pids_of``.
        lines: Standard output so far, each line with the monotonic time it was read at.
    """

    def __init__(
        self, folder: Path, arguments: tuple[str, ...], env: Mapping[str, str] | None, subcommand: str = "run"
    ) -> None:
        self.folder = folder
        self.mark = uuid4().hex
        self.lines: list[tuple[float, str]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._errors = folder / f".stderr-{self.mark}"
        with self._errors.open("wb") as errors:
            self.process = started(
                subcommand,
                *arguments,
                cwd=folder,
                env={**(env or {}), MARK: self.mark},
                out=subprocess.PIPE,
                err=errors.fileno(),
            )
        _running[self.mark] = self
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append((time.monotonic(), line.decode().rstrip("\n")))
                self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def out(self) -> str:
        """Standard output so far."""
        with self._changed:
            return "\n".join(line for _, line in self.lines)

    @property
    def err(self) -> str:
        """Standard error so far."""
        return self._errors.read_text(encoding="utf-8")

    @property
    def events(self) -> list[dict[str, Any]]:
        """Events so far, of a run with ``--json``."""
        with self._changed:
            return [json.loads(line) for _, line in self.lines]

    def event(self, name: str, *, count: int = 1, timeout: float = LIVENESS) -> dict[str, Any]:
        """Wait for the ``count``-th event of a name and return it."""

        def found() -> list[dict[str, Any]]:
            return [one for one in (json.loads(line) for _, line in self.lines) if one["event"] == name]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= count or self._closed, timeout)
            if len(found()) >= count:
                return found()[count - 1]
        raise AssertionError(f"no event {name!r} number {count}; exit {self.process.poll()}\n{self.out}\n{self.err}")

    def wait_line(self, text: str, *, timeout: float = LIVENESS) -> str:
        """Wait for a line of standard output that contains ``text``."""

        def found() -> str | None:
            return next((line for _, line in self.lines if text in line), None)

        with self._changed:
            self._changed.wait_for(lambda: found() is not None or self._closed, timeout)
            line = found()
        assert line is not None, f"{text!r} is not in:\n{self.out}\n{self.err}"
        return line

    def wait_error(self, text: str, *, count: int = 1, timeout: float = LIVENESS) -> None:
        """Wait until standard error contains ``text`` so many times."""
        end = time.monotonic() + timeout
        while self.err.count(text) < count:
            assert time.monotonic() < end, f"{text!r} is not {count} times in:\n{self.err}"
            time.sleep(0.01)

    def url(self, service: str | None = None) -> str:
        """Return where a service listens, once it does; the only one when none is named."""
        services = self.event("started")["services"]
        return str(next(one["url"] for one in services if service in (None, one["name"])))

    def address(self, service: str | None = None) -> tuple[str, int]:
        """Return host and port of a service."""
        url = httpx2.URL(self.url(service))
        assert url.port is not None
        return url.host, url.port

    def client(self, service: str | None = None) -> httpx2.Client:
        """Return an HTTP client of a service; to be closed by the caller."""
        return httpx2.Client(base_url=self.url(service), timeout=LIVENESS, trust_env=False)

    def get(self, path: str, service: str | None = None) -> httpx2.Response:
        """Send one GET on a connection of its own."""
        with self.client(service) as client:
            return client.get(path)

    def kill(self, number: signal.Signals) -> float:
        """Send a signal, and return the monotonic time of it."""
        now = time.monotonic()
        self.process.send_signal(number)
        return now

    def wait(self, timeout: float = LIVENESS) -> int:
        """Wait for the end and return the exit code."""
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        return code

    def end(self) -> int:
        """Ask it to end, and return the exit code."""
        self.kill(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """End every process of the run, however it is."""
        for pid in pids_of(self.mark):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(LIVENESS)
        self._reader.join(LIVENESS)
        assert self.process.stdout is not None
        self.process.stdout.close()


Run: TypeAlias = Callable[..., EvoxProcess]


@contextmanager
def evox_process(
    folder: Path,
    files: Mapping[str, str],
    *arguments: str,
    env: Mapping[str, str] | None = None,
    subcommand: str = "run",
) -> Iterator[EvoxProcess]:
    """Write user code to a folder and run ``evox run`` there; every process of it is gone when the block ends.

    Args:
        folder: Also the working directory.
        files: Text by path below the folder.
        *arguments: After ``evox run``. With ``--json``, ``event("started")`` waits for the banner.
        env: Added to the environment.
        subcommand: Run instead of ``run``.
    """
    write_files(folder, files)
    process = EvoxProcess(folder, arguments, env, subcommand)
    try:
        yield process
    finally:
        process.close()


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def closes(self) -> bool:
        """Whether the server said that it closes the connection."""
        return self.headers.get("connection", "").lower() == "close"


class HttpSocket:
    """One HTTP/1.1 connection, under the test's full control."""

    def __init__(self, address: tuple[str, int], *, timeout: float = LIVENESS) -> None:
        self.socket = socket.create_connection(address, timeout)
        self._host = f"{address[0]}:{address[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> None:
        """Send the head of a request."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def answer(self) -> Answer:
        """Read one whole answer.

        Raises:
            http.client.HTTPException, OSError: if it does not come, or not to its end.
        """
        with HTTPResponse(self.socket) as response:
            response.begin()
            body = response.read()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def get(self, path: str) -> Answer:
        """Send a GET and read its whole answer."""
        self.send(path)
        return self.answer()

    def closed(self) -> bool:
        """Wait for the server's next byte; whether it closed the connection instead."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
