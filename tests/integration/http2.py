"""A client's side of HTTP/2 connections, frame by frame, and a service to speak it with."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import httpx2
import trustme
from anyio.abc import SocketStream
from fastapi import HTTPException
from tests.support import LIVENESS

from evox import Request, Service, service
from evox.testing import Env, running

E = TypeVar("E", bound=h2.events.Event)


def certify(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1, its key, and the authority that made it; return the folder."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    made = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder


class Shop:
    """A service, and what its handlers wait for."""

    def __init__(self) -> None:
        self.service: Service = service("shop")
        self.go = anyio.Event()
        self.inside, self.most, self.ended = 0, 0, 0

        @self.service.get("/hello")
        async def hello() -> str:
            return "hello"

        @self.service.get("/wait")
        async def wait() -> str:
            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                await self.go.wait()
            finally:
                self.inside -= 1
                self.ended += 1
            return "waited"

        @self.service.post("/guarded")
        async def guarded() -> None:
            raise HTTPException(401, "who are you?")

        @self.service.post("/hold")
        async def hold(request: Request) -> int:
            await wait()
            return len(await request.body())

        @self.service.post("/upload")
        async def upload(request: Request) -> int:
            return len(await request.body())

    @asynccontextmanager
    async def running(self, **serving: Any) -> AsyncIterator[tuple[Env, httpx2.AsyncClient]]:
        """Run it with HTTP/2 without TLS; the client speaks nothing else, on one connection."""
        async with running(self.service, sockets=True, settings={"serving": {"h2c": True, **serving}}) as env:
            limits = httpx2.Limits(max_connections=1)
            client = env.client(self.service, http1=False, http2=True, limits=limits, timeout=LIVENESS)
            yield env, client

    async def until_inside(self, count: int) -> None:
        with anyio.fail_after(LIVENESS):
            while self.inside != count:  # noqa: ASYNC110  the client's side and the handler's have no event in common
                await anyio.sleep(0.01)

    async def settled(self, env: Env, connections: int = 0) -> None:
        with anyio.fail_after(LIVENESS):
            while env.port(self.service).statistics().connections != connections:  # noqa: ASYNC110  as above
                await anyio.sleep(0.01)


class Peer:
    """A client's side of one HTTP/2 connection, frame by frame."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self.protocol = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self._events: list[h2.events.Event] = []

    async def flush(self) -> None:
        await self.stream.send(self.protocol.data_to_send())

    async def get(self, path: str, body: bytes = b"", more: Sequence[tuple[str, str]] = ()) -> int:
        """Send a request, and return the number of its stream. That there is a body is said by sending one."""
        number: int = self.protocol.get_next_available_stream_id()
        headers = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", path), *more]
        self.protocol.send_headers(number, headers, end_stream=not body)
        if body:
            self.protocol.send_data(number, body, end_stream=True)
        await self.flush()
        return number

    async def next(self, kind: type[E]) -> E:
        """Return the next event of a kind."""
        with anyio.fail_after(5):
            while True:
                while self._events:
                    event = self._events.pop(0)
                    if isinstance(event, kind):
                        return event
                self._events += self.protocol.receive_data(await self.stream.receive())
                await self.stream.send(self.protocol.data_to_send())

    async def post(self, path: str) -> int:
        """Send the head of a request with a body, and return the number of its stream."""
        number: int = self.protocol.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", path)]
        self.protocol.send_headers(number, headers)
        await self.flush()
        return number

    async def send(self, number: int, left: int, *, end: bool = True) -> None:
        """Send a body, or a part of it, as fast as the server allows."""
        while left:
            size = min(left, self.protocol.local_flow_control_window(number), 16_384)
            if size:
                self.protocol.send_data(number, bytes(size))
                left -= size
                await self.flush()
            else:
                await self.next(h2.events.WindowUpdated)
        if end:
            self.protocol.end_stream(number)
            await self.flush()

    async def answer(self, number: int) -> tuple[str, bytes]:
        """Return status and body of a stream; no other may be answered in between."""
        head = await self.next(h2.events.ResponseReceived)
        body = b""
        assert number == head.stream_id
        while True:
            event = await self.next(h2.events.Event)
            if isinstance(event, h2.events.DataReceived):
                assert event.stream_id == head.stream_id
                body += event.data or b""
            elif isinstance(event, h2.events.StreamEnded):
                return dict(head.headers or [])[b":status"].decode(), body

    async def closed(self) -> None:
        """Read until the server has closed."""
        with anyio.fail_after(5):
            try:
                while True:
                    await self.stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return


@asynccontextmanager
async def connected(env: Env, svc: Service, *, begun: bool = True) -> AsyncIterator[Peer]:
    url = httpx2.URL(env.url(svc))
    assert url.port is not None
    async with await anyio.connect_tcp(url.host, url.port) as stream:
        peer = Peer(stream)
        if begun:
            peer.protocol.initiate_connection()
            await peer.flush()
        yield peer
