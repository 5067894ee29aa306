"""A peer that answers whatever a test wants, byte by byte, and those who call it. Nothing here asserts anything."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.tls import TLSListener

from evox import ServiceBuilder
from evox.testing import Env, running

__all__ = ["OK", "Answer", "RawPeer", "answer", "calling", "declared", "raw_peer"]

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n1"
Answer: TypeAlias = bytes | Callable[[Any], Awaitable[None]]


def answer(body: bytes, *headers: str, status: str = "200 OK", media: str = "application/json") -> bytes:
    """Return a whole answer."""
    lines = [f"HTTP/1.1 {status}", f"content-type: {media}", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@dataclass
class RawPeer:
    """A peer.

    Attributes:
        answers: What it sends for each request: bytes, or a function that is given the connection. The last one is for
            all that come later. None ends a connection.
        heads: The heads of the requests it got.
        open: How many connections it has now.
    """

    answers: list[Answer | None]
    scheme: str = "http"
    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    open: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, stream: SocketStream) -> None:
        """Answer the requests of one connection."""
        self.open += 1
        try:
            async with stream:
                while await self._one(stream):
                    pass
        except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError, ssl.SSLError, OSError):
            return
        finally:
            self.open -= 1

    async def _one(self, stream: SocketStream) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive()
        self.heads.append(head)
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if said is None:
            return False
        if isinstance(said, bytes):
            await stream.send(said)
            return said.startswith(b"HTTP/1.1 ") and b"connection: close" not in said
        await said(stream)
        return False


@asynccontextmanager
async def raw_peer(*answers: Answer | None, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawPeer]:
    """Run a peer for the time of a block."""
    peer = RawPeer(list(answers), "http" if tls is None else "https")
    multi = await anyio.create_tcp_listener(local_host="127.0.0.1")
    peer.port = multi.extra(SocketAttribute.local_port)
    listener: Any = multi if tls is None else TLSListener(multi, tls, standard_compatible=False)
    async with multi, anyio.create_task_group() as group:
        group.start_soon(listener.serve, peer.serve)
        yield peer
        group.cancel_scope.cancel()


def declared() -> ServiceBuilder:
    """Return what is known of the peer where its code is: operations of several kinds."""
    svc = ServiceBuilder("users")

    @svc.get("/users/{user_id}")
    async def get_user(user_id: int) -> int:
        return user_id

    @svc.post("/users")
    async def add_user(name: str) -> dict[str, list[int]]:
        return {name: []}

    @svc.head("/peek")
    async def peek() -> None: ...

    @svc.get("/any")
    async def anything() -> Any: ...

    @svc.get("/numbers")
    async def numbers() -> AsyncIterator[int]:
        yield 1

    return svc


@asynccontextmanager
async def calling(peer: RawPeer, *, known: bool = True, **settings: Any) -> AsyncIterator[Env]:
    """Run a service that calls the peer, each call once. ``known``: whether the peer's code is here."""
    proxy = {"timeout": 5.0, "attempts": 1, **settings.pop("proxy", {})}
    more = {"peers": {"users": {"url": peer.url, **settings.pop("of", {})}}, "proxy": proxy, **settings}
    async with running(ServiceBuilder("orders"), settings=more, declared=[declared()] if known else []) as env:
        yield env
