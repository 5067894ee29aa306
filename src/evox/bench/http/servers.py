"""Servers: starts contestants in processes of their own, on one core, and ends them.

The load has the other core, where there is one and the system can say so. Settings of Evox in the environment are left
out, and each process has an empty folder to run in, so that Evox finds no project: it runs with its defaults.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jwt

from evox.bench.http.contestants import OURS, Contestant

__all__ = ["Cores", "NotStarted", "Server", "cores", "pinned", "serving", "token_of"]

PATIENCE: Final = 20.0
"""Seconds that a server may take to start."""
GRACE: Final = 5.0
"""Seconds that it may take to end."""
_LOOK: Final = 0.02

Address = tuple[str, int]
Arguments = Callable[[int], Sequence[str]]


class NotStarted(Exception):
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
    """

    contestant: Contestant
    address: Address
    guarded: Address


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
def serving(contestant: Contestant, core: int | None, secret: str, *, guarded: bool) -> Iterator[Server]:
    """Start a contestant and end it.

    Args:
        contestant: Which.
        core: Where it runs.
        secret: What its tokens are signed with.
        guarded: Whether the service that asks for a token is wanted too, where that is another one.

    Raises:
        NotStarted: if it does not.
    """
    with _started(contestant, contestant.started, core, secret) as address:
        if not guarded or contestant.guarded is None:
            yield Server(contestant, address, address)
            return
        with _started(contestant, contestant.guarded, core, secret) as other:
            yield Server(contestant, address, other)


@contextmanager
def _started(contestant: Contestant, arguments: Arguments, core: int | None, secret: str) -> Iterator[Address]:
    ours = contestant.family == OURS
    port = 0 if ours else _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVOX_")}
    environment |= {"BENCH_SECRET": secret, "EVOX_AUTH__KEYS": "env:BENCH_SECRET"}
    # Both are files, and not pipes: nobody reads while it is measured, and a pipe would be full one day.
    with tempfile.TemporaryDirectory(prefix="evox-bench-") as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        with out.open("wb") as writing, err.open("wb") as failing:
            process = subprocess.Popen(  # noqa: S603  our own Python, with words of ours
                [sys.executable, *arguments(port)], env=environment, cwd=folder, stdout=writing, stderr=failing
            )
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})  # at once, before it has threads of its own
            yield _listening(process, out, err, port)
        finally:
            _end(process)


def _listening(process: "subprocess.Popen[bytes]", out: Path, err: Path, port: int) -> Address:
    """Wait until it takes connections; return where."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        address = ("127.0.0.1", port) if port else _announced(out)
        if address is not None:
            try:
                socket.create_connection(address, 1).close()
            except OSError:
                pass
            else:
                return address
        time.sleep(_LOOK)
    lines = (err.read_text(errors="replace") + out.read_text(errors="replace")).split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    raise NotStarted(said[:200])


def _announced(out: Path) -> Address | None:
    """Return where Evox said that it listens."""
    line, whole, _ = out.read_text().partition("\n")
    if not whole:
        return None
    host, _, port = json.loads(line)["services"][0]["url"].removeprefix("http://").partition(":")
    return host, int(port)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
