"""The attacker's end of one connection, and the record of one hostile input.

Every call is bounded in time and forgives whatever the server does in return: closing on an attacker is a good answer.
Nothing here asserts anything.
"""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Address", "Hostile", "Peer", "Protocol", "attack", "connect", "health", "lenient"]

Address: TypeAlias = tuple[str, int]
Protocol: TypeAlias = Literal["http1", "h2c", "http2", "websocket", "tls"]

PATIENCE = 1.0  # the longest that one send may take
QUIET = 0.12  # a server that said nothing for so long will say nothing more


class Peer:
    """A connected socket, plain or TLS, in the hands of an attacker."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.received = b""

    def send(self, *parts: bytes) -> bool:
        """Send, for at most a second; return whether the server took it all."""
        self.socket.settimeout(PATIENCE)
        try:
            for part in parts:
                self.socket.sendall(part)
        except OSError:
            return False
        return True

    def read(self, quiet: float = QUIET, *, until: bytes = b"", size: int = 1 << 24, limit: float = 1.0) -> bytes:
        """Read until end of stream, silence, ``until`` or ``size``; return what came in this call."""
        end, got = time.monotonic() + limit, b""
        try:
            while time.monotonic() < end and len(got) < size and not (until and until in got):
                self.socket.settimeout(limit if until else quiet)
                data = self.socket.recv(1 << 16)
                if not data:
                    break
                got += data
        except OSError:
            pass
        self.received += got
        return got

    def eof(self) -> None:
        """Close our direction and keep reading."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def reset(self) -> None:
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@dataclass(frozen=True)
class Hostile:
    """One hostile input.

    Attributes:
        name: Unique, in words joined by dashes.
        protocol: What it abuses.
        why: What a server may do wrong, in one line.
        script: Does the evil within about a second; what was answered is on ``Peer.received``.
        alpn: For a connection with TLS, the protocols offered; None leaves the handshake to the script.
    """

    name: str
    protocol: Protocol
    why: str
    script: Callable[[Peer], object]
    alpn: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return self.name


def lenient(alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """Return a client's TLS context that trusts everybody, and so need not read whom one trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


@contextmanager
def connect(address: Address, alpn: tuple[str, ...] | None = None, *, timeout: float = PATIENCE) -> Iterator[Peer]:
    """Connect; with ``alpn``, even an empty one, over TLS. The connection is closed when the block ends."""
    sock = socket.create_connection(address, timeout)
    try:
        if alpn is not None:
            sock = lenient(alpn).wrap_socket(sock, suppress_ragged_eofs=True)
        yield Peer(sock)
    finally:
        sock.close()


def attack(address: Address, hostile: Hostile, *, tls: tuple[str, ...] | None = None) -> bytes:
    """Let an attacker loose on a server, and return what it answered.

    Args:
        address: The server.
        hostile: The input.
        tls: For inputs of other protocols that are to arrive over TLS, the protocols offered.
    """
    alpn = hostile.alpn if hostile.alpn is not None else tls
    with connect(address, alpn) as peer:
        hostile.script(peer)
        return peer.received


def health(address: Address, *, tls: bool = False, path: str = "/health", limit: float = 1.0) -> bytes:
    """Send one GET on a connection of its own and return the answer's bytes.

    Raises:
        OSError: if there is no answer with status 200 within the limit.
    """
    end = time.monotonic() + limit
    with connect(address, ("http/1.1",) if tls else None, timeout=limit) as peer:
        peer.socket.settimeout(limit)
        peer.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while True:
            peer.socket.settimeout(max(end - time.monotonic(), 0.001))
            data = peer.socket.recv(1 << 16)
            if not data:
                break
            answer += data
    if not answer.startswith(b"HTTP/1.1 200"):
        raise OSError(f"GET {path} was answered {answer[:200]!r}")
    return answer
