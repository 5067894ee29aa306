"""HTTP/2: what hypercorn's lacks to stand in the open.

One connection may carry requests of many people, when a proxy stands before us. So a bad or slow stream is ended
alone wherever HTTP/2 allows it, and what floods the connection ends it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import anyio
import anyio.lowlevel
import h2.events as h2e
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.events import Body, Data, EndBody, EndData, StreamClosed, Trailers
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.ws_stream import WSStream
from hyperframe.frame import SettingsFrame

from evox.config import ServingSettings
from evox.serving.complaints import Reason
from evox.serving.hypercorn_adapter.heads import Heads
from evox.serving.hypercorn_adapter.outbuffer import OutBuffer
from evox.serving.hypercorn_adapter.tasks import Tasks
from evox.serving.syntax import HOST

__all__ = ["Http2"]

WINDOW = 65_535
# h2 checks headers character by character, and a few bytes can stand for kilobytes of them: a whole read could hold
# the loop for seconds.
SLICE = 4_096
_AT_ONCE = SettingsFrame.MAX_CONCURRENT_STREAMS
# Bytes of a body that are read and dropped once its request has been answered. Clients that send the whole body before
# they look at the answer get both done; more than this is reset.
DISCARD = 4_194_304
# Streams that a client may reset before they are answered; each answer earns one back.
PATIENCE = 100


class Http2(H2Protocol):
    """Hypercorn's HTTP/2 with our limits.

    Args:
        *args: Hypercorn's own.
        limits: What a client may do.
        complain: Called with reason and detail when a client is refused.
        tasks: The requests of this connection that are being answered; a reset does not end them all.

    Attributes:
        heads: Says whether the client is in the middle of a head.
    """

    context: Any  # hypercorn's type has no ``leaving``

    def __init__(
        self,
        *args: Any,
        limits: ServingSettings,
        complain: Callable[[Reason, str], None],
        tasks: Tasks,
    ) -> None:
        super().__init__(*args)
        self._limits = limits
        self._complain = complain
        self._tasks = tasks
        self.heads = Heads()
        self._patience = PATIENCE
        self._receiving: set[int] = set()
        self._discarded: dict[int, int] = {}
        self._told = self._taking = self._given_up = False
        self._ending: dict[int, anyio.Event] = {}

    async def initiate(self, headers: Any = None, settings: bytes | None = None) -> None:
        """Send our settings, and a window for the connection that no single slow stream can use up."""
        await super().initiate(headers, settings)
        self.connection.increment_flow_control_window(WINDOW * self._limits.streams)
        await self._flush()

    async def handle(self, event: Any) -> None:
        """Take bytes, or the end of the connection."""
        if not isinstance(event, RawData):
            await super().handle(event)
            for buffer in self.stream_buffers.values():
                await buffer.close()  # whoever waits for the client to read it waits in vain
            for waiting in self._ending.values():
                waiting.set()
            return
        self._taking = True
        self.heads.take(event.data)
        try:
            for start in range(0, len(event.data), SLICE):
                if self.closed or self._given_up:
                    return
                if start:
                    await anyio.lowlevel.checkpoint()
                for one in self.connection.receive_data(event.data[start : start + SLICE]):
                    await self._take(one)
                await self._flush()
        except ProtocolError as error:
            await self._give_up(Reason.MALFORMED, f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001  only the client's bytes were worked on
            self._close(ErrorCodes.PROTOCOL_ERROR)
            await self._give_up(Reason.MALFORMED, f"{type(error).__name__}: {error}")
        finally:
            self._taking = False
        await self.leave_if_idle()

    async def leave_if_idle(self) -> None:
        """End the connection if the server is leaving and no request is open. What comes meanwhile is answered.

        There are clients that give up every open request at a GOAWAY, whatever it says of them. So it goes out when
        none is open; a request that crosses it on its way is one that the client may repeat elsewhere.
        """
        busy = self.streams or self.stream_buffers or self._taking
        if self.context.leaving and self.connection.highest_inbound_stream_id and not (busy or self.closed):
            await self.say_goodbye()
            await self.send(Closed())

    async def say_goodbye(self) -> None:
        """Send the last GOAWAY of a connection that ends."""
        self._close(ErrorCodes.NO_ERROR)
        await self._flush()

    async def too_slow(self) -> None:
        """End a connection that does not complete a head: nothing else can come on it before."""
        self._close(ErrorCodes.ENHANCE_YOUR_CALM)
        await self._give_up(Reason.HEAD_TOO_SLOW, "")

    async def ping(self) -> None:
        """Ask the client for a sign of life."""
        self.connection.ping(b"evoxping")
        await self._flush()

    async def give_back(self, stream_id: int, size: int) -> None:
        """Let the client send so many more bytes on a stream."""
        try:
            self.connection.acknowledge_received_data(size, stream_id)
        except ProtocolError:
            return  # the connection is over
        await self._flush()

    async def stream_send(self, event: Any) -> None:
        """Send part of an answer. A client that does not read it for too long loses the stream."""
        if self.closed:
            return
        if isinstance(event, StreamClosed):
            if isinstance(self.streams.get(event.stream_id), WSStream):
                await self._end(event.stream_id)
            await self._close_stream(event.stream_id)
            buffer = self.stream_buffers.get(event.stream_id)
            if isinstance(buffer, OutBuffer) and not buffer.ended:
                await self._reset(event.stream_id, ErrorCodes.INTERNAL_ERROR)  # an answer broken off
            await self.send(Updated(idle=not self.streams))
            await self.leave_if_idle()
            return
        if not isinstance(event, Body | Data | EndBody | EndData | Trailers):
            await super().stream_send(event)
            return
        with anyio.CancelScope() as limit:
            for part in _parts(event):
                limit.deadline = anyio.current_time() + self._limits.write_timeout
                await super().stream_send(part)
            if isinstance(event, EndBody | EndData):
                await self._ended(event.stream_id)
        if limit.cancelled_caught:
            self._complain(Reason.DOES_NOT_READ, f"stream {event.stream_id}")
            await self._reset(event.stream_id, ErrorCodes.CANCEL)
            await self._close_stream(event.stream_id)
        elif isinstance(event, EndBody) and isinstance(self.streams.get(event.stream_id), WSStream):
            await self._close_stream(event.stream_id)  # a WebSocket refused, perhaps before its app has looked

    async def _end(self, stream_id: int) -> None:
        """Send the end of a stream behind what waits to be sent. The reader may ask, so nothing is waited for."""
        if stream_id in self.stream_buffers:
            self.stream_buffers[stream_id].set_complete()
            self.priority.unblock(stream_id)
            await self.has_data.set()

    async def _ended(self, stream_id: int) -> None:
        """Wait until the end of an answer is sent: whoever has sent it may close the connection next."""
        if stream_id in self.stream_buffers and not self.closed:
            waiting = self._ending[stream_id] = anyio.Event()
            await waiting.wait()

    async def _send_data(self, stream_id: int) -> None:
        await super()._send_data(stream_id)
        if stream_id not in self.stream_buffers and stream_id in self._ending:
            self._ending.pop(stream_id).set()
        if stream_id in self._receiving and stream_id not in self.stream_buffers:
            self._discarded[stream_id] = 0  # answered before the request was read
        await self.leave_if_idle()

    async def _take(self, event: h2e.Event) -> None:
        if isinstance(event, h2e.RequestReceived):
            await self._admit(event)
        elif isinstance(event, h2e.DataReceived):
            await self._data(event)
        elif isinstance(event, h2e.StreamEnded):
            self._forget(event.stream_id)
            stream = self.streams.get(event.stream_id)
            if isinstance(stream, WSStream):  # RFC 8441 section 5: as if its connection had ended
                await self._end(event.stream_id)
                await self._close_stream(event.stream_id)
            elif stream is not None:
                await stream.handle(EndBody(stream_id=event.stream_id))
        elif isinstance(event, h2e.StreamReset):
            await self._was_reset(event)
        elif not isinstance(event, h2e.PriorityUpdated):  # RFC 9113 dropped them, and hypercorn's tree can be filled
            await self._handle_events([event])

    async def _admit(self, event: h2e.RequestReceived) -> None:
        """Start a request, or answer it here when it is none of ours to start."""
        stream_id = event.stream_id
        if event.stream_ended is None:
            self._receiving.add(stream_id)
        over = self.context.terminated.is_set() and bool(self.streams)
        if over or self._tasks.running() >= self._limits.streams:
            await self._reset(stream_id, ErrorCodes.REFUSED_STREAM)
            if over and not self._told:
                self._told = True  # by hand: h2 would end the connection of a client that tries again
                await self.send(RawData(SettingsFrame(settings={_AT_ONCE: 0}).serialize()))
            return
        headers = dict(event.headers)
        status, why = _fault(headers, event.headers, self._limits)
        if not status:
            await self._create_stream(event)
            await self.send(Updated(idle=False))
            return
        self._complain(Reason.HEAD_TOO_LARGE if status == 431 else Reason.MALFORMED, why)
        self.connection.send_headers(stream_id, [(":status", str(status)), ("content-length", "0")], end_stream=True)
        if stream_id in self._receiving:
            await self._reset(stream_id, ErrorCodes.NO_ERROR)

    async def _data(self, event: h2e.DataReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            await stream.handle(Body(stream_id=event.stream_id, data=event.data))
            await self._tasks.owe(event.stream_id, event.flow_controlled_length)
        else:
            await self.give_back(event.stream_id, event.flow_controlled_length)
            got = self._discarded[event.stream_id] = self._discarded.get(event.stream_id, 0) + len(event.data)
            if got > DISCARD:  # RFC 9113 section 8.1: the answer stands, and the rest is not wanted
                await self._reset(event.stream_id, ErrorCodes.NO_ERROR)

    def _forget(self, stream_id: int) -> None:
        self._receiving.discard(stream_id)
        self._discarded.pop(stream_id, None)

    async def _was_reset(self, event: h2e.StreamReset) -> None:
        self._forget(event.stream_id)
        if event.stream_id in self.streams:
            self._patience -= 2  # the end of the stream gives one back
        await self._handle_events([event])
        if self._patience < 0:
            self._close(ErrorCodes.ENHANCE_YOUR_CALM)
            await self._give_up(Reason.FLOOD, f"{PATIENCE} requests more were reset than answered")

    async def _create_stream(self, request: h2e.RequestReceived) -> None:
        await super()._create_stream(request)
        if request.stream_id in self.stream_buffers:
            self.stream_buffers[request.stream_id] = OutBuffer(self.context.event_class)  # its app has not begun

    async def _close_stream(self, stream_id: int) -> None:
        if stream_id in self.streams:
            self._patience = min(PATIENCE, self._patience + 1)
        await super()._close_stream(stream_id)
        await self._tasks.leave(stream_id)

    async def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        self._forget(stream_id)
        try:
            self.connection.reset_stream(stream_id, code)
        except ProtocolError:
            return  # it is over already
        await self._flush()
        if stream_id in self.stream_buffers:
            await self._window_updated(stream_id)  # the sending task finds it closed, and drops what was not sent

    def _close(self, code: ErrorCodes) -> None:
        try:
            self.connection.close_connection(code)
        except ProtocolError:
            return

    async def _give_up(self, reason: Reason, detail: str) -> None:
        if self._given_up:
            return  # what else came with it is not looked at
        self._given_up = True
        self._complain(reason, detail)
        await self._flush()
        await self.send(Closed())


def _parts(event: Any) -> Iterator[Any]:
    """Yield an event in parts, each of which a client has its time for."""
    data = getattr(event, "data", b"")
    if len(data) <= WINDOW:
        yield event
        return
    for start in range(0, len(data), WINDOW):
        yield type(event)(stream_id=event.stream_id, data=data[start : start + WINDOW])


def _fault(
    headers: Mapping[bytes, bytes], listed: list[tuple[bytes, bytes]], limits: ServingSettings
) -> tuple[int, str]:
    """Return status and reason if a request must be answered here; 0 if not. h2 has checked the form of its names."""
    if len(listed) > limits.header_count + sum(name.startswith(b":") for name in headers):
        return 431, f"more than {limits.header_count} headers"
    if sum(len(name) + len(value) + 4 for name, value in listed) > limits.header_bytes:
        return 431, f"a head of more than {limits.header_bytes} bytes"
    if headers.get(b":method", b"").upper() == b"CONNECT" and headers.get(b":protocol") != b"websocket":
        return 501, "CONNECT to anything but a WebSocket"
    why = _malformed(headers, listed)
    return (400, why) if why else (0, "")


def _malformed(headers: Mapping[bytes, bytes], listed: list[tuple[bytes, bytes]]) -> str:
    """Return what makes a request none; empty if nothing does."""
    method, path = headers.get(b":method", b""), headers.get(b":path", b"")
    if any(_CONTROL.search(value) for _, value in listed):
        return "a header value with a control character"
    if not all(name and (name[:1] != b":" or name in _PSEUDO) for name in headers):
        return "a header without a name"
    if not (method.isalpha() and method.isascii() and method.isupper()):
        return "no method"
    if not HOST.fullmatch(headers.get(b":authority") or headers.get(b"host", b"")):
        return "a host that is none"
    if not path.isascii() or not (path.startswith(b"/") or path == b"*"):
        return "no path"
    return ""


_CONTROL = re.compile(rb"[\0\r\n]")
_PSEUDO = frozenset({b":method", b":path", b":scheme", b":authority", b":protocol"})
