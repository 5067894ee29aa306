"""Forked: commands that run each in a fork of a process that has imported Evox already.

A command is its arguments, folder, environment and streams; whether its modules are read from disk or were there before
makes no difference to what it does, but takes a second of a core each time. What depends on how the interpreter itself
starts is a process of its own, and so are the processes that a command starts.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

from tests.commands import LIVENESS, command, environment

__all__ = ["Running", "ended", "started"]

SERVER = Path(__file__).with_name("fork_server.py")
# What the interpreter reads when it starts.
_AT_THE_START = ("PYTHON", "LC_", "LANG", "COLUMNS", "COVERAGE")
_servers: dict[int, "_Server"] = {}
_lock = threading.Lock()


class Forked:
    """A process that runs in a fork: as much of a ``Popen`` as tests use.

    Attributes:
        args: Its command line.
        pid: Its number.
        returncode: Its exit code, once it is known to have ended.
        stdout: What it writes, where that was asked for.
    """

    def __init__(self, args: Sequence[str], told: int, stdout: IO[bytes] | None) -> None:
        self.args = list(args)
        self.stdout = stdout
        self.returncode: int | None = None
        self._told = told  # its number when it begins, and its exit code when it has ended
        self._lock = threading.Lock()
        weakref.finalize(self, os.close, told)
        if not self._is_told(LIVENESS):
            raise subprocess.TimeoutExpired(self.args, LIVENESS)
        self.pid = self._number()

    def __repr__(self) -> str:
        return f"<Forked {self.args[3:]} {self.returncode}>"

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""
        with self._lock:
            if self.returncode is None and self._is_told(0):
                self.returncode = self._number()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit code.

        Raises:
            subprocess.TimeoutExpired: if that takes longer.
        """
        if self.returncode is None and self._is_told(timeout):
            self.poll()
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _is_told(self, timeout: float | None) -> bool:
        return bool(select.select([self._told], [], [], timeout)[0])

    def _number(self) -> int:
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(self._told, 1)
            assert part, f"nobody tells of {self!r} any more"
            line += part
        return int(line)


Running: TypeAlias = Forked | subprocess.Popen[bytes]


class _Server:
    """The process that forks."""

    def __init__(self) -> None:
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, str(SERVER)], env=environment(), stdin=theirs.fileno(), start_new_session=True
            )
        self._asking.settimeout(2 * LIVENESS)
        self._asking.recv(1)  # it has imported everything

    def ask(self, asked: Mapping[str, Any], out: int, err: int) -> int:
        """Have a command run; return where it is told how that goes."""
        told, telling = os.pipe()
        try:
            socket.send_fds(self._asking, [json.dumps(asked).encode()], [telling, out, err])
        finally:
            os.close(telling)
        return told

    def end(self) -> None:
        self._asking.close()
        self.process.kill()
        self.process.wait()


def started(*arguments: str, cwd: Path, env: Mapping[str, str], out: int, err: int) -> Running:
    """Start ``evox`` with these arguments, in a session of its own and with nothing to read.

    Args:
        *arguments: After ``evox``.
        cwd: Its folder.
        env: Beside what ``environment`` gives.
        out: Where it writes: a descriptor, or ``subprocess.PIPE``.
        err: A descriptor for its errors.
    """
    line, own = command(*arguments), environment(env)
    if any(name.startswith(_AT_THE_START) for name in env) or not hasattr(os, "fork"):
        return subprocess.Popen(
            line, cwd=cwd, env=own, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
    asked = {"command": line, "arguments": arguments, "cwd": str(cwd), "env": own}
    with _lock:
        server = _servers.get(os.getpid())
        if server is None or server.process.poll() is not None:
            server = _servers[os.getpid()] = _Server()
            atexit.register(server.end)
        if out != subprocess.PIPE:
            return Forked(line, server.ask(asked, out, err), None)
        reading, writing = os.pipe()
        try:
            return Forked(line, server.ask(asked, writing, err), os.fdopen(reading, "rb"))
        finally:
            os.close(writing)


def ended(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = LIVENESS
) -> "subprocess.CompletedProcess[str]":
    """Run ``evox`` with these arguments to its end, and return its exit code and what it wrote.

    Args:
        *arguments: After ``evox``.
        cwd: Its folder.
        env: Beside what ``environment`` gives.
        timeout: Seconds it may take.

    Raises:
        subprocess.TimeoutExpired: if it takes longer.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = started(*arguments, cwd=cwd, env=env or {}, out=out.fileno(), err=err.fileno())
        try:
            code: int | None = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        texts = [os.pread(one.fileno(), os.fstat(one.fileno()).st_size, 0).decode() for one in (out, err)]
    if code is None:
        raise subprocess.TimeoutExpired(process.args, timeout, *texts)
    return subprocess.CompletedProcess(process.args, code, *texts)
