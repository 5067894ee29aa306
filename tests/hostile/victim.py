"""The server that the corpus is let loose on: ``evox run`` as a process, with HTTP/2 switched on.

``/early`` answers without reading, ``/upload`` reads, ``/big`` answers 8 MB, ``/reflect`` puts what it is given into a
header, ``/echo`` is a WebSocket, ``/patient`` one that accepts late, and ``/stats`` counts the tasks and descriptors of
the process.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trustme
from tests.hostile.peer import Address, health
from tests.lanes import said
from tests.support import EvoxProcess, evox_process

__all__ = ["CERTIFICATE", "KEY", "SERVICE", "Victims", "baseline", "certify", "settled", "victim"]

CERTIFICATE, KEY = "cert.pem", "key.pem"

SERVICE = """
    import os
    from collections.abc import AsyncIterator

    import anyio
    from fastapi.responses import PlainTextResponse, StreamingResponse

    from evox import Request, WebSocket, service

    svc = service("victim").port(0)


    @svc.endpoint("/early", methods=["GET", "POST", "OPTIONS"])
    async def early() -> PlainTextResponse:
        return PlainTextResponse("early")


    @svc.post("/upload")
    async def upload(request: Request) -> int:
        return len(await request.body())


    async def megabytes() -> AsyncIterator[bytes]:
        for _ in range(128):
            yield b"x" * 65536


    @svc.get("/big")
    async def big() -> StreamingResponse:
        return StreamingResponse(megabytes())


    @svc.get("/reflect")
    async def reflect(value: str) -> PlainTextResponse:
        return PlainTextResponse("", headers={"x-value": value})


    @svc.get("/stats")
    async def stats() -> dict[str, int]:
        return {"tasks": len(anyio.get_running_tasks()), "descriptors": len(os.listdir("/proc/self/fd"))}


    @svc.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)


    @svc.websocket("/patient")
    async def patient(socket: WebSocket) -> None:
        await anyio.sleep(0.1)
        await echo(socket)
"""


def measured(address: Address, *, tls: bool = False) -> tuple[int, int]:
    """Return how many tasks and descriptors a server has while it answers one request.

    Raises:
        OSError: if it does not answer within a second.
    """
    counts = json.loads(health(address, tls=tls, path="/stats").partition(b"\r\n\r\n")[2])
    return counts["tasks"], counts["descriptors"]


def baseline(address: Address, *, tls: bool = False) -> tuple[int, int]:
    """Return how many tasks and descriptors an idle server has at most: a connection before ours may be closing.

    Raises:
        OSError: if it does not answer within a second.
    """
    found = []
    for _ in range(8):
        found.append(measured(address, tls=tls))
        time.sleep(0.02)
    return max(tasks for tasks, _ in found), max(descriptors for _, descriptors in found)


def settled(address: Address, before: tuple[int, int], *, tls: bool = False, limit: float = 2.0) -> tuple[int, int]:
    """Wait until tasks and descriptors are no more than ``before``, and return them as they were last.

    Raises:
        OSError: if the server does not answer within a second.
    """
    end = time.monotonic() + limit
    while True:
        now = measured(address, tls=tls)
        if (now[0] <= before[0] and now[1] <= before[1]) or time.monotonic() > end:
            return now
        time.sleep(0.02)


def certify(folder: Path) -> None:
    """Write a certificate that nobody trusts, and its key."""
    made = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("evox", "127.0.0.1", key_type=trustme.KeyType.ECDSA)
    made.private_key_and_cert_chain_pem.write_to_path(folder / CERTIFICATE)
    made.private_key_pem.write_to_path(folder / KEY)


@contextmanager
def victim(folder: Path, backend: str, *, tls: bool) -> Iterator[EvoxProcess]:
    """Run the service on a loop, with or without TLS."""
    arguments = ["--json", "--backend", backend]
    if tls:
        certify(folder)
        arguments += ["--certfile", CERTIFICATE, "--keyfile", KEY]
    files = {"victim.py": SERVICE}
    with evox_process(folder, files, *arguments, env={"EVOX_SERVING__H2C": "true"}) as process:
        process.event("started")
        yield process


class Victims:
    """One process a loop, transport and way to serve HTTP/1.1, shared by tests; one that ended or is stuck is replaced.

    Args:
        make_folder: Called with a name; returns a new folder.
    """

    def __init__(self, make_folder: Callable[[str], Path]) -> None:
        self._make_folder = make_folder
        self._running: dict[tuple[str, ...], tuple[EvoxProcess, ExitStack]] = {}

    def get(self, backend: str, *, tls: bool = False) -> EvoxProcess:
        """Return a process that answers."""
        kind = (backend, "tls" if tls else "plain", *said().values())
        if kind in self._running:
            process, stack = self._running[kind]
            try:
                health(process.address(), tls=tls)
            except OSError:
                stack.close()
            else:
                return process
        stack = ExitStack()
        process = stack.enter_context(victim(self._make_folder("victim"), backend, tls=tls))
        self._running[kind] = process, stack
        return process

    def close(self) -> None:
        """End them all."""
        for _, stack in self._running.values():
            stack.close()
