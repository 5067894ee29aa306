"""Handover: listening sockets that outlive the process that bound them, so that a restart refuses no connection.

Under ``evox run --dev`` a small parent keeps the sockets and gives them to each new child; the old child goes on
serving until the new one is ready. The two talk over one inherited socket: the child sends its listening sockets
up, then ``ready``.
"""

import json
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Final

import anyio

__all__ = ["ENVIRONMENT", "Handover", "receive", "sockets_of"]

ENVIRONMENT: Final = "EVOX_HANDOVER"
_MESSAGE: Final = 65536


class Handover:
    """The child's end.

    Args:
        environ: Where the parent left word; without it everything here does nothing.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        text = (environ or {}).get(ENVIRONMENT, "")
        self._channel: socket.socket | None = None
        self._inherited: dict[str, socket.socket] = {}
        if text:
            facts = json.loads(text)
            self._channel = socket.socket(fileno=facts["channel"])
            self._inherited = {name: socket.socket(fileno=fd) for name, fd in facts["sockets"].items()}

    def __repr__(self) -> str:
        return f"<Handover of {', '.join(self._inherited) or 'nothing'}>"

    def take(self, host: str, port: int, service: str) -> socket.socket | None:
        """Return the inherited socket of a service if it still listens where it should, else None."""
        bound = self._inherited.pop(service, None)
        if bound is None:
            return None
        address = bound.getsockname()
        if port in (0, address[1]) and address[0] in (host, *_addresses(host)):
            bound.setblocking(False)
            return bound
        bound.close()
        return None

    def keep(self, sockets: Mapping[str, socket.socket]) -> None:
        """Send the listening sockets to the parent, and close those nobody took."""
        for left in self._inherited.values():
            left.close()
        self._inherited.clear()
        if self._channel is not None:
            message = json.dumps({"event": "sockets", "names": list(sockets)}).encode() + b"\n"
            socket.send_fds(self._channel, [message], [one.fileno() for one in sockets.values()])

    def ready(self) -> None:
        """Tell the parent that requests are answered."""
        if self._channel is not None:
            self._channel.send(b'{"event": "ready"}\n')

    async def wait_orphaned(self) -> None:
        """Wait until the parent is gone; for ever where there is none."""
        if self._channel is None:
            await anyio.sleep_forever()
            return
        self._channel.setblocking(False)
        await anyio.wait_readable(self._channel)


def _addresses(host: str) -> Iterable[str]:
    return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}


def receive(channel: socket.socket) -> tuple[list[str], dict[str, int]]:
    """Read what a child sent: the names of its events, and its listening sockets as descriptors by service.

    Args:
        channel: The parent's end, readable.

    Returns:
        Events in order, empty when the child is gone; and the descriptors that came along.
    """
    data, descriptors, _, _ = socket.recv_fds(channel, _MESSAGE, 253)
    events: list[str] = []
    sockets: dict[str, int] = {}
    for line in data.splitlines():
        message = json.loads(line)
        events.append(message["event"])
        sockets.update(zip(message.get("names", ()), descriptors, strict=False))
    return events, sockets


def sockets_of(channel: socket.socket, kept: Mapping[str, int]) -> dict[str, str]:
    """Return the environment that tells a new child of its channel and the sockets kept for it."""
    return {**os.environ, ENVIRONMENT: json.dumps({"channel": channel.fileno(), "sockets": dict(kept)})}
