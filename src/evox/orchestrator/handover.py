"""Handover: listening sockets that outlive the process that bound them, so that a restart refuses no connection.

A small parent keeps the sockets and gives them to each new child: the next version under ``--dev``, the other workers
under ``--workers``. The two talk over one inherited socket: the child sends its listening sockets up, then ``ready``
with what the banner shows, and at its end ``stopped`` with what was cut.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any, Final

import anyio

__all__ = ["ENVIRONMENT", "Handover", "Receiver", "environment_of"]

ENVIRONMENT: Final = "EVOX_HANDOVER"
_MESSAGE: Final = 65536


class Handover:
    """The child's end.

    Args:
        environ: Where the parent left word, which is taken from there: it is not for processes that this one starts.
            Without it everything here does nothing.

    Attributes:
        worker: Whether this process is one of several, so that the parent speaks for it.
    """

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        text = environ.pop(ENVIRONMENT, "") if environ else ""
        self._channel: socket.socket | None = None
        self._inherited: dict[str, socket.socket] = {}
        self.worker = False
        if text:
            facts = json.loads(text)
            self.worker = facts.get("worker", False)
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
        self._tell("sockets", sockets, names=list(sockets))

    def ready(self, facts: Mapping[str, Any] | None = None) -> None:
        """Tell the parent that requests are answered, and what the banner shows."""
        self._tell("ready", facts=dict(facts or {}))

    def stopped(self, *, requests: Sequence[str], streams: Sequence[str]) -> None:
        """Tell the parent what was cut."""
        self._tell("stopped", requests=list(requests), streams=list(streams))

    def _tell(self, event: str, sockets: Mapping[str, socket.socket] | None = None, **facts: Any) -> None:
        if self._channel is None:
            return
        message = json.dumps({"event": event, **facts}).encode() + b"\n"
        with contextlib.suppress(ConnectionError):  # the parent is gone; ``wait_orphaned`` sees it
            self._channel.setblocking(True)
            sent = socket.send_fds(self._channel, [message], [one.fileno() for one in (sockets or {}).values()])
            self._channel.sendall(message[sent:])

    async def wait_orphaned(self) -> None:
        """Wait until the parent is gone; for ever where there is none."""
        if self._channel is None:
            await anyio.sleep_forever()
            return
        self._channel.setblocking(False)
        await anyio.wait_readable(self._channel)


def _addresses(host: str) -> Iterable[str]:
    return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}


class Receiver:
    """The parent's end.

    Args:
        channel: Its end of the socket, not blocking.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._rest = b""

    def __repr__(self) -> str:
        return f"<Receiver on {self._channel.fileno()}>"

    def receive(self) -> tuple[list[dict[str, Any]], dict[str, int]] | None:
        """Read what the child sent, when the channel is readable.

        Returns:
            Messages in order, each with its ``event``, and listening sockets as descriptors by service; None when the
            child is gone.
        """
        try:
            data, descriptors, _, _ = socket.recv_fds(self._channel, _MESSAGE, 253)
        except ConnectionError:
            return None
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        messages = [json.loads(line) for line in lines]
        names = [name for message in messages for name in message.get("names", ())]
        return messages, dict(zip(names, descriptors, strict=False))


def environment_of(channel: socket.socket, kept: Mapping[str, int], *, worker: bool = False) -> dict[str, str]:
    """Return the environment that tells a new child of its channel, the sockets kept for it, and what it is."""
    facts = {"channel": channel.fileno(), "sockets": dict(kept), "worker": worker}
    return {**os.environ, ENVIRONMENT: json.dumps(facts)}
