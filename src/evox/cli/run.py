"""``evox run``: run services until a signal."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncclick as click

from evox.cli.completing import service_names

__all__ = ["command"]


EXAMPLES = """\b
Examples:
  evox run --dev                       the project, restarted on save
  evox run users/service.py            one file; module:attribute picks one service
  evox run --host 0.0.0.0 --workers 4  as in a container
  evox run --gateway --port 8000       all services under one port
"""


@click.command(name="run", epilog=EXAMPLES)
@click.argument("targets", nargs=-1)
@click.option("--dev", is_flag=True, help="Restart on save, show every request, drain in a second.")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    shell_complete=service_names,
    help="Run only this service; may be repeated.",
)
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the gateway, of the one service, or of the first.")
@click.option("--backend", type=click.Choice(["auto", "trio", "asyncio"]), help="Event loop.  [default: auto]")
@click.option("--gateway", is_flag=True, default=None, help="All services under one port, each below its name.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes on the same sockets.  [default: 1]")
@click.option("--certfile", type=click.Path(resolve_path=True), help="Certificate chain in PEM; turns TLS on.")
@click.option("--keyfile", type=click.Path(resolve_path=True), help="Its private key, if not in --certfile.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line instead of text.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks.")
def command(targets: tuple[str, ...], dev: bool, **given: Any) -> Callable[[], int]:
    """Run services: in this project, or in the files, folders or modules named (module:attribute picks one)."""
    if dev and given["workers"]:
        raise click.UsageError("--dev runs one process: leave out --workers")
    if dev and "EVOX_HANDOVER" not in os.environ:
        return lambda: _develop(targets)

    def run() -> int:
        with _without_collecting():
            from evox.errors import EvoxError
            from evox.orchestrator import Console, Handover, RunOptions, configuration, plan, serve, start_logs

        options = RunOptions(targets=targets, dev=dev, **given)
        console = Console(as_json=options.as_json, trace=options.trace)
        handover = Handover(os.environ)
        try:
            loaded = configuration(options)
            if loaded.settings.workers > 1 and not (dev or handover.worker):
                return _supervise(loaded.settings, console)
            start_logs(dev=options.dev)
            planned = plan(options, loaded)
        except EvoxError as error:
            console.error(error)
            return error.exit_code
        return serve(planned, handover=handover)

    return run


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Look for no garbage while modules are imported: they are none, and looking through them takes its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _supervise(settings: Any, console: Any) -> int:
    from evox.orchestrator.workers import run_workers

    return run_workers(sys.argv[1:], settings, console)


def _develop(targets: tuple[str, ...]) -> int:
    from evox.orchestrator.reload import develop

    folders = {Path.cwd()} | {Path(one.partition(":")[0]) for one in targets}
    watched = {(path if path.is_dir() else path.parent).resolve() for path in folders if path.exists()}
    arguments = sys.argv[1:]
    return develop(arguments, sorted(watched))
