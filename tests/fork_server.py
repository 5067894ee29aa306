"""Fork server: a script that has imported Evox, and forks for each command that it is asked to run; see ``forked``."""

import gc
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

_SIZE = 1_000_000
_THERE = (
    "anyio._backends._asyncio",
    "anyio._backends._trio",
    "uvloop",
    "evox.cli.entry",
    "evox.cli.run",
    "evox.observe.report",
    "evox.orchestrator",
)


def _prepare() -> None:
    """Import what is there for those who are forked."""
    for name in _THERE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _asked() -> Mapping[str, Any]:
    """Return what this process is to run. The server itself never does, and ends with those who ask."""
    asking = socket.socket(fileno=os.dup(0))
    asking.send(b"\n")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody has to wait for those who keep the commands
    while True:
        data, passed, _, _ = socket.recv_fds(asking, _SIZE, 3)
        if not data:
            os._exit(0)
        if os.fork() == 0:
            asking.close()
            asked: Mapping[str, Any] = json.loads(data)
            _keep(*passed)
            return asked
        for descriptor in passed:
            os.close(descriptor)


def _keep(telling: int, out: int, err: int) -> None:
    """Return in a process for the command; tell from this one what becomes of it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, descriptor in ((0, nothing), (1, out), (2, err)):
            os.dup2(descriptor, number)
        for descriptor in (nothing, telling, out, err):
            os.close(descriptor)
        return
    for descriptor in (0, out, err):
        os.close(descriptor)
    os.write(telling, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    os.write(telling, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(asked: Mapping[str, Any]) -> None:
    """Let this process be as one that was started with a command line."""
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1, errors="backslashreplace")  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    sys.orig_argv = asked["command"]
    sys.argv = ["evox", *asked["arguments"]]
    sys.path[0] = asked["cwd"]


if __name__ == "__main__":
    _prepare()
    _become(_asked())
    import evox.cli

    sys.exit(evox.cli.main())
