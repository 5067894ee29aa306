"""Servers: starts contestants in processes of their own, on one core, and ends them.

The load has the other core, where there is one and the system can say so. Settings of Evox in the environment are left
out, and each process has an empty folder to run in, so that Evox finds no project: it runs with its defaults.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jwt

from evox.bench.http.contestants import OURS, Contestant

__all__ = ["Cores", "Fleet", "Server", "cores", "pinned", "serving", "token_of"]

PATIENCE: Final = 60.0
"""Seconds that all servers together may take to start."""
GRACE: Final = 5.0
"""Seconds that they may take to end."""
_LOOK: Final = 0.02

Address = tuple[str, int]
Arguments = Callable[[int], Sequence[str]]


class _NotStarted(Exception):
    """A server ended, or did not listen in time. Its text is the last line that it wrote."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core has what; None where processes cannot be pinned."""

    server: int | None
    load: int | None


@dataclass(frozen=True, slots=True)
class Server:
    """One that is running.

    Attributes:
        contestant: Which.
        address: Where the plain service listens.
        guarded: Where the service listens that asks for a token.
        process: The plain service's, by its number.
        guard: The other one's.
    """

    contestant: Contestant
    address: Address
    guarded: Address
    process: int
    guard: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """Those that started, and by name why the others did not."""

    servers: list[Server]
    failures: dict[str, str]


def cores() -> Cores:
    """Return the first core for servers and the last one for the load."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(None, None)
    found = sorted(os.sched_getaffinity(0))
    return Cores(found[0], found[-1]) if len(found) > 1 else Cores(None, None)


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Run this process on one core meanwhile."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def token_of(secret: str) -> str:
    """Return a token that every contestant lets in, good for an hour."""
    now = int(time.time())
    claims = {"iss": "evox", "aud": "evox", "sub": "ada", "roles": ["admin"], "iat": now, "exp": now + 3600}
    return jwt.encode(claims, secret, algorithm="HS256")


@contextmanager
def serving(contestants: Sequence[Contestant], core: int | None, secret: str, *, guarded: bool) -> Iterator[Fleet]:
    """Start contestants, all at the same time, and end them.

    Args:
        contestants: Who.
        core: Where they run once they have started; they may start on all.
        secret: What their tokens are signed with.
        guarded: Whether the services that ask for a token are wanted too, where those are others.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVOX_")}
    environment["BENCH_SECRET"] = secret
    with tempfile.TemporaryDirectory(prefix="evox-bench-") as folder, _processes() as processes:
        started = []
        for one in contestants:
            plain = _Process(one, one.started, Path(folder, one.name), environment)
            processes.append(plain)
            other = plain
            if guarded and one.guarded is not None:
                own = environment | {"EVOX_AUTH__KEYS": "env:BENCH_SECRET"}
                other = _Process(one, one.guarded, Path(folder, f"{one.name}-guarded"), own)
                processes.append(other)
            started.append((one, plain, other))
        fleet = Fleet([], {})
        end = time.monotonic() + PATIENCE
        for one, plain, other in started:
            try:
                addresses = plain.listening(end), other.listening(end)
            except _NotStarted as error:
                fleet.failures[one.name] = f"did not start: {error}"
            else:
                fleet.servers.append(Server(one, *addresses, plain.process.pid, other.process.pid))
        if core is not None:
            for process in processes:
                process.pin(core)
        yield fleet


class _Process:
    """One process. It writes to files and not to pipes: nobody reads while it is measured, and a pipe gets full."""

    def __init__(self, contestant: Contestant, arguments: Arguments, folder: Path, environment: dict[str, str]) -> None:
        folder.mkdir()
        self._port = 0 if contestant.family == OURS else _free_port()
        self._out, self._err = folder / "out", folder / "err"
        line = [sys.executable, *arguments(self._port)]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(  # noqa: S603  our own Python, with words of ours
                line, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    def listening(self, end: float) -> Address:
        """Wait until it takes connections; return where.

        Raises:
            _NotStarted: if it ended, or takes none at the end of that time.
        """
        while self.process.poll() is None and time.monotonic() < end:
            address = ("127.0.0.1", self._port) if self._port else self._announced()
            if address is not None:
                try:
                    socket.create_connection(address, 1).close()
                except OSError:
                    pass
                else:
                    return address
            time.sleep(_LOOK)
        lines = [line for file in (self._out, self._err) for line in file.read_text(errors="replace").splitlines()]
        raise _NotStarted(next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")[:200])

    def _announced(self) -> Address | None:
        """Return where Evox said that it listens."""
        line, whole, _ = self._out.read_text().partition("\n")
        if not whole:
            return None
        host, _, port = json.loads(line)["services"][0]["url"].removeprefix("http://").partition(":")
        return host, int(port)

    def pin(self, core: int) -> None:
        """Keep it, with all threads that it has, on one core."""
        with suppress(OSError):  # a thread, or the whole, may be gone
            for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {core})


@contextmanager
def _processes() -> Iterator[list[_Process]]:
    """End all processes that were put into a list; those that do not end are killed."""
    found: list[_Process] = []
    in_main = threading.current_thread() is threading.main_thread()
    # Without this, who is asked to end would leave them running.
    before = signal.signal(signal.SIGTERM, _leave) if in_main else None
    try:
        yield found
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, before)
        for one in found:
            one.process.terminate()
        end = time.monotonic() + GRACE
        for one in found:
            try:
                one.process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
