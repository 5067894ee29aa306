"""Asking: looks at one process from outside: through its private socket, or at a URL with a token.

Whatever it answers is bounded in size and time and read by ``forms``; what is wrong with it becomes one sentence, so
that one bad process spoils no page. Redirects are not followed: a token is for the address that it was given for.
"""

import json
from collections.abc import Callable
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import anyio
import anyio.to_thread
import httpx2
from pydantic import ValidationError

from evox.config import is_loopback_url
from evox.errors.secrets import masked
from evox.observe.directory import Note
from evox.observe.forms import Snapshot
from evox.observe.legible import legible

__all__ = ["CannotSee", "Source"]

TIMEOUT: Final = 2.0  # seconds for a whole answer
LARGEST: Final = 8_388_608  # bytes of one
LONGEST: Final = 300  # characters of what is wrong with it
SMALL: Final = 65_536  # bytes that are read at once; others would be asked late meanwhile


class CannotSee(Exception):
    """A process could not be looked at; the text says why, in one sentence."""


class Source:
    """One process that can be looked at.

    Args:
        name: What it is called where it does not answer.
        url: Of one of its services; or None.
        socket: Path of its private socket; or None.
        token: Shown to ``url``.
        verify: Certificates that its server is trusted by; the system's by default.

    Raises:
        ValueError: if a token would be sent where others can read it.
    """

    def __init__(
        self, name: str, *, url: str | None = None, socket: str | None = None, token: str = "", verify: Any = True
    ) -> None:
        self.name = name
        self.url = None if url is None else url.rstrip("/")
        if self.url is not None and urlsplit(self.url).scheme != "https" and token and not is_loopback_url(self.url):
            raise ValueError(f"a token goes over https only, and {self.url} is not")
        is_tls = self.url is not None and urlsplit(self.url).scheme == "https"
        self._client = httpx2.AsyncClient(
            # Reading certificates takes long, so that is done only where there is TLS.
            transport=httpx2.AsyncHTTPTransport(uds=socket, verify=verify if is_tls else False),
            base_url="http://localhost" if socket is not None else self.url or "",
            timeout=TIMEOUT,
            headers={"accept": "application/json", "accept-encoding": "identity"}
            | ({"authorization": f"Bearer {token}"} if token else {}),
            trust_env=False,
        )
        self._prefix = "" if socket is not None else "/_evox"
        self._is_private = socket is not None

    def __repr__(self) -> str:
        return f"<Source {self.name!r}>"

    @classmethod
    def of(cls, note: Note) -> Self:
        """Return the source of a process that was found in the runtime directory."""
        return cls(f"pid {note.pid}: {', '.join(note.services) or 'no services'}", socket=note.socket)

    async def snapshot(self) -> Snapshot:
        """Return its state.

        Raises:
            CannotSee: if there is no answer that can be read.
        """
        return await self._get(f"{self._prefix}/snapshot", _read)  # type: ignore[no-any-return]

    async def view(self, service: str, view: str) -> Any:
        """Return another view of one of its services, as plain data of any form.

        Raises:
            CannotSee: if there is no answer that can be read.
        """
        if self._client.is_closed:
            raise CannotSee("it has ended")
        path = f"/services/{quote(service, safe='')}/{view}" if self._is_private else f"{self._prefix}/{view}"
        return await self._get(path, json.loads)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def _get(self, path: str, read: Callable[[bytes], Any]) -> Any:
        try:
            with anyio.fail_after(TIMEOUT):
                body = await self._body(path)
            return read(body) if len(body) <= SMALL else await anyio.to_thread.run_sync(read, body)
        except TimeoutError:
            raise CannotSee(f"it gave no answer within {TIMEOUT:g} s") from None
        except httpx2.HTTPError as error:
            why = legible(str(error) or type(error).__name__, LONGEST)
            raise CannotSee(masked(f"it cannot be reached: {why}")) from None
        except (ValueError, RecursionError):
            raise CannotSee("its answer is not JSON") from None

    async def _body(self, path: str) -> bytes:
        async with self._client.stream("GET", path) as response:
            if response.status_code != 200:
                raise CannotSee(_refusal(response.status_code))
            found = bytearray()
            with anyio.CancelScope() as reading:
                async for part in response.aiter_raw():  # what unpacks to a gigabyte would be one part
                    found += part
                    if len(found) > LARGEST:
                        reading.cancel()  # and go on: so all generators below are left in order
        if len(found) > LARGEST:
            raise CannotSee(f"its answer is larger than {LARGEST} bytes")
        return bytes(found)


def _refusal(status: int) -> str:
    if status in (401, 403):
        return f"it does not let us look ({status}): show it one of its observe.tokens"
    if 300 <= status < 400:
        return f"it sends us elsewhere ({status}), and a token is for one address"
    return f"it answered {status}: is there a service of Evox at that address?"


def _read(body: bytes) -> Snapshot:
    said = json.loads(body)
    try:
        return Snapshot.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "its form"
        what = legible(f"{where}: {first['msg']}", LONGEST)
        raise CannotSee(f"its answer is not a snapshot that can be read: {what}") from None
    except RecursionError:
        raise CannotSee("its answer is nested too deeply") from None
