"""Writes: takes kept answers away when a request may have changed something, whichever route it went to.

Taken away are the answers of its path, of the collection above it, and of its controller. It has changed something when
it succeeds, and may have when its handler began and failed, or was ended. That is seen before its client hears of it,
so that the client's next read is a new one; and seen again when all is over, if something went on after the handler: a
stream, a background task, a dependency that commits at its end.
"""

import logging
from collections.abc import Awaitable
from typing import Any, Final

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evox import context
from evox.errors import DataError, InsideTransaction
from evox.services.call import OPENED, OpenRequest
from evox.services.declaration import Declaration
from evox.services.endpoint import Endpoint
from evox.services.keying import groups_of, path_of
from evox.services.running import Running

__all__ = ["HARMLESS", "SAFE", "Telling", "Write", "WriteWatch", "write_of"]

SAFE: Final = frozenset({"GET", "HEAD"})
HARMLESS: Final = SAFE | {"OPTIONS", "TRACE"}
LONGEST: Final = 5.0  # seconds for which a request waits until answers are taken away
_ELSEWHERE: Final = (307, 308)  # nothing was done: the same request is to be sent somewhere else
_WRITE: Final = "evox.write"  # where a request's is kept, in its ASGI scope
_log = logging.getLogger("evox.data")


class Write:
    """What is known of one request that may change something.

    Attributes:
        row: The endpoint that it reached; None for routes that are not ours, of which nothing else is known.
        scope: What the endpoint was given, of which middleware may have changed the path.
        began: Whether its handler has begun.
        goes_on: Whether something goes on after the handler has returned.
        changed: Whether it may have changed something.
    """

    __slots__ = ("began", "changed", "goes_on", "row", "scope")

    def __init__(self) -> None:
        self.row: Endpoint | None = None
        self.scope: Scope | None = None
        self.began = self.goes_on = self.changed = False

    def answered(self, status: int) -> None:
        """Note with which status it is answered."""
        is_done = status < 400 and status not in _ELSEWHERE
        self.changed = self.changed or is_done or (status >= 500 and self.may_have_begun)

    def groups(self, path: str) -> list[str]:
        """Return the tags of the answers that it takes away: those of its path, as it came and as it arrived."""
        groups = groups_of(self.row, path, above=True)
        if self.scope is not None:
            arrived = path_of(self.scope)
            if arrived != path:
                groups += groups_of(self.row, arrived, above=True)
        return groups

    @property
    def may_have_begun(self) -> bool:
        """Whether its handler has begun, or nobody knows."""
        return self.began or self.row is None

    @property
    def may_go_on(self) -> bool:
        """Whether something goes on after the handler has returned, or nobody knows."""
        return self.goes_on or self.row is None


def write_of(scope: Scope) -> Write | None:
    """Return what is known of the write that a request is; None for one of a harmless method, or where none is kept."""
    found: Write | None = scope.get(_WRITE)
    return found


class Telling:
    """Tells the client of a write what came of it, after answers were taken away.

    Args:
        write: What is known of it.
        path: Its path.
        send: The request's.
        opened: The server's side of it, if the server is ours.
    """

    def __init__(self, write: Write, path: str, send: Send, opened: OpenRequest | None) -> None:
        self._write, self._path, self._send, self._opened = write, path, send, opened
        self._in_parts = False

    async def send(self, message: Message) -> None:
        """Send the app's message."""
        write = self._write
        is_start, is_last = message["type"] == "http.response.start", not message.get("more_body", False)
        if is_start:
            write.answered(message["status"])
        self._in_parts = self._in_parts or not is_last
        if write.changed and (is_start or (is_last and self._in_parts and write.may_go_on)):
            await _take_away(write, self._path, is_over=False)
        await self._send(message)

    @property
    def answers(self) -> bool:
        """Whether a whole answer may be sent at once, by ``answer``."""
        return self._opened is not None and getattr(self._send, "__self__", None) is self._opened

    def answer(self, status: int, headers: Any, body: bytes) -> Awaitable[None] | None:
        """Send a whole answer, as ``OpenRequest.answer`` does."""
        assert self._opened is not None  # noqa: S101  see ``answers``
        self._write.answered(status)
        if self._write.changed and not _taken_away_at_once(self._write, self._path):
            return self._answer_late(self._opened, status, headers, body)
        return self._opened.answer(status, headers, body)

    async def _answer_late(self, opened: OpenRequest, status: int, headers: Any, body: bytes) -> None:
        await _take_away(self._write, self._path, is_over=False)
        waiting = opened.answer(status, headers, body)
        if waiting is not None:
            await waiting


class WriteWatch:
    """Watches the requests of one service.

    Args:
        app: Answers them.
        service: Whose they are.
    """

    def __init__(self, app: ASGIApp, service: Declaration) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one."""
        if scope["type"] != "http" or scope["method"] in HARMLESS or not self._service.caches_answers:
            await self._app(scope, receive, send)
        else:
            await self.through(self._app, scope, receive, send)

    async def through(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that may change something, by an app."""
        write, path = Write(), path_of(scope)
        scope[_WRITE] = write
        opened = (scope.get("extensions") or {}).get(OPENED)
        try:
            await app(scope, receive, Telling(write, path, send, opened).send)
        except BaseException:
            write.changed = write.changed or write.may_have_begun
            write.goes_on = True  # how far it came is not known
            raise
        finally:
            if write.changed and write.may_go_on:
                await _take_away(write, path, is_over=True)


def _taken_away_at_once(write: Write, path: str) -> bool:
    """Take answers away where that needs no waiting; return whether it is done."""
    running = context.maybe_service()
    data = running.maybe_data if isinstance(running, Running) else None
    try:
        return data is None or data.stores.remove_tags(data.tags_of(write.groups(path), ()))
    except DataError:
        return False  # what is to be said of it is said there


async def _take_away(write: Write, path: str, *, is_over: bool) -> None:
    """Take answers away. The write has been done, so that this fails is no reason to say that it was not."""
    running: Any = context.maybe_service()
    data = running.maybe_data if isinstance(running, Running) else None
    if data is None:
        return
    groups = write.groups(path)
    with anyio.move_on_after(LONGEST, shield=True) as waiting:  # whoever wrote may have left, or be out of time
        try:
            await data.invalidate_tags(groups)
        except DataError as error:
            if isinstance(error, InsideTransaction) and write.may_go_on and not is_over:
                return  # a dependency's; they are taken away when it has ended
            _log.warning("answers may be old for up to their ttl: %s could not be taken away: %s", groups, error.what)
    if waiting.cancelled_caught:
        _log.warning("answers may be old for up to their ttl: %s were not taken away in %g s", groups, LONGEST)
