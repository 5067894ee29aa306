"""The command group.

Help comes from the table here, so that ``evox --help`` imports no command, no FastAPI and no user code.

A command runs in asyncclick's small loop and returns what is to be done after it: ``evox run`` chooses its own
event loop, which cannot be started inside another.
"""

import errno
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import anyio
import asyncclick as click

from evox import __version__
from evox.cli.lazy import Lazy

__all__ = ["main"]

COMMANDS = {
    "bench": ("evox.cli.bench", "Measure what Evox promises, on this machine."),
    "cache": ("evox.cli.cache", "Look after what running services keep in their caches."),
    "check": ("evox.cli.check", "Import, wire and validate services, without a socket."),
    "completion": ("evox.cli.completion", "Print the script by which a shell completes commands."),
    "dashboard": ("evox.cli.dashboard", "Show what runs, live, in a browser."),
    "health": ("evox.cli.health", "Show how running services are."),
    "new": ("evox.cli.new", "Start a project, or a service in one."),
    "routes": ("evox.cli.routes", "List endpoints and what was declared of them."),
    "run": ("evox.cli.run", "Run services: in this project, or in the files, folders or modules named."),
    "status": ("evox.cli.status", "Show what runs here, one line for each service."),
    "sync": ("evox.cli.sync", "Bring database and services up to date."),
    "tasks": ("evox.cli.tasks", "Show the tasks of what runs here, as trees."),
    "test": ("evox.cli.test", "Run the project's tests with pytest."),
    "token": ("evox.cli.token", "Issue a token for the services that run with --dev."),
}


_UNWRITTEN = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EDQUOT)


@click.group(cls=Lazy, commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="evox")
def group() -> None:
    """Evox: microservices on structured concurrency."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; the process's own by default.

    Returns:
        The exit code: 0 ok, 1 failed, 2 usage, 3 something wants a look (`evox health --strict`), 69 port busy, 70
        internal, 78 configuration, 124 drain deadline, 130 interrupt.
    """
    _fill_streams()
    try:
        return _run(None if arguments is None else list(arguments))
    except click.exceptions.Exit as error:
        return int(error.exit_code)
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:  # noqa: BLE001  the end of the line: every error is reported and becomes an exit code
        if isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITTEN:
            return _unwritten(error)
        return _report(error, trace="--trace" in (sys.argv if arguments is None else arguments))


def _run(arguments: list[str] | None) -> int:
    parse: Callable[[], Awaitable[Any]] = partial(group.main, args=arguments, prog_name="evox", standalone_mode=False)
    then: Callable[[], int] | int | None = anyio.run(parse)
    code = then() if callable(then) else int(then or 0)
    sys.stdout.flush()  # here, where what fails can be told
    return code


def _fill_streams() -> None:
    """Have somewhere to write to where standard output or error was closed: the next file would be taken for it."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115, PTH123


def _unwritten(error: OSError) -> int:
    """Say that standard output cannot be written; whoever has stopped reading it is told nothing."""
    if error.errno != errno.EPIPE:
        sys.stderr.write(f"error: standard output cannot be written: {error.strerror}\n")
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  what is left in it goes nowhere
    return 1


def _show(error: Any) -> None:
    error.show()


def _report(error: Exception, *, trace: bool) -> int:
    from evox.errors import EvoxError
    from evox.failures import describe, root_cause

    cause = root_cause(error)
    if isinstance(cause, click.ClickException):
        _show(cause)
        return cause.exit_code
    sys.stderr.write(describe(cause if isinstance(cause, EvoxError) else error, trace=trace) + "\n")
    return cause.exit_code if isinstance(cause, EvoxError) else 70
