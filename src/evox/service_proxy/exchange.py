"""Exchange: calls an endpoint of this process through its app: everything that a request meets, but for the socket.

It runs in a task of the service that is called, so its answer can be read while it is written, and what FastAPI does
after an answer is not waited for. Who has called and leaves early ends it.
"""

import math
from typing import Any, Final
from urllib.parse import unquote

import anyio

from evox import context
from evox.service_proxy.replies import NoAnswer
from evox.services import Running, begin_request, enter_correlation
from evox.services.call import INBOUND, Inbound
from evox.services.encoding import Wire
from evox.services.operations import Operation
from evox.strays import contained

__all__ = ["Exchange", "Parts", "request_scope"]

LIMIT: Final = 16_777_216  # bytes of an answer that is read whole
_BUFFER: Final = 16  # parts of an answer that nobody has read yet


class Parts:
    """The body of an answer, collected as an app sends it.

    Attributes:
        begun: Whether anything of the answer was sent.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._parts: list[bytes] = []
        self._size, self._limit = 0, limit
        self.begun = False

    async def send(self, message: Any) -> None:
        """Take an ASGI message.

        Raises:
            NoAnswer: if there is more than may be.
        """
        self.begun = True
        if message["type"] == "http.response.body":
            self.add(bytes(message.get("body", b"")))

    def add(self, part: bytes) -> None:
        """Take one part.

        Raises:
            NoAnswer: if there is more than may be.
        """
        self._size += len(part)
        if self._size > self._limit:
            raise NoAnswer(f"its answer is longer than {self._limit} bytes", sent=True, final=True)
        self._parts.append(part)

    def body(self) -> bytes:
        """Return all of it."""
        return b"".join(self._parts)


class Exchange:
    """One request to an app, and its answer.

    Args:
        running: The service that is called.
        scope: From ``request_scope``.
        body: The body of the request.
        inbound: Who calls.
    """

    def __init__(self, running: Running, scope: dict[str, Any], body: bytes, inbound: Inbound) -> None:
        self._running, self._scope, self._body = running, scope, body
        scope["extensions"][INBOUND] = inbound
        self._sent = self._complete = False
        self._cancel = anyio.CancelScope()
        self._sender, self._receiver = anyio.create_memory_object_stream[bytes](_BUFFER)
        self._began = anyio.Event()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.error: Exception | None = None

    def __repr__(self) -> str:
        return f"<Exchange {self._scope['method']} {self._scope['path']}, {self.status or 'not answered'}>"

    async def begin(self) -> None:
        """Send the request, and return once its answer begins.

        Raises:
            NoAnswer: if none does.
        """
        self._running.spawn(self._run, name=f"call:{self._scope['path']}")
        try:
            await self._began.wait()
        except BaseException:
            self.leave()
            raise
        if not self.status:
            self.leave()
            raise NoAnswer("it ended without an answer", sent=True) from self.error

    def leave(self) -> None:
        """Stop waiting for the answer; what still makes it is ended."""
        if not self._complete:
            self._cancel.cancel()
        self._receiver.close()

    async def receive(self) -> bytes | None:
        """Return the next part of the answer; None at its end.

        Raises:
            NoAnswer: if it breaks off.
        """
        try:
            return await self._receiver.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            if self._complete:
                return None
        raise NoAnswer("its answer broke off", sent=True) from self.error

    async def _run(self) -> None:
        """Run the app to its end, past the end of its answer. What it raises has been answered, or is told."""
        self._running.calls.add(self._cancel)
        context.enter_service(self._running)
        enter_correlation(begin_request(self._scope))
        try:
            with self._cancel, contained(self._scope["path"], own=True):
                await self._running.service.app(self._scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001  the caller's to see; the service has logged it
            self.error = error
        finally:
            self._running.calls.discard(self._cancel)
            self._sender.close()
            self._began.set()

    async def _receive(self) -> Any:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await anyio.sleep_forever()
        return None

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            for name, value in message.get("headers", []):
                key = name.decode("latin-1").lower()
                text = value.decode("latin-1")
                self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text
            self._began.set()
        elif message["type"] == "http.response.body":
            if message.get("body") and self._scope["method"] != "HEAD":
                try:
                    await self._sender.send(bytes(message["body"]))
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return
            if not message.get("more_body", False):
                self._complete = True
                self._sender.close()


def request_scope(app: Any, operation: Operation, wire: Wire, deadline: float = math.inf) -> dict[str, Any]:
    """Return the ASGI scope of a request that stands for a call.

    Args:
        app: The service's app.
        operation: What is called.
        wire: The arguments.
        deadline: When its time is over, in monotonic seconds.
    """
    path, _, query = wire.target.partition("?")
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in wire.all_headers()]
    if wire.body is not None:
        headers += [(b"content-type", (wire.media or "").encode()), (b"content-length", str(len(wire.body)).encode())]
    elif operation.method in ("POST", "PUT", "PATCH"):
        headers.append((b"content-length", b"0"))
    if deadline != math.inf:
        headers.append((b"x-evox-deadline", f"{max(0.0, deadline - anyio.current_time()):.6f}".encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": operation.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 0),  # code that asks who calls finds an address, as it does under a server
        "server": None,
        "state": {},
        "extensions": {},
        "app": app,
    }
