"""Facade: the object exported as ``data_io``. It finds the data of the service that the current task belongs to."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar, overload

from evox.context import current_service, maybe_service
from evox.data.declaring import NamedIntent
from evox.data.io import DataIO
from evox.data.signals import Action, registered
from evox.durations import Duration

__all__ = ["DataIOFacade", "data_io"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class DataIOFacade:
    """Data of the running service, by intent. Outside one every method but ``on`` raises ``OutsideRuntime``."""

    def __repr__(self) -> str:
        return "<data_io>"

    @overload
    def read(
        self,
        kind: type[T],
        key: str,
        /,
        *,
        loader: Callable[..., Any] | None = None,
        ttl: Duration | None = None,
        tags: Iterable[str] = (),
    ) -> Coroutine[Any, Any, T | None]: ...
    @overload
    def read(
        self,
        *target: str | NamedIntent,
        loader: Callable[..., Any] | None = None,
        ttl: Duration | None = None,
        tags: Iterable[str] = (),
    ) -> Coroutine[Any, Any, Any]: ...
    def read(
        self,
        *target: Any,
        loader: Callable[..., Any] | None = None,
        ttl: Duration | None = None,
        tags: Iterable[str] = (),
    ) -> Coroutine[Any, Any, Any]:
        """Return the value of a key, or None; see ``DataIO.read``. Hands on the coroutine, which saves one a read."""
        return _own("read").read(*target, loader=loader, ttl=ttl, tags=tags)

    async def write(self, *target: Any, ttl: Duration | None = None, tags: Iterable[str] = ()) -> None:
        """Store a value; see ``DataIO.write``."""
        await _own("write").write(*target, ttl=ttl, tags=tags)

    async def delete(self, *target: Any) -> bool:
        """Remove a value, and return whether there was one; see ``DataIO.delete``."""
        return await _own("delete").delete(*target)

    async def invalidate(self, *target: Any, prefix: str | None = None, tag: str | None = None) -> int:
        """Take copies away, and return how many; see ``DataIO.invalidate``."""
        return await _own("invalidate").invalidate(*target, prefix=prefix, tag=tag)

    def on(self, action: Action, of: type[Any] | NamedIntent | str | None = None) -> Callable[[F], F]:
        """Call a function with each ``DataEvent`` of one action: written, deleted or invalidated.

        In a module it is for every service of the process; in a hook or handler for the running service, as long as
        it runs.

        Args:
            action: ``"written"``, ``"deleted"`` or ``"invalidated"``.
            of: A type, a named intent or its name; every change when left out.
        """
        return (registered if maybe_service() is None else _own("on").signals).on(action, of)


def _own(method: str) -> DataIO:
    found: DataIO = current_service(f"data_io.{method}(...)").data
    return found


data_io = DataIOFacade()
