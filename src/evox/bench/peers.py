"""Peers: other caches behind one small interface, for ``evox bench data``. What is not installed is left out.

All but ``cachetools`` are asyncio's own, so they are measured there. Each is set up as its documentation does.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from evox import data_intent, data_io

__all__ = ["NAMES", "SHARED", "Cache", "before_a_file", "contestants", "versions"]

NAMES: Final = {"cashews": "cashews", "aiocache": "aiocache", "async-lru": "async_lru", "cachetools": "cachetools"}
"""Peers, and the modules that they are imported as."""

SHARED: Final = "bench_shared"
_shared: Final = data_intent.define(SHARED, ttl="1h")

Load = Callable[[str], Awaitable[Any]]


class Cache(Protocol):
    """One contestant."""

    name: str

    async def get(self, key: str) -> Any:
        """Return the value of a key, or None."""

    async def put(self, key: str, value: Any, ttl: float) -> None:
        """Store a value for ``ttl`` seconds."""

    def filled(self, load: Load) -> Load:
        """Return a function that answers from the cache, and calls ``load`` on a miss."""


class Evox:
    """``data_io`` of the service that runs now, in memory."""

    name = "evox"

    async def get(self, key: str) -> Any:
        return await data_io.read(key)

    async def put(self, key: str, value: Any, ttl: float) -> None:
        await data_io.write(key, value, ttl=ttl)

    def filled(self, load: Load) -> Load:
        async def read(key: str) -> Any:
            return await data_io.read(key, loader=load, ttl=3600)

        return read


class _Shared(Evox):
    """``data_io`` in front of a file that other processes share: a hit is the copy held in memory before it."""

    name = "evox, before SQLite"

    async def get(self, key: str) -> Any:
        return await data_io.read(_shared, key)

    async def put(self, key: str, value: Any, ttl: float) -> None:
        del ttl  # its intent's
        await data_io.write(_shared, key, value)

    def filled(self, load: Load) -> Load:
        async def read(key: str) -> Any:
            return await data_io.read(_shared, key, loader=load)

        return read


class Cashews:
    name = "cashews"

    def __init__(self, size: int) -> None:
        self._cache = importlib.import_module("cashews").Cache()
        self._cache.setup(f"mem://?size={size}")

    async def get(self, key: str) -> Any:
        return await self._cache.get(key)

    async def put(self, key: str, value: Any, ttl: float) -> None:
        await self._cache.set(key, value, expire=ttl)

    def filled(self, load: Load) -> Load:
        made: Load = self._cache(ttl=3600, key="filled:{key}")(_named(load))
        return made


class Aiocache:
    name = "aiocache"

    def __init__(self, size: int) -> None:
        del size  # it has no bound
        self._module = importlib.import_module("aiocache")
        self._cache = self._module.SimpleMemoryCache()

    async def get(self, key: str) -> Any:
        return await self._cache.get(key)

    async def put(self, key: str, value: Any, ttl: float) -> None:
        await self._cache.set(key, value, ttl=ttl)

    def filled(self, load: Load) -> Load:
        made: Load = self._module.cached(ttl=3600)(_named(load))
        return made


class AsyncLru:
    """A decorator only: reads are calls, and nothing can be stored."""

    name = "async-lru"

    def __init__(self, size: int) -> None:
        self._size = size
        self._stored: dict[str, Any] = {}
        self._read = self.filled(self._find)

    async def get(self, key: str) -> Any:
        return await self._read(key)

    async def put(self, key: str, value: Any, ttl: float) -> None:
        del ttl
        self._stored[key] = value
        await self._read(key)

    def filled(self, load: Load) -> Load:
        made: Load = importlib.import_module("async_lru").alru_cache(maxsize=self._size, ttl=3600)(_named(load))
        return made

    async def _find(self, key: str) -> Any:
        return self._stored.get(key)


class Cachetools:
    """An LRU with a time to live. It is no cache of coroutines: who misses calls the source."""

    name = "cachetools"

    def __init__(self, size: int) -> None:
        self._cache = importlib.import_module("cachetools").TTLCache(size, 3600)

    async def get(self, key: str) -> Any:
        return self._cache.get(key)

    async def put(self, key: str, value: Any, ttl: float) -> None:
        del ttl  # one for the whole cache
        self._cache[key] = value

    def filled(self, load: Load) -> Load:
        async def read(key: str) -> Any:
            if key not in self._cache:
                self._cache[key] = await load(key)
            return self._cache[key]

        return read


def contestants(size: int) -> list[Cache]:
    """Return Evox and the peers that are installed, each with room for ``size`` entries."""
    kinds: dict[str, Callable[[int], Cache]] = {
        "cashews": Cashews,
        "aiocache": Aiocache,
        "async-lru": AsyncLru,
        "cachetools": Cachetools,
    }
    return [Evox(), *(kind(size) for name, kind in kinds.items() if importlib.util.find_spec(NAMES[name]) is not None)]


def before_a_file() -> Cache:
    """Return Evox as it reads what other processes share."""
    return _Shared()


def versions() -> dict[str, str]:
    """Return which versions of Evox and of the peers are installed."""
    installed = [name for name, module in NAMES.items() if importlib.util.find_spec(module) is not None]
    own = {"evox": importlib.metadata.version("evox-framework")}
    return own | {name: importlib.metadata.version(name) for name in installed}


def _named(load: Load) -> Load:
    """Give a load a function of its own, as a decorator expects it."""

    @functools.wraps(load)
    async def named(key: str) -> Any:
        return await load(key)

    return named
