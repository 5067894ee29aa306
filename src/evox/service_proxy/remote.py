"""Remote: a service elsewhere as something that can be called, over HTTP with httpx2.

Nothing is followed, guessed, unpacked or remembered: a redirect, a compressed answer and one that is too long are
errors, and a cookie is nobody's. A call that is cancelled gives its connection back or closes it, so the pool serves
the next one.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import anyio
import httpx2

from evox.errors import InvalidOption
from evox.service_proxy.exchange import Parts
from evox.service_proxy.handshakes import Handshake
from evox.service_proxy.logs import unlogged
from evox.service_proxy.reading import named, read_parts
from evox.service_proxy.received import refuse_compressed
from evox.service_proxy.replies import NoAnswer, Reply
from evox.service_proxy.sending import Sending
from evox.service_proxy.streams import Chunks
from evox.services.correlation import REQUEST_ID
from evox.services.encoding import ALWAYS, Wire
from evox.services.operations import Operation, Operations

__all__ = ["Headers", "Locate", "RemoteTarget", "client_of", "trusted"]

KEEP: Final = 5.0  # seconds for which an idle connection is kept: less than servers keep theirs
CLOSING: Final = 1.0
_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
Locate = Callable[[], Awaitable[str]]
Headers = Callable[[Operation, Sending], dict[str, str]]
Describe = Callable[["RemoteTarget", Sending], Awaitable[Operations]]


def client_of(connections: int, cafile: str | None) -> httpx2.AsyncClient:
    """Make the client for one target.

    Args:
        connections: How many may be open.
        cafile: Certificates in PEM that it is trusted by; the system's if None.

    Raises:
        InvalidOption: if there are none in that file.
    """
    verify = trusted(cafile)
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=KEEP)
    # One client calls on behalf of everybody: a cookie that it kept for one would be sent for all others.
    jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx2.AsyncClient(
        verify=verify,
        limits=limits,
        timeout=None,
        follow_redirects=False,
        trust_env=False,
        headers=dict(ALWAYS),
        cookies=jar,
    )


def trusted(cafile: str | None, option: str = "cafile") -> ssl.SSLContext:
    """Return what the certificates of a peer are checked with.

    Args:
        cafile: Certificates in PEM; the system's if None.
        option: Where the file is named, for the error.

    Raises:
        InvalidOption: if there are none in that file.
    """
    try:
        return ssl.create_default_context(cafile=cafile)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if isinstance(error, FileNotFoundError) else "it holds no certificate in PEM"
        raise InvalidOption(option, source="the configuration", why=f"{cafile}: {reason}") from None


class RemoteTarget:
    """One service that runs elsewhere.

    Args:
        name: The service's name.
        locate: Returns the URL below which it is.
        client: Sends requests to it; closed with it.
        headers: Returns what a call brings along: who calls, priority, trace.
        describe: Finds out what it can do.
        limit: Bytes of an answer at most.
        lost: Told of a URL at which nobody answered.
    """

    kind = "remote"

    def __init__(
        self,
        name: str,
        locate: Locate,
        client: httpx2.AsyncClient,
        *,
        headers: Headers,
        describe: Describe,
        limit: int,
        lost: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._name, self._locate, self._client = name, locate, client
        self._headers, self._describe, self._limit, self._lost = headers, describe, limit, lost
        self._last = ""

    def __repr__(self) -> str:
        return f"<RemoteTarget {self._name!r} at {self._last or 'a place not asked for yet'}>"

    @property
    def name(self) -> str:
        """The service's name."""
        return self._name

    async def operations(self, sending: Sending) -> Operations:
        """Return what it can do.

        Raises:
            NoAnswer: if that cannot be found out now.
        """
        return await self._describe(self, sending)

    async def send(self, operation: Operation, wire: Wire, sending: Sending) -> Reply:
        """Make one attempt.

        Raises:
            NoAnswer: if there was no answer, or none that can be used.
        """
        with anyio.CancelScope(deadline=sending.deadline):
            async with self._asked(operation, wire, sending) as response:
                return await self._whole(response)
        raise NoAnswer("its time was over", sent=True, is_timeout=True)

    async def stream(self, operation: Operation, wire: Wire, sending: Sending) -> Reply | Chunks:
        """Begin a call whose answer is read part by part.

        Raises:
            NoAnswer: if it does not begin.
        """
        with anyio.CancelScope(deadline=sending.deadline):
            response = await self._begun(operation, wire, sending)
            is_plain = response.headers.get("content-encoding", "identity").lower() == "identity"
            if 200 <= response.status_code < 300 and is_plain:
                return _Parts(response)
            async with aclosing(response):
                return await self._whole(response)
        raise NoAnswer("its time was over", sent=True, is_timeout=True)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    def statistics(self) -> Any:
        """Return where it was found last."""
        return self._last

    @asynccontextmanager
    async def _asked(self, operation: Operation, wire: Wire, sending: Sending) -> AsyncIterator[httpx2.Response]:
        response = await self._begun(operation, wire, sending)
        try:
            yield response
        finally:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + CLOSING):
                await response.aclose()

    async def _begun(self, operation: Operation, wire: Wire, sending: Sending) -> httpx2.Response:
        base = self._last = await self._locate()
        headers = self._headers(operation, sending)
        headers["x-evox-deadline"] = f"{max(0.0, sending.deadline - anyio.current_time()):.6f}"
        if any(name == REQUEST_ID for name, _ in wire.headers):
            headers.pop(REQUEST_ID, None)  # the operation has a parameter of this name, and its caller has filled it
        sent = [*headers.items(), *wire.headers]
        if sending.key is not None:
            sent.append(("idempotency-key", sending.key))
        if wire.media is not None:
            sent.append(("content-type", wire.media))
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent]
        made = Handshake()
        extensions = {"trace": made.trace} if base.startswith("https:") else {}
        request = self._client.build_request(
            operation.method, base + wire.target, headers=raw, content=wire.body, extensions=extensions
        )
        try:
            with unlogged():
                return await self._client.send(request, stream=True)
        except _NOT_SENT as error:
            self._lost(base)
            raise NoAnswer(_unreachable(error), sent=False, final=_is_refused(error)) from error
        except httpx2.HTTPError as error:
            raise NoAnswer(f"the connection broke: {named(error)}", sent=True) from error
        except Exception as error:  # on uvloop a connection that is reset at once raises AttributeError
            raise NoAnswer(f"the connection broke: {type(error).__name__}", sent=True) from error
        except BaseException:
            await made.leave()
            raise

    async def _whole(self, response: httpx2.Response) -> Reply:
        headers = _headers(response)
        parts, raw = Parts(self._limit), read_parts(response)
        try:
            async for part in raw:
                parts.add(part)
        except NoAnswer:
            await _left(response, raw)
            raise
        return Reply(response.status_code, parts.body(), headers)


@dataclass(slots=True)
class _Parts:
    """An answer from elsewhere, read part by part."""

    response: httpx2.Response
    raw: Any = None

    @property
    def media(self) -> str:
        media: str = self.response.headers.get("content-type", "")
        return media

    async def receive(self) -> bytes | None:
        if self.raw is None:
            self.raw = read_parts(self.response)
        part: bytes | None = await anext(self.raw, None)
        return part

    async def aclose(self) -> None:
        await _left(self.response, self.raw)


async def _left(response: httpx2.Response, raw: AsyncIterator[bytes] | None) -> None:
    """Close an answer, and what reads it: of that, each layer ends only by running on into the closed connection."""
    with anyio.CancelScope(shield=True, deadline=anyio.current_time() + CLOSING):
        await response.aclose()
        if raw is not None:
            with suppress(NoAnswer, httpx2.StreamError):
                async for _ in raw:
                    pass


def _headers(response: httpx2.Response) -> dict[str, str]:
    """Return the headers of an answer.

    Raises:
        NoAnswer: if it is compressed, which nobody has asked for.
    """
    headers = {name.lower(): value for name, value in response.headers.items()}
    refuse_compressed(headers)
    return headers


def _unreachable(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"its certificate is not believed: {getattr(cause, 'verify_message', '') or cause.reason or cause}"
        cause = cause.__cause__ or cause.__context__
    return f"it cannot be reached: {named(error)}"


def _is_refused(error: Exception) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return isinstance(error, httpx2.UnsupportedProtocol)
