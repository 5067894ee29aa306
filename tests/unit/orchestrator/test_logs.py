"""Logs: one chain for all loggers, lines for people and for machines, and a record is never lost nor shown whole."""

import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from evox.errors import EvoxError, Place
from evox.orchestrator.console import configure_logs

Written = Callable[[], list[dict[str, Any]]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Full(io.StringIO):
    def write(self, text: str, /) -> int:
        raise OSError(28, "No space left on device")


class Broken:
    def __str__(self) -> str:
        raise ValueError("hunter22")

    __repr__ = __str__


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Undo afterwards what a test configures."""
    root, raises = logging.getLogger(), logging.raiseExceptions
    handlers, level = root.handlers[:], root.level
    with warnings.catch_warnings():
        yield
        logging.captureWarnings(capture=False)
    root.handlers, root.level, logging.raiseExceptions = handlers, level, raises
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    """Log JSON from now on; return what gives the entries so far."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    configure_logs(as_json=True, verbose=False, environ={})
    return lambda: [json.loads(line) for line in out.getvalue().splitlines()]


def test_structlog_and_logging_write_the_same_entries(written: Written) -> None:
    logging.getLogger("mine").warning("it is %d", 5, extra={"n": 1})
    structlog.get_logger("mine").warning("it is 5", n=1)
    first, second = written()
    assert first.pop("time")[:19] == second.pop("time")[:19]
    assert first == second == {"level": "WARNING", "logger": "mine", "message": "it is 5", "n": 1}


def test_times_are_iso_in_utc_with_milliseconds(written: Written) -> None:
    logging.getLogger("mine").handle(logging.makeLogRecord({"created": 0.0125, "name": "mine", "levelno": 30}))
    assert written()[0]["time"] == "1970-01-01T00:00:00.012+00:00"


def test_what_is_bound_is_on_each_line_of_either(written: Written) -> None:
    structlog.contextvars.bind_contextvars(tenant="north")
    structlog.get_logger().bind(part=1).error("a")
    logging.getLogger("mine").error("b")
    first, second = written()
    assert (first["tenant"], first["part"], second["tenant"]) == ("north", 1, "north")
    assert first["logger"] == __name__


def test_the_level_holds_for_both(written: Written) -> None:
    logging.getLogger("mine").info("a")
    structlog.get_logger().info("b")
    structlog.get_logger().debug("c")
    assert written() == []


def test_names_of_ours_are_not_taken_by_others(written: Written) -> None:
    logging.getLogger("mine").error("a", extra={"time": 1, "level": 2, "service": "x", "error": 3, "_error": 4})
    structlog.get_logger("mine").error("a", logger=1, message="b", traceback=None)
    first, second = written()
    assert [first[key] for key in ("time_", "level_", "service_", "error_", "_error_")] == [1, 2, "x", 3, 4]
    assert (first["level"], second["logger"], second["message"]) == ("ERROR", "mine", "a")
    assert (second["logger_"], second["message_"], second["traceback_"]) == (1, "b", None)


BAD: dict[str, Callable[[Any], None]] = {
    "a number that is none": lambda log: log.error("it %d is", "x"),
    "too few arguments": lambda log: log.error(*("it is %s %s", "x")),
    "an argument that cannot be shown": lambda log: log.error("it is %s", Broken()),
    "a message that cannot be shown": lambda log: log.error(Broken()),
    "a mapping without the key": lambda log: log.error("it is %(a)s", {"b": 1}),
    "an error that cannot be shown": lambda log: log.error("it is", exc_info=ValueError(Broken())),
    "a lone percent": lambda log: log.error("it is 5%", "x"),
    "no text at all": lambda log: log.error({"it is": [1, {2}]}),
    "nothing": lambda log: log.error(None),
    "a lone surrogate": lambda log: log.error("it is \ud800"),
}


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
@pytest.mark.parametrize("maker", [logging.getLogger, structlog.get_logger], ids=["logging", "structlog"])
@pytest.mark.parametrize("bad", BAD)
def test_an_entry_that_cannot_be_formatted_is_written_and_nothing_is_raised(
    bad: str, maker: Callable[[str], Any], as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(as_json=as_json, verbose=False, environ={})
    BAD[bad](maker("mine"))
    text = capsys.readouterr().err
    assert "Logging error" not in text
    assert "hunter22" not in text
    if as_json:
        [line] = text.splitlines()
        assert json.loads(line)["level"] == "ERROR"
    else:
        assert text[9:15] == "error "


@pytest.mark.parametrize("maker", [logging.getLogger, structlog.get_logger], ids=["logging", "structlog"])
def test_an_extra_that_cannot_be_shown_costs_only_itself(maker: Callable[[str], Any], written: Written) -> None:
    circle: dict[str, Any] = {}
    circle["a"] = circle
    more = {"circle": circle, "bad": Broken(), "raw": b"hunter22", "nan": float("nan")}
    if maker is logging.getLogger:
        maker("mine").error("it is", extra=more)
    else:
        maker("mine").error("it is", **more)
    [entry] = written()
    shown = {"circle": {"a": "..."}, "bad": "<Broken that cannot be shown>", "raw": "<8 bytes>", "nan": "nan"}
    assert {key: entry[key] for key in more} == shown


def test_a_stream_that_cannot_be_written_to_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    configure_logs(as_json=True, verbose=False, environ={})
    logging.getLogger("mine").error("a")


def test_a_stream_of_another_encoding_gets_what_it_has_no_letter_for_as_code(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii"))
    configure_logs(as_json=False, verbose=False, environ={})
    logging.getLogger("mine").error("gr\u00fc\u00dfe \ud800")
    assert raw.getvalue()[9:] == b"error   gr\\xfc\\xdfe \\ud800\n"


@pytest.mark.parametrize("way", ["exc_info", "error", "tuple", "exception"])
@pytest.mark.parametrize("maker", [logging.getLogger, structlog.get_logger], ids=["logging", "structlog"])
def test_an_error_has_facts_and_traceback_however_it_is_given(
    way: str, maker: Callable[[str], Any], written: Written
) -> None:
    def fail() -> None:
        raise EvoxError("it broke", why="password=hunter22", place=Place("app.py", 2))

    log = maker("mine")
    try:
        fail()
    except EvoxError as error:
        error.add_note("token=hunter22")
        given: Any = {"exc_info": True, "error": error, "tuple": sys.exc_info()}
        if way == "exception":
            log.exception("it")
        else:
            log.log(logging.ERROR, "it", exc_info=given[way])
    [entry] = written()
    assert entry["error"]["id"] == "EVX-000"
    assert entry["error"]["why"] == "password=***"
    assert "in test_an_error_has" in entry["traceback"]
    assert "hunter22" not in json.dumps(entry)


def test_a_stack_is_shown_where_it_is_asked_for(written: Written) -> None:
    logging.getLogger("mine").error("a", stack_info=True)
    structlog.get_logger("mine").error("a", stack_info=True)
    assert ["test_a_stack_is_shown" in one["stack"] for one in written()] == [True, True]


def test_a_library_that_writes_to_the_terminal_by_itself_goes_the_common_way(
    capsys: pytest.CaptureFixture[str],
) -> None:
    library = logging.getLogger("library.of.its.own")
    library.propagate = False
    file = logging.StreamHandler(io.StringIO())
    library.handlers = [logging.StreamHandler(sys.stderr), logging.StreamHandler(sys.stdout), file]
    configure_logs(as_json=True, verbose=False, environ={})
    library.error("password=%s", "hunter22")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["message"] == "password=***"
    assert library.handlers == [file]


def test_what_evox_logs_is_written_though_user_code_has_set_logging_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """``logging.config`` disables by default whatever has a name by then: errors of endpoints were told nowhere."""
    ours, other = logging.getLogger("evox.requests"), logging.getLogger("evoxlike")
    for logger in (ours, other):
        monkeypatch.setattr(logger, "disabled", True)
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    configure_logs(as_json=True, verbose=False, environ={})
    ours.error("GET /x failed")
    other.error("not wanted")
    assert [json.loads(line)["message"] for line in out.getvalue().splitlines()] == ["GET /x failed"]


def test_warnings_are_logged(written: Written) -> None:
    warnings.resetwarnings()
    warnings.warn("password=hunter22", stacklevel=1)
    [entry] = written()
    assert entry["logger"] == "py.warnings"
    assert "password=***" in entry["message"]


@pytest.mark.parametrize(
    ("terminal", "environ", "coloured"), [(True, {}, True), (True, {"NO_COLOR": "1"}, False), (False, {}, False)]
)
def test_colours_are_for_terminals_whose_user_does_not_refuse_them(
    terminal: bool, environ: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    configure_logs(as_json=False, verbose=False, environ=environ)
    logging.getLogger("mine").error("a")
    assert ("\x1b[31m" in out.getvalue()) is coloured


def test_for_people_what_is_bound_stands_behind_the_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(as_json=False, verbose=False, environ={})
    structlog.get_logger("mine").error("a\nb", n=1, name="x y", deep={"a": [1]}, empty="")
    text = capsys.readouterr().err
    assert text[9:] == 'error   a n=1 name="x y" deep="{\\"a\\": [1]}" empty=""\nb\n'


def test_what_a_client_sends_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(as_json=False, verbose=False, environ={})
    logging.getLogger("mine").error("a\x1b[2Jb\r\x07", extra={"name_": "\x1b[2J"})
    text = capsys.readouterr().err
    assert "a\\x1b[2Jb\\x0d\\x07" in text
    assert text.isprintable() or text.rstrip("\n").isprintable()


def test_no_name_or_value_and_no_control_of_eight_bits_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(as_json=False, verbose=False, environ={})
    logging.getLogger("mine").error("a\x9b2Jb", extra={"k\x1b[2J\nforged": 1, "bell": "v\x07\x9b2J"})
    text = capsys.readouterr().err
    assert text[9:] == "error   a\\x9b2Jb k\\x1b[2J\\nforged=1 bell=v\\x07\\x9b2J\n"


def test_importing_and_embedding_evox_changes_nothing_of_logging() -> None:
    code = """
import logging, sys, warnings
import structlog
from evox import ServiceBuilder
import evox.core, evox.orchestrator, evox.orchestrator.logs, evox.testing
svc = ServiceBuilder("a")
svc.app
assert logging.getLogger().handlers == [] and logging.getLogger().level == logging.WARNING
assert logging.raiseExceptions and warnings.showwarning.__module__ == "warnings"
assert not structlog.is_configured()
ours = [name for name in logging.root.manager.loggerDict if name.startswith("evox")]
assert ours and not any(logging.getLogger(name).handlers for name in ours)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_others_send_elsewhere_by_the_root_logger_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers of services that collect errors hang there, and lost them."""
    sent, printed = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", printed)
    elsewhere, terminal = logging.StreamHandler(sent), logging.StreamHandler(printed)
    logging.root.handlers = [elsewhere, terminal]
    configure_logs(as_json=True, verbose=False, environ={})
    logging.getLogger("shop").error("it is out")
    assert sent.getvalue() == "it is out\n"
    assert [json.loads(line)["message"] for line in printed.getvalue().splitlines()] == ["it is out"]
    configure_logs(as_json=False, verbose=False, environ={})
    assert (elsewhere in logging.root.handlers, len(logging.root.handlers)) == (True, 2)
