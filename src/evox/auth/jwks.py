"""JWKS: the keys of an issuer that publishes them, fetched by https and kept for as long as they may be believed.

    a token names a key that is not there    they are fetched, at most once in 30 s, one fetch for all who wait
    every jwks_max_age                       they are fetched anew
    it fails                                 old ones are believed until jwks_max_stale after they were fetched

A fetch runs in the nursery of the service that asks first, so a client that leaves takes it from nobody.
"""

import json
import logging
import math
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

import anyio

from evox.auth.keys import Key
from evox.auth.keysets import Keys, KeySet
from evox.errors import KeysUnavailable, UnusableKey

__all__ = ["FetchedKeys", "Spawn", "fetcher"]

PAUSE: Final = 30.0  # seconds between two fetches
LARGEST: Final = 262_144  # bytes
LIMIT: Final = 5.0  # seconds for one fetch
MOST: Final = 100  # keys
_log = logging.getLogger("evox.auth")


class Spawn(Protocol):
    """Starts a function as a structured child, such as ``TaskGroup.start_soon``."""

    def __call__(self, function: Callable[..., Coroutine[Any, Any, Any]], /, *args: Any, name: object = None) -> Any:
        """Start it and return at once."""


class FetchedKeys(Keys):
    """Keys from a URL.

    Args:
        url: Where they are; for messages.
        fetch: Returns what is there, or raises.
        max_age: Seconds after which they are fetched anew.
        max_stale: Seconds for which they are believed.
        clock: Gives monotonic seconds.
    """

    def __init__(
        self,
        url: str,
        fetch: Callable[[], Awaitable[bytes]],
        *,
        max_age: float,
        max_stale: float,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._url, self._fetch, self._clock = url, fetch, clock
        self._max_age, self._max_stale = max_age, max_stale
        self._keys = KeySet((), source=url)
        self._fetched_at = self._not_before = -math.inf
        self._fetching: anyio.Event | None = None
        self.fetches = 0

    def __repr__(self) -> str:
        return f"<FetchedKeys of {self._url}: {len(self._keys)}, after {self.fetches} fetches>"

    def find(self, kid: str | None) -> Key:
        """Return the key that a token names; see ``Keys.find``."""
        if self._clock() - self._fetched_at > self._max_stale:
            raise KeysUnavailable(self._url, "they could not be fetched")
        return self._keys.find(kid)

    async def refresh(self, spawn: Spawn) -> None:
        """Fetch them unless that was done, or tried, less than 30 s ago; wait for the fetch that is on.

        Args:
            spawn: Starts the fetch.
        """
        for _ in range(2):  # the service that fetches may end meanwhile: whoever waits takes over
            if self._fetching is None:
                if self._clock() < self._not_before:
                    return
                fetching = anyio.Event()
                spawn(self._run, fetching, name="auth:jwks")
                self._fetching, self._not_before = fetching, self._clock() + PAUSE
            with anyio.move_on_after(LIMIT + 1):
                await self._fetching.wait()

    async def tend(self, spawn: Spawn) -> None:
        """Keep them fresh, for as long as the service runs."""
        while True:
            due = max(self._fetched_at + self._max_age, self._not_before)
            wait = due - self._clock()
            if wait > 0:
                await anyio.sleep(wait)
            if self._fetched_at + self._max_age <= self._clock():  # nobody else has done it meanwhile
                await self.refresh(spawn)

    async def _run(self, fetching: anyio.Event) -> None:
        try:
            with anyio.fail_after(LIMIT):
                self.fetches += 1
                found = _usable(await self._fetch(), self._url)
            self._keys.replace(found)
            self._fetched_at = self._clock()
        except Exception as error:  # noqa: BLE001  whatever it was, the keys that are there go on
            until = self._fetched_at + self._max_stale - self._clock()
            kept = f"those that are there are believed for {until:.0f} s more" if until > 0 else "there are none"
            _log.warning("keys of %s cannot be fetched, and %s: %s", self._url, kept, _reason(error))
        except BaseException:  # cancelled: it does not count
            self._not_before = -math.inf
            raise
        finally:
            self._fetching = None
            fetching.set()


def fetcher(url: str, cafile: str | None) -> Callable[[], Awaitable[bytes]]:
    """Return what fetches a JWKS.

    Args:
        url: https.
        cafile: Certificates that its server is trusted by; the system's when None.

    Raises:
        UnusableKey: if the certificates cannot be read.
    """
    try:
        tls = ssl.create_default_context(cafile=cafile)
    except OSError as error:
        raise UnusableKey(f"jwks_cafile {cafile}", f"it cannot be read: {error.strerror or error}") from None

    async def fetch() -> bytes:
        import httpx2  # noqa: PLC0415  only who fetches keys pays for it

        found = bytearray()
        client = httpx2.AsyncClient(verify=tls, follow_redirects=False, timeout=LIMIT)
        async with client, client.stream("GET", url, headers={"accept": "application/jwk-set+json"}) as response:
            if response.status_code != 200:
                raise ValueError(f"it answers {response.status_code}")
            with anyio.CancelScope() as reading:
                async for part in response.aiter_bytes():
                    found += part
                    if len(found) > LARGEST:
                        reading.cancel()  # and go on: so all generators below are left in order
        if len(found) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes")
        return bytes(found)

    return fetch


def _usable(data: bytes, url: str) -> list[Key]:
    """Return the keys of a JWKS that tokens can be verified with; others may stand beside them.

    Raises:
        ValueError: if there is none.
    """
    document = json.loads(data.decode("utf-8"))
    several = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(several, list) or len(several) > MOST:
        raise ValueError(f"it is no JWKS of at most {MOST} keys")
    found, passed = [], []
    for jwk in several:
        try:
            key = Key.from_jwk(jwk, source=url)
        except UnusableKey as error:
            passed.append(error.why)
            continue
        if key.kind == "oct" or key.can_sign:
            passed.append("it is published, and should be secret")
        else:
            found.append(key)
    names = Counter(key.kid for key in found)
    odd = [key for key in found if key.kid is None and len(found) > 1]
    odd += [key for key in found if names[key.kid] > 1 and key is not next(one for one in found if one.kid == key.kid)]
    found = [key for key in found if key not in odd]  # tokens choose by name: of two of one name, the first
    if not found:
        raise ValueError(f"no key in it can verify signatures: {'; '.join(passed[:3]) or 'it is empty'}")
    return found


def _reason(error: Exception) -> str:
    text = f"it did not answer within {LIMIT:g} s" if isinstance(error, TimeoutError) else str(error)
    return text or type(error).__name__
