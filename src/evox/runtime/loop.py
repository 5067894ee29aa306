"""Loop: which event loop to run on, and why.

``auto`` means trio, unless something can only run on asyncio: a service made from an existing FastAPI app, or an
import of a library known to be asyncio-only. uvloop is used under asyncio where it is installed.
"""

import asyncio
import importlib.util
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypeVar

import anyio

from evox.errors.words import words_of

__all__ = [
    "ASYNCIO_ONLY",
    "Backend",
    "Choice",
    "Native",
    "asyncio_only_imports",
    "choose",
    "is_asyncio_only_error",
    "native",
    "on_trio",
    "run",
]

Backend: TypeAlias = Literal["auto", "trio", "asyncio"]
_T = TypeVar("_T")

# Libraries whose documentation or source awaits asyncio futures, so that they cannot run on trio.
ASYNCIO_ONLY: Final = (
    "aioboto3",
    "aiobotocore",
    "aiocache",
    "aiohttp",
    "aiokafka",
    "aiomysql",
    "aiopg",
    "aioredis",
    "aiormq",
    "aio_pika",
    "asyncmy",
    "asyncpg",
    "beanie",
    "grpc.aio",
    "motor",
    "nats.aio",
    "odmantic",
    "redis.asyncio",
    "sqlalchemy.ext.asyncio",
    "tortoise",
    "valkey.asyncio",
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The loop that was chosen. ``why`` is shown in the banner."""

    backend: Literal["trio", "asyncio"]
    why: str
    uvloop: bool = False

    def __str__(self) -> str:
        return f"asyncio with uvloop ({self.why})" if self.uvloop else f"{self.backend} ({self.why})"


def asyncio_only_imports(modules: Iterable[str] | None = None) -> list[str]:
    """Return which asyncio-only libraries are imported: among ``modules``, or in this process."""
    loaded = set(sys.modules if modules is None else modules)
    return [name for name in ASYNCIO_ONLY if name in loaded]


def choose(requested: Backend, *, source: str = "the default", asyncio_because: Iterable[str] = ()) -> Choice:
    """Choose the loop.

    Args:
        requested: What was configured.
        source: Where that was configured, for the banner.
        asyncio_because: Reasons that speak for asyncio under ``auto``, the most telling first.
    """
    if requested == "trio":
        return Choice("trio", source)
    reason = next(iter(asyncio_because), None)
    if requested == "auto" and reason is None:
        return Choice("trio", "auto: nothing asks for asyncio")
    why = source if requested == "asyncio" else f"auto: {reason}"
    return Choice("asyncio", why, uvloop=importlib.util.find_spec("uvloop") is not None)


def run(choice: Choice, main: Callable[[], Awaitable[_T]], **options: Any) -> _T:
    """Run ``main`` to its end on the chosen loop.

    Args:
        choice: From ``choose``.
        main: An async function.
        **options: Passed to the backend, e.g. ``clock=`` for trio.
    """
    if choice.uvloop:
        options["use_uvloop"] = True
    return anyio.run(main, backend=choice.backend, backend_options=options)


def on_trio() -> bool:
    """Whether the present task runs on trio. It is not imported to find that out."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


@dataclass(frozen=True, slots=True)
class Native:
    """What is needed for each of many calls, as the present loop has it: half of the time of anyio's goes by there.

    Attributes:
        now: Returns monotonic seconds, as ``anyio.current_time`` does.
        scope: Makes a cancel scope with a ``deadline``.
    """

    now: Callable[[], float]
    scope: Callable[..., anyio.CancelScope]


def native() -> Native:
    """Return what the present loop has; it is good for as long as that runs."""
    if on_trio():
        trio = sys.modules["trio"]
        return Native(trio.lowlevel.current_clock().current_time, trio.CancelScope)
    return Native(asyncio.get_running_loop().time, anyio.CancelScope)


def is_asyncio_only_error(error: BaseException) -> bool:
    """Whether an error, raised under trio, comes from code that needs a running asyncio loop."""
    text = words_of(error)
    if isinstance(error, TypeError) and text.startswith("trio.run received unrecognized yield message"):
        return True
    if isinstance(error, RuntimeError) and text in ("no running event loop", "no current event loop"):
        return True
    if isinstance(error, RuntimeError) and text.startswith("There is no current event loop"):
        return True
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    module = last.tb_frame.f_globals.get("__name__", "") if last is not None else ""
    return isinstance(error, AttributeError) and str(module).startswith("asyncio.")
