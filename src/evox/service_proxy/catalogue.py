"""Catalogue: what a service elsewhere can do, found out once and looked up again when that is old.

Where its code is in this process, that says it. A peer of ours describes itself, at ``/_evox/operations``; any other
has an OpenAPI document.
"""

import json
from typing import Any, Final, Literal

import anyio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evox.config import PeerSettings
from evox.service_proxy.openapi import operations_in
from evox.service_proxy.replies import NoAnswer
from evox.service_proxy.sending import Sending
from evox.services.declaration import Declaration
from evox.services.describing import PATH
from evox.services.encoding import Encoder
from evox.services.operations import Argument, Operation, Operations, operations_of

__all__ = ["Catalogue"]

FRESH: Final = 60.0  # seconds
DOCUMENT: Final = "/openapi.json"


class _Argument(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str = Field(max_length=200)
    alias: str = Field(max_length=200)
    where: Literal["path", "query", "header", "cookie", "body", "form", "file"]
    required: bool = True
    many: bool = False
    fields: bool = False
    nothing: bool = False
    by_name: bool = False
    literal: tuple[str, ...] = Field(default=(), max_length=200)


class _Operation(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str = Field(max_length=200)
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
    path: str = Field(max_length=2000, pattern="^/")
    arguments: list[_Argument] = Field(max_length=200)
    embed: bool = False
    idempotent: bool = False
    keyed: bool | None = False
    streams: Literal["jsonl", "sse", "raw"] | None = None

    def operation(self) -> Operation:
        arguments = tuple(Argument(**one.model_dump()) for one in self.arguments)
        return Operation(**self.model_dump(exclude={"arguments"}), arguments=arguments)


class _Description(BaseModel):
    model_config = ConfigDict(extra="ignore")

    operations: list[_Operation] = Field(max_length=10_000)


class Catalogue:
    """What one service elsewhere can do.

    Args:
        name: Its name.
        peer: Where it is.
        declared: Its code, where this process has it.
    """

    def __init__(self, name: str, peer: PeerSettings, declared: Declaration | None) -> None:
        self._name, self._peer, self._declared = name, peer, declared
        self._found: Operations | None = None
        self._until = 0.0
        self._asking = anyio.Lock()

    def __repr__(self) -> str:
        return f"<Catalogue of {self._name!r}: {self._found or 'not asked for yet'}>"

    async def operations(self, target: Any, sending: Sending) -> Operations:
        """Return what it can do.

        Args:
            target: Who is asked.
            sending: The call for which that is asked.

        Raises:
            NoAnswer: if it cannot be found out now.
        """
        if self._declared is not None:
            if self._found is None:
                self._found = operations_of(self._name, self._declared.app)
            return self._found
        if self._found is not None and anyio.current_time() < self._until:
            return self._found
        with anyio.CancelScope(deadline=sending.deadline):
            async with self._asking:
                if self._found is None or anyio.current_time() >= self._until:
                    self._found = await self._ask(target, sending)
                    self._until = anyio.current_time() + FRESH
                return self._found
        raise NoAnswer("its time was over", sent=False, is_timeout=True)

    async def _ask(self, target: Any, sending: Sending) -> Operations:
        is_ours = self._peer.trust == "internal"
        path = PATH if is_ours else (self._peer.openapi or DOCUMENT)
        asked = Operation("the description", "GET", path, idempotent=True)
        try:
            reply = await target.send(asked, Encoder(self._name, asked).encode((), {}), sending)
        except NoAnswer:
            if self._found is not None:
                return self._found  # what was known is more than nothing
            raise
        if reply.status != 200:
            if self._found is not None and reply.status >= 500:
                return self._found
            why = f"it does not tell what it can do: GET {path} was answered with {reply.status}"
            raise NoAnswer(why, sent=False, final=reply.status < 500)
        try:
            found = _described(reply.body) if is_ours else operations_in(json.loads(reply.body))
        except (ValueError, ValidationError, RecursionError) as error:
            raise NoAnswer(f"what GET {path} says cannot be read: {_first(error)}", sent=True, final=True) from None
        return Operations(self._name, found)


def _described(body: bytes) -> list[Operation]:
    return [one.operation() for one in _Description.model_validate_json(body).operations]


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        wrong = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"
    return str(error)[:200]
