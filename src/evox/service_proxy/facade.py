"""Facade: the object exported as ``proxy``, and the handles that it gives.

proxy.user_svc.get_user(123)             a call of another service, awaited or gathered
proxy.user_svc.user.put(1, name="Ada")   of one of several methods
proxy(UserSvc).get_user(123)             the same, with the types of a class
proxy.gather(a(), b(), concurrency=5)    several at once
"""

import inspect
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from evox.context import give_handles, maybe_service
from evox.errors import InvalidCall
from evox.scheduling import gather
from evox.service_proxy.calls import Called, PendingCall
from evox.service_proxy.switchboard import Switchboard, SwitchboardStatistics, switchboard

__all__ = ["Handle", "OperationHandle", "Proxy", "proxy"]

T = TypeVar("T")
_METHODS: Final = frozenset({"get", "head", "post", "put", "patch", "delete", "options"})
_KEPT: Final = 1000  # handles: names may come from anywhere
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class OperationHandle:
    """One operation of a service. Calling it makes a ``PendingCall``; ``.put(...)`` and the like name a method."""

    __slots__ = ("_called",)

    def __init__(self, called: Called) -> None:
        self._called = called

    def __repr__(self) -> str:
        return f"<operation {self._called}>"

    def __call__(self, *args: Any, **named: Any) -> PendingCall[Any]:
        """Return a call with these arguments."""
        return PendingCall(self._called, args, named)

    def __getattr__(self, name: str) -> "OperationHandle":
        if name not in _METHODS or self._called.method is not None:
            raise AttributeError(f"an operation has its HTTP methods in lower case, and no {name!r}")
        called = self._called
        return OperationHandle(Called(called.service, called.operation, name.upper(), called.contract))


class Handle:
    """One service, by name. Its operations are its attributes; nothing is looked up before a call is awaited."""

    def __init__(self, service: str, contract: type | None = None) -> None:
        self._service, self._contract = service, contract

    def __repr__(self) -> str:
        return f"<service {self._service!r}>"

    @property
    def __evox_service__(self) -> str:
        return self._service

    def __getattr__(self, name: str) -> OperationHandle:
        if name.startswith("_"):
            raise AttributeError(name)
        made = OperationHandle(Called(self._service, name, None, self._contract))
        if len(self.__dict__) < _KEPT:
            self.__dict__[name] = made  # found without this the next time
        return made


class Proxy:
    """Calls other services: in this process if they run here, over HTTPS if they run elsewhere."""

    def __init__(self) -> None:
        self.gather = gather  # of the object: staticmethod would hide one of its signatures from type checkers

    def __repr__(self) -> str:
        return "<proxy>"

    def __getattr__(self, name: str) -> Handle:
        if name.startswith("_"):
            raise AttributeError(name)
        made = Handle(name)
        if len(self.__dict__) < _KEPT:
            self.__dict__[name] = made  # found without this the next time
        return made

    def __call__(self, contract: Callable[..., T], service: str | None = None) -> T:
        """Return a handle with the types of a class: a controller, or a protocol with the same methods.

        (It is annotated as what makes a ``T`` since type checkers take no protocol for a ``type[T]``.)

        Args:
            contract: The class. Its methods are async, or return what is streamed.
            service: The service's name. Without it, the one service that has the controller, or else the name of the
                class: ``UserSvc`` is ``user_svc``.
        """
        if not inspect.isclass(contract):
            raise InvalidCall(f"proxy({contract!r})", "it is no class: proxy(UserSvc) gives a handle with its types")
        return cast("T", Handle(service or _named(contract), contract))

    def statistics(self) -> SwitchboardStatistics:
        """Return the calls that the current runtime has made.

        Raises:
            OutsideRuntime: if no service is running in this context.
        """
        board, _ = switchboard("statistics")
        return board.statistics()


def _named(contract: type) -> str:
    """Return the name of the service that a class stands for."""
    running: Any = maybe_service()
    owner = None if running is None else running.runtime.room(Switchboard).owner(contract)
    return owner.name if owner is not None else _WORD.sub("_", contract.__name__).lower()


proxy = Proxy()
give_handles(Handle)
