"""Recent: the last errors and warnings of a process, from its log, the same ones counted rather than repeated.

Grouped are records of one logger and one line of code, and of one type of error from one line of the user, so that ten
thousand texts from one place are one entry with the last of them. Nothing of the log is changed; what is shown has its
secrets taken out.
"""

import logging
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Final

from evox import context
from evox.errors.messages import message_of
from evox.errors.words import words_of
from evox.failures import root_cause, user_frames
from evox.observe.incidents import fitted, shortened
from evox.services import correlation_now

__all__ = ["Entry", "Listening", "Recent"]

LONGEST: Final = 2_000  # characters of a message
FRAMES: Final = 4


@dataclass(slots=True)
class Entry:
    """One kind of error or warning. Times are wall-clock seconds.

    Attributes:
        level: ``"WARNING"``, ``"ERROR"`` or ``"CRITICAL"``.
        logger: Who logged it.
        service: Which service was at work; empty where none was.
        message: The last text of it.
        error: Type of the error that came with it, or empty.
        reason: What that error says.
        at: The user's lines that led to it, the innermost last.
        request_id: Of the request that the last of it was logged for; empty where it was for none.
        first: When it came first.
        last: When it came last.
        count: How often it came.
    """

    level: str
    logger: str
    service: str
    message: str
    error: str
    reason: str
    at: tuple[str, ...]
    first: float
    last: float
    count: int = 1
    request_id: str = ""


class Recent:
    """The last kinds of errors and warnings.

    Args:
        most: How many kinds are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # Anything may be logged in any thread; and in this very one, by what is collected while it is noted.
        self._lock = threading.RLock()
        self._entries: OrderedDict[tuple[Any, ...], Entry] = OrderedDict()  # the one that came last is the last
        self.total = self.forgotten = 0

    def __repr__(self) -> str:
        return f"<Recent: {len(self._entries)} kinds, {self.total} in all>"

    def note(self, record: logging.LogRecord) -> None:
        """Take note of a log record."""
        found = _error_of(record)
        cause = None if found is None else root_cause(found)
        # Whatever is logged writes itself, and may log that, so nothing is held meanwhile.
        message = fitted(_text_of(record), LONGEST)
        reason = "" if cause is None else shortened(words_of(cause), LONGEST)
        at = () if cause is None else tuple(map(str, user_frames(cause)[-FRAMES:]))
        with self._lock:
            self._note(record, "" if cause is None else type(cause).__name__, message, reason, at)

    def all(self) -> list[Entry]:
        """Return what is kept, the latest first."""
        with self._lock:
            return [replace(one) for one in reversed(self._entries.values())]

    def _note(self, record: logging.LogRecord, kind: str, message: str, reason: str, at: tuple[str, ...]) -> None:
        self.total += 1
        service = context.maybe_service()
        name = "" if service is None else service.name
        known = correlation_now()
        key = (record.name, record.pathname, record.lineno, kind, name, *at[-1:])
        entry = self._entries.get(key)
        if entry is None:
            entry = Entry(
                record.levelname, shortened(str(record.name)), name, "", kind, "", (), record.created, record.created, 0
            )
        entry.count += 1
        entry.level, entry.last = record.levelname, record.created
        entry.message, entry.reason, entry.at = message, reason, at
        entry.request_id = "" if known is None else known.request_id
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)
            self.forgotten += 1


def _text_of(record: logging.LogRecord) -> str:
    """Return what a record says; one of structlog's holds it in a dictionary."""
    said: Any = record.msg
    if isinstance(said, dict) and "event" in said:
        return message_of(said["event"], said.get("positional_args"))
    return message_of(said, record.args)


def _error_of(record: logging.LogRecord) -> BaseException | None:
    """Return the error that a record is about, as ``logging`` and structlog note it."""
    info: Any = record.msg.get("exc_info") if isinstance(record.msg, dict) else record.exc_info
    if isinstance(info, BaseException):
        return info
    found = info if isinstance(info, tuple) else sys.exc_info() if info else (None, None, None)
    return found[1] if isinstance(found[1], BaseException) else None


class Listening(logging.Handler):
    """Hears warnings and errors of a runtime; those of another one in the same process are left to that.

    Args:
        recent: Where they are noted.
        runtime: The runtime.
    """

    def __init__(self, recent: Recent, runtime: Any) -> None:
        super().__init__(logging.WARNING)
        self._recent = recent
        self._runtime = runtime

    def __repr__(self) -> str:
        return f"<Listening for {self._recent!r}>"

    def emit(self, record: logging.LogRecord) -> None:
        """Note a record. Called by ``logging``, in any thread."""
        service = context.maybe_service()
        if service is not None and service.runtime is not self._runtime:
            return
        try:
            self._recent.note(record)
        except Exception:  # noqa: BLE001  as all handlers do: a log call never fails for how it is made
            self.handleError(record)
