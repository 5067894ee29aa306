"""HTTP/1.1: h11 made as strict as RFC 9112, and what is answered to a request that is none.

h11 forgives what a proxy in front of us may read differently: lines that end with a bare LF, folded headers,
Transfer-Encoding beside Content-Length. Two readings of one message are how requests are smuggled, so all of it is
refused.
"""

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

import h11
from hypercorn.events import Closed, RawData
from hypercorn.protocol.events import EndBody, Response
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError, H11Protocol
from hypercorn.protocol.ws_stream import WSStream

from evox.config import ServingSettings
from evox.services import problem
from evox.serving.complaints import Reason
from evox.serving.syntax import HOST

__all__ = ["Http1"]

_TITLES = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
}
# Bytes read of the next requests while one is being answered.
WAITING = 65_536
_VERSIONS = (b"1.0", b"1.1")


class Http1(H11Protocol):
    """Hypercorn's HTTP/1.1 with our limits.

    Args:
        *args: Hypercorn's own.
        limits: What a client may do.
        h2c: Whether a client may change to HTTP/2.
        complain: Called with reason and detail when a client is refused.
        resume: Called when a request that was read during the answer before it can be taken: hand in no bytes then.
    """

    connection: Any

    def __init__(
        self,
        *args: Any,
        limits: ServingSettings,
        h2c: bool,
        complain: Callable[[Reason, str], None],
        resume: Callable[[], None],
    ) -> None:
        super().__init__(*args)
        self.connection = _Parser(limits, h2c=h2c)
        self._complain = complain
        self._resume = resume
        self._over = self._refused = False

    async def handle(self, event: Any) -> None:
        """Take bytes, or the end of the connection."""
        if self._over and isinstance(event, RawData):
            return
        if isinstance(event, Closed):
            await self._end()
        try:
            if isinstance(event, RawData) and not event.data:
                await self._handle_events()
            else:
                await super().handle(event)
        except (H2CProtocolRequiredError, H2ProtocolAssumedError):
            raise
        except Exception as error:  # noqa: BLE001  only the client's bytes were worked on
            self._complain(Reason.MALFORMED, f"{type(error).__name__}: {error}")
            if self.connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                await self._say(400, "malformed request")
            await self.send(Closed())

    async def stream_send(self, event: Any) -> None:
        """Send part of an answer."""
        refused = isinstance(event, EndBody) and isinstance(self.stream, WSStream)
        if isinstance(event, Response) and isinstance(self.stream, WSStream) and event.status_code >= 200:
            self._refused = True
        await super().stream_send(event)
        if refused:
            await self.send(Closed())  # a WebSocket refused, perhaps before its app has looked

    @property
    def crowded(self) -> bool:
        """Whether the client has sent more behind its request than should be kept until that is answered."""
        return isinstance(self.connection, _Parser) and self.connection.waiting > WAITING

    async def room(self) -> None:
        """Wait while it is crowded."""
        while self.crowded:
            await self.can_read.wait()

    async def _maybe_recycle(self) -> None:
        await super()._maybe_recycle()
        if isinstance(self.connection, _Parser) and self.connection.paused:
            self.connection.resume()
            self._resume()

    async def _end(self) -> None:
        if isinstance(self.connection, _Parser):
            self.connection.ended = True
            self.connection.waiting = 0
        await self.can_read.set()

    async def too_slow(self) -> None:
        """Answer 408 to a head that does not come, and close."""
        self._complain(Reason.HEAD_TOO_SLOW, "")
        await self._say(408, "the head of the request took too long")

    async def _send_error_response(self, status_code: int) -> None:
        """Answer what h11 or the checks below refuse."""
        what = self.connection.refused or "malformed request"
        self._complain(Reason.HEAD_TOO_LARGE if status_code == 431 else Reason.MALFORMED, what)
        await self._say(status_code, what)

    async def _say(self, status: int, what: str) -> None:
        self._over = True  # at once: while this is sent, an app might begin an answer of its own
        response = problem(status, _TITLES.get(status, "Bad Request"), detail=what)
        headers = [*response.raw_headers, (b"connection", b"close"), *self.config.response_headers("h11")]
        await super()._send_h11_event(h11.Response(status_code=status, headers=headers))
        await super()._send_h11_event(h11.Data(data=bytes(response.body)))
        await super()._send_h11_event(h11.EndOfMessage())

    async def _send_h11_event(self, event: Any) -> None:
        """Send, unless the connection has been given its last answer: an app may not know yet."""
        if self._over:
            return
        try:
            await super()._send_h11_event(event)
        except h11.LocalProtocolError:
            if not self._refused:  # an app may accept a WebSocket at the moment it is refused for its client's fault
                raise


class _Parser(h11.Connection):
    """h11's server side, with checks before and after its own.

    Attributes:
        refused: Why the last message was refused by a check of ours.
        ended: Whether the connection is over, so that what was read of it is nobody's.
        paused: Whether a request waits for the answer to the one before it. The connection is read on, because that is
            how one learns that the client has left.
        waiting: Bytes that have come since.
    """

    def __init__(self, limits: ServingSettings, *, h2c: bool) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=limits.header_bytes)
        self._limits = limits
        self._h2c = h2c
        self._seen = b""
        self._chunked = self._too_large = False
        self.refused = ""
        self.ended = self.paused = False
        self.waiting = 0

    def resume(self) -> None:
        """Take the request that waits."""
        self.paused, self.waiting = False, 0

    @property
    def they_are_waiting_for_100_continue(self) -> bool:
        """Whether to invite the body; a body that will be refused is not."""
        return not self._too_large and super().they_are_waiting_for_100_continue

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the connection."""
        if self.their_state is h11.MUST_CLOSE:
            return  # behind the last request, as the client has said: nobody's
        if self.paused:
            self._seen, self.waiting = self._seen + data, self.waiting + len(data)
        else:
            self._seen = self._seen[-4 - len(self.trailing_data[0]) :] + data  # what is still to be read, too
        super().receive_data(data)

    def next_event(self) -> Any:
        """Return what the bytes so far say.

        Raises:
            h11.RemoteProtocolError: if they say nothing that RFC 9112 allows; its hint is the status to answer.
        """
        if self.ended or self.their_state is h11.MUST_CLOSE:
            return h11.NEED_DATA
        if self.their_state is h11.IDLE:
            self._check_head(self.trailing_data[0])
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.refused = str(error) if error.error_status_hint == 400 else ""
            raise
        except Exception as error:  # noqa: BLE001  e.g. a number of 5,000 digits
            self._refuse(f"{type(error).__name__}")
        if event is h11.PAUSED:
            self.paused = True
            return h11.NEED_DATA
        if type(event) is h11.Request:
            return self._checked(event)
        if type(event) is h11.EndOfMessage:
            rest = self.trailing_data[0]
            end = len(self._seen) - len(rest)
            if self._chunked and self._seen[:end][-4:] != b"\r\n\r\n":
                self._refuse("a chunked body that ends with a bare LF")
            self._seen = rest
        return event

    def _check_head(self, data: bytes) -> None:
        if not data:
            return
        end = data.find(b"\r\n\r\n")
        head = data if end < 0 else data[: end + 2]
        if len(head) > self._limits.header_bytes:
            self._refuse(f"a head of more than {self._limits.header_bytes} bytes", 431)
        if head.count(b"\n") != head.count(b"\r\n"):
            self._refuse("a line that ends with a bare LF")
        if b"\n " in head or b"\n\t" in head:
            self._refuse("a folded header")

    def _checked(self, request: h11.Request) -> h11.Request:
        headers = dict(request.headers)  # doubled ones that matter here are h11's to refuse
        if len(request.headers) > self._limits.header_count:
            self._refuse(f"more than {self._limits.header_count} headers", 431)
        self._chunked = b"transfer-encoding" in headers
        length = headers.get(b"content-length")
        if self._chunked and length is not None:
            self._refuse("Transfer-Encoding beside Content-Length")
        if self._chunked and request.http_version < b"1.1":
            self._refuse("Transfer-Encoding in HTTP/1.0")
        if request.http_version not in _VERSIONS and not (self._h2c and request.method == b"PRI"):
            self._refuse(f"HTTP/{request.http_version.decode()}", 505)
        if request.method != request.method.upper():
            self._refuse("a method that is not in capitals")
        self._too_large = length is not None and int(length) > self._limits.body_bytes
        host, target = self._aim(request.target, headers.get(b"host", b""))
        changes = target is not request.target
        kept = list(request.headers)
        if changes:  # RFC 9112 section 3.2.2: the URL's host counts, whatever the header says
            kept = [(b"host", host), *((name, value) for name, value in kept if name != b"host")]
        if headers.get(b"upgrade", b"").strip().lower() == b"h2c" and not (self._h2c and _settings_fit(headers)):
            changes, kept = True, [(name, value) for name, value in kept if name != b"upgrade"]
        if not changes:
            return request
        return h11.Request(method=request.method, target=target, headers=kept, http_version=request.http_version)

    def _aim(self, target: bytes, host: bytes) -> tuple[bytes, bytes]:
        """Return the host and the path that a request is meant for."""
        if not (target.startswith(b"/") or target == b"*"):
            host, target = _parts_of(target)
            if not host or host.startswith(b":"):
                self._refuse("a target that is neither a path nor a URL")
        if not HOST.fullmatch(host):
            self._refuse("a host that is none")
        return host, target

    def _refuse(self, why: str, status: int = 400) -> None:
        self.refused = why
        raise h11.RemoteProtocolError(why, error_status_hint=status)


def _parts_of(target: bytes) -> tuple[bytes, bytes]:
    """Return host and path of an absolute URL; empty if it is none."""
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https"):
        return b"", b""
    end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    path = rest[end:]
    return rest[:end], path if path.startswith(b"/") else b"/" + path


def _settings_fit(headers: dict[bytes, bytes]) -> bool:
    """Whether an upgrade to h2c comes with settings that HTTP/2 can read; it is ignored otherwise."""
    settings = headers.get(b"http2-settings")
    try:
        return settings is not None and len(urlsafe_b64decode(settings + b"=" * (-len(settings) % 4))) % 6 == 0
    except (binascii.Error, ValueError):
        return False
