"""Valkey pool: a few connections, each shared by all who ask at the same time, and opened anew when one breaks.

Connections are coredis's, which reads and writes the protocol. Its pool is not used: there a connection that breaks
while it is lent takes its place in the pool with it for ever. Here nothing is lent. A connection is one that may be
asked, or it is gone, and both are seen by looking at it.
"""

import math
import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import anyio
import coredis
from anyio.abc import TaskGroup, TaskStatus
from coredis.exceptions import BusyLoadingError, RedisError, ResponseError
from coredis.exceptions import ConnectionError as ConnectionLost

__all__ = ["NotOpened", "PoolStatistics", "ValkeyConnection", "ValkeyPool"]

AGAIN: Final = 1.0  # seconds after which one more connection is tried for, when that failed and others do


class NotOpened(Exception):
    """A connection could not be opened. Nothing was sent.

    Attributes:
        refused: What the server said if it answered, and does not let us.
    """

    def __init__(self, why: str, refused: RedisError | None = None) -> None:
        super().__init__(why)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """Connections: as many as there may be, open now, questions without an answer, opened since the start."""

    size: int
    open: int
    waiting: int
    opened: int


class ValkeyConnection:
    """One connection, on which answers come in the order of the questions.

    Args:
        raw: The connection of coredis.
        timeout: Seconds in which it has to open, and to answer.
    """

    def __init__(self, raw: Any, timeout: float) -> None:
        self.raw = raw
        self.settled = anyio.Event()
        self._timeout = timeout
        self.failed: NotOpened | None = None
        self._opening = anyio.CancelScope()
        self._asked: deque[tuple[float, Any]] = deque()

    async def run(self) -> None:
        """Open it, and keep it until it breaks, or is cut, or this is cancelled."""
        try:
            with self._opening:
                self._opening.deadline = anyio.current_time() + self._timeout
                await self.raw.run(task_status=self)
        except (RedisError, OSError) as error:
            # The cause says what the matter was: refused, no such host, a certificate that is not trusted.
            why = f"{error}: {error.__cause__}" if error.__cause__ is not None else str(error)
            self.failed = NotOpened(why, error if isinstance(error, ResponseError) else None)
        finally:
            if self._opening.cancel_called:
                self.failed = NotOpened(f"it did not answer within {self._timeout:g} s")
            self.settled.set()

    def started(self, _value: object = None) -> None:
        """Take note that it is open; coredis tells a task status."""
        self._opening.deadline = math.inf
        self.settled.set()

    async def opened(self) -> None:
        """Wait until it is open.

        Raises:
            NotOpened: if it cannot be.
        """
        await self.settled.wait()
        if self.failed is not None:
            raise NotOpened(str(self.failed), self.failed.refused)

    def ask(self, command: bytes, args: Sequence[str | bytes]) -> Any:
        """Send a command at once, and return what can be awaited for its answer.

        Whoever stops waiting leaves the answer to be read and thrown away, and disturbs nobody.

        Raises:
            coredis.exceptions.ConnectionError: if it is not open; nothing was sent.
        """
        try:
            request = self.raw.create_request(command, *args, decode=False)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise ConnectionLost("the connection was lost") from None
        self._asked.append((anyio.current_time(), request))
        return request

    def waiting(self) -> int:
        """Return how many questions have no answer."""
        while self._asked and self._asked[0][1].complete:
            self._asked.popleft()
        return len(self._asked)

    def is_silent(self, now: float) -> bool:
        """Return whether it owes an answer for too long: the server, or what is between, may be gone without a word."""
        return self.waiting() > 0 and now - self._asked[0][0] > self._timeout

    def is_hopeless(self, now: float) -> bool:
        """Return whether nobody can be waiting any more for what it owes."""
        return self.waiting() > 0 and now - self._asked[-1][0] > self._timeout

    def cut(self) -> None:
        """Close it."""
        self.raw.invalidate()


@dataclass(frozen=True, slots=True)
class _Left:
    """A write whose answer nobody waits for any more: what it wrote, and where it is on its way."""

    key: str
    connection: ValkeyConnection
    request: Any

    def is_on_its_way(self, now: float) -> bool:
        """Return whether it may be done later than what is sent elsewhere. If its connection is lost, who knows."""
        return not self.request.complete and bool(self.connection.raw.usable) and not self.connection.is_silent(now)


class ValkeyPool:
    """Connections to one server. A silent one is asked nothing more, and closed when nobody can wait for it any more.

    Args:
        url: ``redis://`` or ``rediss://``.
        size: How many connections there may be, beside one in place of those that are silent.
        timeout: Seconds to open one, and to wait for an answer.

    Raises:
        ValueError, OSError: if the URL, or what it names, cannot be read.
    """

    def __init__(self, url: str, *, size: int, timeout: float) -> None:
        # Never entered: it reads the URL.
        self._read: Any = coredis.ConnectionPool.from_url(
            _checked(re.sub(r"(?i)^valkey", "redis", url)),
            decode_components=True,
            connect_timeout=timeout,
            stream_timeout=timeout,
        )
        if self._read.location is None:
            raise ValueError("it names no host")
        self._size = size
        self._timeout = timeout
        self._group: TaskGroup | None = None
        self._all: list[ValkeyConnection] = []
        self._left: list[_Left] = []
        self._ended = 0
        self._not_before = -math.inf

    def __repr__(self) -> str:
        return f"<ValkeyPool {len(self._all)} of {self._size}>"

    async def run(self, closing: anyio.Event, *, task_status: TaskStatus[None]) -> None:
        """Keep connections until that is to end; they are children of this task."""
        async with anyio.create_task_group() as group:
            self._group = group
            task_status.started()
            try:
                await closing.wait()
            finally:
                self._group = None
                group.cancel_scope.cancel()

    async def connection(self, key: str | None = None) -> ValkeyConnection:
        """Return the connection with the least to do, opened if there is none. No time passes if there is one.

        It is the one on which a write of that key is left, if there is one; see ``ask``.

        Raises:
            NotOpened: if none can be opened.
        """
        again = True
        while True:
            if (behind := self._behind(key)) is not None:
                return behind
            found, opening = self._look()
            if found is not None:
                return found
            try:
                await (opening or self._open()).opened()
            except NotOpened:
                # One that was begun before this was asked for says nothing of now.
                if opening is None or not again:
                    raise
                again = False

    async def ask(self, command: bytes, *args: str | bytes, writes: str | None = None) -> Any:
        """Send one command, and return the answer.

        Two connections have no order. A write that nobody waits for any more may therefore still be on its way when
        the next one is sent; what is asked until its answer is there goes over the same connection, behind it.

        Args:
            command: Its name.
            *args: Its arguments.
            writes: What it writes, if it does: a key, or "" for more than one.

        Raises:
            NotOpened: if it was not sent.
            coredis.exceptions.ConnectionError: if it was, and there is no answer.
            coredis.exceptions.RedisError: if that is the answer.
        """
        return await self._answer(partial(self.connection, writes), command, args, writes)

    async def ask_alone(self, command: bytes, *args: str | bytes) -> Any:
        """Do what ``ask`` does on a connection of its own, which ends with it: nobody has to run the pool for that."""
        failed: NotOpened | RedisError | None = None
        answer = None
        connection = self.make()

        async def opened() -> ValkeyConnection:
            await connection.opened()
            return connection

        async with anyio.create_task_group() as group:
            group.start_soon(connection.run, name="data:valkey/connection")
            try:
                answer = await self._answer(opened, command, args)
            except (NotOpened, RedisError) as error:  # raised below: out of the group it would be within one of its own
                failed = error
            group.cancel_scope.cancel()
        if failed is not None:
            raise failed
        return answer

    def make(self) -> ValkeyConnection:
        """Return a new connection that is not of the pool, for whoever runs it."""
        raw = self._read.connection_class(self._read.location, **self._read.connection_kwargs)
        return ValkeyConnection(raw, self._timeout)

    def statistics(self) -> PoolStatistics:
        """Return how many there are."""
        usable = [one for one in self._all if one.raw.usable]
        waiting = sum(one.waiting() for one in usable)
        return PoolStatistics(self._size, len(usable), waiting, self._ended + len(usable))

    async def _answer(
        self,
        opened: Callable[[], Awaitable[ValkeyConnection]],
        command: bytes,
        args: Sequence[str | bytes],
        writes: str | None = None,
    ) -> Any:
        sent = False
        try:
            with anyio.fail_after(self._timeout):
                connection = await opened()
                answer = connection.ask(command, args)
                sent = True
                try:
                    return await answer
                finally:
                    if writes is not None and not answer.complete:
                        self._left.append(_Left(writes, connection, answer))
        except BusyLoadingError:  # an answer, and for coredis a lost connection
            raise
        except (ConnectionLost, TimeoutError) as error:
            why = str(error) if isinstance(error, ConnectionLost) else f"it did not answer within {self._timeout:g} s"
            raise (ConnectionLost if sent else NotOpened)(why) from None

    def _behind(self, key: str | None) -> ValkeyConnection | None:
        """Return the connection on which a write of that key is left without an answer, or else the last such one."""
        if not self._left:
            return None
        now = anyio.current_time()
        self._left = [one for one in self._left if one.is_on_its_way(now)]
        same = [one for one in self._left if one.key == key]
        return (same or self._left)[-1].connection if self._left else None

    def _look(self) -> tuple[ValkeyConnection | None, ValkeyConnection | None]:
        """Return the best that is open, and one that is being opened; begin to open one more if all are busy.

        One at a time is opened. Nobody waits for that who can be served.
        """
        now = anyio.current_time()
        best, least, opening = None, math.inf, None
        for one in self._all:
            if not one.settled.is_set():
                opening = one
            elif one.raw.usable:
                if one.is_hopeless(now):
                    one.cut()
                elif not one.is_silent(now) and one.waiting() < least:
                    best, least = one, one.waiting()
        if best is not None and least and opening is None and len(self._all) < self._size and now >= self._not_before:
            self._open()
        return best, opening

    def _open(self) -> ValkeyConnection:
        if self._group is None:
            raise NotOpened("it was closed here")
        connection = self.make()
        self._all.append(connection)
        self._group.start_soon(self._keep, connection, name="data:valkey/connection")
        return connection

    async def _keep(self, connection: ValkeyConnection) -> None:
        try:
            await connection.run()
        finally:
            self._all.remove(connection)
            if connection.failed is None:
                self._ended += 1
            else:
                self._not_before = anyio.current_time() + AGAIN


def _checked(url: str) -> str:
    """Let the name in the server's certificate be looked at, which coredis does only when it is told to."""
    is_told = re.search(r"[?&]ssl_(?:check_hostname|cert_reqs=none)\b", url) is not None
    if is_told or not url.lower().startswith("rediss:"):
        return url
    return f"{url}{'&' if '?' in url else '?'}ssl_check_hostname=true"
