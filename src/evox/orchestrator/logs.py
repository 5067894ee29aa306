"""Logs: all that a process logs, by ``logging`` or structlog, goes through one chain to standard error.

Lines are JSON for machines and text for people. Each says for which service, request and trace it was written, and
secrets are taken out of all of it. Only ``evox run`` sets this up; importing or embedding Evox changes nothing.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from evox import context
from evox.errors.messages import message_of
from evox.errors.secrets import masked, redacted
from evox.failures import describe, facts_of
from evox.services import correlation_now

__all__ = ["configure_logs", "start_logs"]

_STANDARD: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "_logger", "_name"})
_STRUCTLOG: Final = frozenset({"event", "exc_info", "positional_args", "stack", "stack_info", "_record"})
_OURS: Final = frozenset(
    {"time", "level", "logger", "message", "service", "request_id", "trace_id", "error", "traceback", "stack", "_error"}
)
_CONTROLS: Final = {one: f"\\x{one:02x}" for one in (*range(32), *range(127, 160)) if one not in (9, 10)}
_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}


def configure_logs(*, as_json: bool, verbose: bool, environ: Mapping[str, str] = os.environ) -> None:
    """Send all logs of the process to standard error: text for people, JSON lines for machines.

    Libraries that write to the terminal by handlers of their own lose those; handlers for files stay. Warnings are
    logged too, and no handler writes what it could not format.

    Args:
        as_json: JSON lines.
        verbose: INFO and above rather than WARNING; ``EVOX_LOG`` overrides it with a level's name.
        environ: Where ``EVOX_LOG`` is looked up, and ``NO_COLOR``, which keeps colours out of text on a terminal.
    """
    coloured = sys.stderr.isatty() and not environ.get("NO_COLOR")
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Formatter(_json if as_json else _Text(coloured=coloured)))
    level = environ.get("EVOX_LOG", "INFO" if verbose else "WARNING").upper()
    logging.raiseExceptions = False  # what it lets handlers write of a failure is the record as it is, with its secrets
    logging.captureWarnings(capture=True)
    for one in filter(_writes_to_terminal, list(logging.root.handlers)):
        logging.root.removeHandler(one)
    logging.root.addHandler(handler)
    logging.root.setLevel(level)
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            _take_over(logger)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.processors.StackInfoRenderer(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        context_class=dict,
        cache_logger_on_first_use=False,
    )


def start_logs(*, dev: bool) -> None:
    """Set logging up for ``evox run``, before user code is imported: a logger that it binds there is of our chain.

    Args:
        dev: Text, and INFO and above; else text is for terminals alone.
    """
    configure_logs(as_json=not dev and not sys.stderr.isatty(), verbose=dev)


def _take_over(logger: logging.Logger) -> None:
    """Let what a library would write to the terminal by itself go the way of all others, and ours go at all."""
    if logger.name.partition(".")[0] == "evox":
        logger.disabled = False  # logging.config disables all loggers that it is not told of, unless it is told not to
    for handler in filter(_writes_to_terminal, list(logger.handlers)):
        logger.removeHandler(handler)
        logger.propagate = True


def _writes_to_terminal(handler: logging.Handler) -> bool:
    """Whether a handler writes where we do; those for files, and for services of others, are the user's own concern."""
    terminal = {id(one) for one in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)}
    return isinstance(handler, _Handler) or (
        isinstance(handler, logging.StreamHandler) and id(handler.stream) in terminal
    )


class _Handler(logging.StreamHandler[Any]):
    """Writes lines. One that cannot be written is lost: where it would be told of that is what cannot be written to."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line. What ``logging`` says of a failure holds the record as it is, so nothing is said."""
        with suppress(Exception):
            line = self.format(record) + self.terminator
            try:
                self.stream.write(line)
            except UnicodeEncodeError:
                self.stream.write(line.encode("ascii", "backslashreplace").decode())
            self.flush()


class _Formatter(ProcessorFormatter):
    """Makes a line of a record, whatever is wrong with the record."""

    def __init__(self, render: Processor) -> None:
        super().__init__(
            processors=[_entry, render],
            foreign_pre_chain=[structlog.contextvars.merge_contextvars],
            pass_foreign_args=True,
            use_get_message=False,
        )
        self._render = render

    def __repr__(self) -> str:
        return f"<_Formatter {self._render!r}>"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with at least what can be told of the record."""
        try:
            return super().format(record)
        except Exception as error:  # noqa: BLE001  whatever somebody logs, there is a line of it
            entry = _head(record) | {"message": f"a log entry that cannot be shown: {type(error).__name__}"}
            entry |= {"at": f"{record.pathname}:{record.lineno}", **_belonging()}
            return str(self._render(None, "", entry))


def _entry(logger: Any, method: str, event: EventDict) -> EventDict:
    """Return what a line says: of any record, in one order, without secrets."""
    del logger, method
    record: logging.LogRecord = event["_record"]
    more = {key: value for key, value in event.items() if key not in _STRUCTLOG and key != "_from_structlog"}
    said = event.get("event", "")
    if not event["_from_structlog"]:
        said = record.msg  # what it is, rather than what it calls itself
        more |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
    entry = _head(record) | {"message": message_of(said, event.get("positional_args"))} | _belonging()
    shown = redacted(more)
    entry |= {f"{key}_" if key in _OURS else key: value for key, value in shown.items()}
    stack = event.get("stack") or (event.get("stack_info") if isinstance(event.get("stack_info"), str) else None)
    if stack:
        entry["stack"] = masked(str(stack))
    error = _error(event.get("exc_info"))
    if error is not None:
        entry["_error"] = error
    return entry


def _head(record: logging.LogRecord) -> dict[str, Any]:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return {"time": time, "level": record.levelname, "logger": masked(record.name)}


def _belonging() -> dict[str, str]:
    """Return for whom the current task writes."""
    service, known = context.maybe_service(), correlation_now()
    named = {} if service is None else {"service": service.name}
    if known is None:
        return named
    return named | {"request_id": known.request_id, "trace_id": known.trace_id or known.trace[0]}


def _error(info: Any) -> BaseException | None:
    """Return the error that an entry is about, in any of the ways in which one is given."""
    if isinstance(info, BaseException):
        return info
    if isinstance(info, tuple):
        return info[1] if len(info) > 1 and isinstance(info[1], BaseException) else None
    return sys.exc_info()[1] if info else None


def _facts(error: BaseException) -> Any:
    try:
        return redacted(facts_of(error))
    except Exception:  # noqa: BLE001  what it says of itself cannot be had
        return {"type": type(error).__name__}


def _traceback(error: BaseException) -> str:
    return masked("".join(traceback.format_exception(error)).rstrip())


def _json(logger: Any, method: str, entry: EventDict) -> str:
    """Write an entry for machines."""
    del logger, method
    error = entry.pop("_error", None)
    if error is not None:
        entry["error"], entry["traceback"] = _facts(error), _traceback(error)
    return json.dumps(entry, default=str)


class _Text:
    """Writes an entry for people. Of errors that Evox logs there are the user's lines, rather than the traceback.

    Args:
        coloured: Whether levels have colours.
    """

    def __init__(self, *, coloured: bool) -> None:
        self._coloured = coloured

    def __repr__(self) -> str:
        return "text in colours" if self._coloured else "text"

    def __call__(self, logger: Any, method: str, entry: MutableMapping[str, Any]) -> str:
        """Return the text."""
        del logger, method
        error: BaseException | None = entry.pop("_error", None)
        time = datetime.fromisoformat(entry.pop("time")).astimezone().strftime("%H:%M:%S")
        level, name, stack = entry.pop("level").lower(), entry.pop("logger"), entry.pop("stack", None)
        text = entry.pop("message")
        if stack is not None:
            text = f"{text}\n{stack}"
        if error is not None:
            text = self._with_error(text, error, name)
        begin, line, end = text.translate(_CONTROLS).partition("\n")
        more = "".join(f" {key}={_shown(value)}" for key, value in entry.items()).replace("\n", "\\n")
        more = more.translate(_CONTROLS)  # a name may be a client's too
        return f"{time} {self._paint(f'{level:<7}', _COLOURS.get(level))} {begin}{more}{line}{end}"

    def _with_error(self, text: str, error: BaseException, name: str) -> str:
        described = masked(describe(error))
        if not name.startswith("evox.") or ("\n  at   " not in described and described not in text):
            described = _traceback(error)  # no line of the user's explains it
        return text if described in text else f"{text}\n{described}"

    def _paint(self, text: str, colour: str | None) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured and colour is not None else text


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return json.dumps(text) if not text or any(one in text for one in ' "=\n\r\t\x1b') else text
