"""Forked: commands that end by themselves, each in a fork of a process that has imported Evox already.

A command is its arguments, folder, environment and streams; whether its modules are read from disk or were there before
makes no difference to what it does, but takes a second of a core each time. What depends on how the interpreter itself
starts is a process of its own, as everything else is.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support import LIVENESS, command, environment

__all__ = ["ended"]

SERVER = Path(__file__).with_name("fork_server.py")
# What the interpreter reads when it starts.
_AT_THE_START = ("PYTHON", "LC_", "LANG", "COLUMNS", "COVERAGE")
_servers: dict[int, "subprocess.Popen[bytes]"] = {}


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
    own = environment(env)
    if any(name.startswith(_AT_THE_START) for name in env or {}) or not hasattr(os, "fork"):
        return subprocess.run(
            command(*arguments),
            cwd=cwd,
            env=own,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    with tempfile.TemporaryDirectory(prefix="evox-", dir="/tmp") as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        asked = {"arguments": arguments, "cwd": str(cwd), "env": own, "out": str(out), "err": str(err)}
        code = _ask(asked, timeout)
        texts = [path.read_bytes().decode() if path.exists() else "" for path in (out, err)]
    if code is None:
        raise subprocess.TimeoutExpired(command(*arguments), timeout, *texts)
    return subprocess.CompletedProcess(command(*arguments), code, *texts)


def _ask(asked: Mapping[str, Any], timeout: float) -> int | None:
    """Have the server of this process run it; None if it takes too long. The server is given up then."""
    server = _servers.get(os.getpid())
    if server is None or server.poll() is not None:
        server = _servers[os.getpid()] = _started()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(asked).encode() + b"\n")
    server.stdin.flush()
    end, answer = time.monotonic() + timeout + (0 if _is_warm(server) else LIVENESS), b""
    while not answer.endswith(b"\n"):
        ready, _, _ = select.select([server.stdout], [], [], max(0.0, end - time.monotonic()))
        part = os.read(server.stdout.fileno(), 1000) if ready else b""
        if not part:
            _end(server)
            return None
        answer += part
    server.warm = True  # type: ignore[attr-defined]
    return int(answer)


def _is_warm(server: "subprocess.Popen[bytes]") -> bool:
    return getattr(server, "warm", False)


def _started() -> "subprocess.Popen[bytes]":
    server = subprocess.Popen(
        [sys.executable, str(SERVER)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(_end, server)
    return server


def _end(server: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGKILL)
    for pipe in (server.stdin, server.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    server.wait()
