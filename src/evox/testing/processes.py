"""Processes: ``evox run`` as a child of a test, with its true address, and an end that is certain."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import anyio.lowlevel
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from evox.failures import causes

__all__ = ["ServiceProcess", "service_process"]

START: Final = 15.0  # seconds
END: Final = 5.0
_LINE: Final = 1_048_576
_SHOWN: Final = 4000  # characters of what a child said that is shown when it does not start


class ServiceProcess:
    """One ``evox run``. Made by ``service_process``.

    Attributes:
        urls: Where its services are, by name.
        pid: Its process.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._said: list[str] = []
        self.urls: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<ServiceProcess {self.pid}: {', '.join(self.urls) or 'not started'}>"

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def said(self) -> str:
        """What it wrote to standard error, the end of it."""
        return "".join(self._said)[-_SHOWN:]

    def kill(self) -> None:
        """End it at once, with SIGKILL."""
        self._process.kill()

    def stop(self) -> None:
        """Ask it to drain and end."""
        self._process.send_signal(signal.SIGTERM)

    async def wait(self) -> int:
        """Wait for its end, and return its exit code; negative for a signal."""
        return await self._process.wait()

    async def listen_to(self) -> None:
        """Keep what it writes to standard error."""
        assert self._process.stderr is not None  # noqa: S101  it was started with one
        async for part in self._process.stderr:
            self._said.append(part.decode(errors="replace"))

    async def started(self) -> None:
        """Wait until it answers requests.

        Raises:
            RuntimeError: if it ends instead; the message has what it said.
        """
        assert self._process.stdout is not None  # noqa: S101  it was started with one
        lines = BufferedByteReceiveStream(self._process.stdout)
        try:
            while not self.urls:
                event = json.loads(await lines.receive_until(b"\n", _LINE))
                if event.get("event") == "started":
                    self.urls = {one["name"]: one["url"] for one in event["services"]}
        except (anyio.IncompleteRead, anyio.EndOfStream):
            await self.wait()
            await anyio.lowlevel.checkpoint()
            raise RuntimeError(f"the service did not start:\n{self.said}") from None


@asynccontextmanager
async def service_process(
    *targets: str, only: Sequence[str] = (), port: int = 0, settings: Mapping[str, Any] | None = None
) -> AsyncIterator[ServiceProcess]:
    """Run services in a process of their own, for the time of an ``async with`` block.

    Args:
        *targets: As for ``evox run``: files, folders or modules.
        only: Names of services, of those found.
        port: Where to listen; 0 takes a free port.
        settings: ``[tool.evox]``, handed over as ``EVOX_*``.

    Raises:
        RuntimeError: if it does not start.
        TimeoutError: if that takes more than 15 s.
    """
    command = [sys.executable, "-m", "evox", "run", *targets, "--port", str(port), "--json"]
    for name in only:
        command += ["--only", name]
    process = await anyio.open_process(command, env=_environment(settings or {}), start_new_session=True)
    made = ServiceProcess(process)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(made.listen_to)
            with anyio.fail_after(START):
                await made.started()
            yield made
            group.cancel_scope.cancel()
    except ExceptionGroup as error:
        leaves = list(causes(error))
        if len(leaves) == 1:
            raise leaves[0] from leaves[0].__cause__  # the error of the block, as it was raised
        raise
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


async def _end(process: Process) -> None:
    """End a process: with SIGTERM, and with SIGKILL if it is not gone in time."""
    if process.returncode is None:
        process.terminate()
    with anyio.move_on_after(END):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await process.aclose()


def _environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return our environment without settings of Evox, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVOX_")}
    said = {
        f"EVOX_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
    }
    return kept | said
