"""Fakes: stand-ins for services that are called, for the time of a test.

A fake is a function, sync or async, a value, or an error. What it gives goes the way of a real answer: through JSON,
and back to the type that the operation declares, so a test cannot pass with what the service could never say.
"""

import inspect
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import anyio.lowlevel
from fastapi import HTTPException
from pydantic_core import to_json
from starlette.responses import JSONResponse

from evox.errors import CallError
from evox.service_proxy import NoAnswer, Reply, Sending, Switchboard, Target
from evox.services.encoding import Wire
from evox.services.operations import Operation, Operations, operations_of

__all__ = ["Fake", "FakeTarget"]

_JSON: Final = {"content-type": "application/json"}


class Fake:
    """A fake that is in place; ``undo`` or the end of a ``with`` block takes it away, the end of the test at last."""

    def __init__(self, undo: Callable[[], None], target: "FakeTarget") -> None:
        self._undo: Callable[[], None] | None = undo
        self._target = target

    def __repr__(self) -> str:
        return f"<Fake of {self._target.name!r}, {len(self.calls)} calls>"

    @property
    def calls(self) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
        """What it was called with: operation, arguments by position, arguments by name."""
        return self._target.calls

    def undo(self) -> None:
        """Take it away."""
        if self._undo is not None:
            self._undo()
            self._undo = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()


class FakeTarget:
    """Answers in the place of a service.

    Args:
        name: The service's name.
        answers: What answers each of its operations.
        board: Knows the real service, if there is one: it answers what is not faked.
    """

    kind = "fake"

    def __init__(self, name: str, answers: Mapping[str, Any], board: Switchboard) -> None:
        self._name, self._answers = name, answers
        self._real: Target | None = board.find(name)
        declared = board.declaration(name)
        self._known = None if declared is None else operations_of(declared.name, declared.app)
        if self._known is not None:
            for one in answers:
                self._known.named(one)
        self._loose = Operations(name, [Operation(one, "POST", "/", keyed=None, anything=True) for one in answers])
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __repr__(self) -> str:
        return f"<FakeTarget {self._name!r}: {', '.join(self._answers)}>"

    @property
    def name(self) -> str:
        """The service's name."""
        return self._name

    async def operations(self, sending: Sending) -> Operations:
        """Return what it can do: what the service can, or else what is faked."""
        if self._known is not None:
            return self._known
        return self._loose if self._real is None else await self._real.operations(sending)

    async def send(self, operation: Operation, wire: Wire, sending: Sending) -> Reply:
        """Answer, or have the real service answer.

        Raises:
            NoAnswer: if the real service gives none, or time is over.
        """
        await anyio.lowlevel.checkpoint()
        if operation.name not in self._answers:
            if self._real is None:
                raise NoAnswer(f"{operation.name} is not faked, and the service is not there", sent=False, final=True)
            return await self._real.send(operation, wire, sending)
        self.calls.append((operation.name, sending.args, dict(sending.named)))
        with anyio.CancelScope(deadline=sending.deadline):
            return await self._answer(self._answers[operation.name], sending)
        raise NoAnswer("its time was over", sent=True, is_timeout=True)

    async def stream(self, operation: Operation, wire: Wire, sending: Sending) -> Any:
        """Have the real service stream; a fake gives whole answers."""
        if self._real is None or operation.name in self._answers:
            raise NoAnswer("a fake does not stream", sent=False, final=True)
        return await self._real.stream(operation, wire, sending)

    def statistics(self) -> Any:
        """Return what it was called with."""
        return self.calls

    async def _answer(self, answer: Any, sending: Sending) -> Reply:
        try:
            value = await _made(answer, sending)
        except CallError:
            raise
        except HTTPException as error:
            return Reply(error.status_code, bytes(JSONResponse({"detail": error.detail}).body), _JSON, error)
        except Exception as error:  # noqa: BLE001  a service that fails answers 500
            return Reply(500, b"", _JSON, error)
        if type(value) is tuple and len(value) in (2, 3) and type(value[1]) is int:
            return Reply(value[1], to_json(value[0]), _JSON)
        return Reply(200, to_json(value), _JSON)


async def _made(answer: Any, sending: Sending) -> Any:
    """Return what a fake gives.

    Raises:
        BaseException: if that is an error, or its function raises one.
    """
    if isinstance(answer, BaseException) or (inspect.isclass(answer) and issubclass(answer, BaseException)):
        raise answer
    value = answer(*sending.args, **sending.named) if callable(answer) else answer
    return await value if inspect.isawaitable(value) else value
