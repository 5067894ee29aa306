"""A server that says what it is told to, in a thread."""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Address = tuple[str, int]
Serve = Callable[..., Address]

ITEM = b'{"item_id": 7, "name": "item 7"}'


def answer(body: bytes = ITEM, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), more, body)


@contextmanager
def running(pieces: Callable[[int], Sequence[bytes] | None]) -> Iterator[Address]:
    """Answer the n-th request of each connection with pieces; None ends the connection."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number, received = 0, b""
            try:
                while data := self.request.recv(1_000_000):
                    received += data
                    head, found, body = received.partition(b"\r\n\r\n")
                    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                    if not found or len(body) < int(length or 0):
                        continue
                    received = b""
                    said = pieces(number)
                    if said is None:
                        return
                    for piece in said:
                        self.request.sendall(piece)
                    number += 1
            except OSError:
                return

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 200

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address  # type: ignore[misc]
        finally:
            server.shutdown()
            thread.join()
