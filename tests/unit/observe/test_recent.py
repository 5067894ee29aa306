"""The last errors and warnings of the log: grouped, bounded, without secrets, from any thread."""

import logging
import sys
import threading
from collections.abc import Iterator

import pytest

from evox.observe.recent import LONGEST, Listening, Recent


@pytest.fixture
def recent() -> Recent:
    return Recent(most=10)


@pytest.fixture
def log(recent: Recent) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.recent")
    handler = Listening(recent, runtime=None)
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


def test_the_same_line_of_code_is_one_entry_with_its_last_text(recent: Recent, log: logging.Logger) -> None:
    for number in range(10_000):
        log.warning(f"order {number} is odd")  # noqa: G004  as users write it
    (one,) = recent.all()
    assert (one.count, one.message, one.level, one.logger) == (10_000, "order 9999 is odd", "WARNING", "tests.recent")
    assert one.first <= one.last
    assert (recent.total, recent.forgotten) == (10_000, 0)


def test_errors_say_their_type_their_reason_and_the_lines_of_the_user(recent: Recent, log: logging.Logger) -> None:
    log.error("it failed", exc_info=ExceptionGroup("several", [ValueError("no such order"), KeyError("x")]))
    (one,) = recent.all()
    assert (one.error, one.reason) == ("ValueError", "no such order")
    assert one.message == "it failed"
    assert repr(recent) == "<Recent: 1 kinds, 1 in all>"


def test_only_warnings_and_worse_are_noted(recent: Recent, log: logging.Logger) -> None:
    log.info("all is well")
    log.debug("very well")
    assert recent.all() == []


def test_no_more_kinds_are_kept_than_so_many_and_the_latest_is_first(recent: Recent, log: logging.Logger) -> None:
    code = "\n".join(f"log.warning('kind {number}')" for number in range(30))
    exec(compile(code, "many.py", "exec"), {"log": log})  # 30 lines of code
    kept = recent.all()
    assert [one.message for one in kept] == [f"kind {number}" for number in range(29, 19, -1)]
    assert recent.forgotten == 20


def test_texts_are_cut_and_have_no_secrets(recent: Recent, log: logging.Logger) -> None:
    log.error("cannot reach %s", "postgresql://shop:hunter2@db/shop")
    log.error("y" * 100_000)
    texts = [one.message for one in recent.all()]
    assert max(map(len, texts)) == LONGEST
    assert "hunter2" not in "".join(texts)


def test_a_record_that_cannot_be_written_is_no_error_of_who_logged_it(
    recent: Recent, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.error("%d items", "not a number")
    assert recent.all()[0].message == "%d items ['not a number']"


def test_what_structlog_logs_is_noted_as_it_reads(recent: Recent, log: logging.Logger) -> None:
    error = KeyError("lamp")
    record = logging.LogRecord(
        log.name, logging.ERROR, __file__, 1, {"event": "it is out", "exc_info": error}, (), None
    )
    log.handle(record)
    (one,) = recent.all()
    assert (one.message, one.error, one.reason) == ("it is out", "KeyError", "'lamp'")


def test_threads_may_log_while_somebody_looks(recent: Recent, log: logging.Logger) -> None:
    def shout(name: str) -> None:
        for number in range(500):
            log.error("%s %d", name, number, exc_info=ValueError(f"{name} {number}"))

    threads = [threading.Thread(target=shout, args=(str(one),)) for one in range(4)]
    for one in threads:
        one.start()
    while any(one.is_alive() for one in threads):
        recent.all()
    assert recent.total == 2_000


class Talking:
    """Something that logs when it is written."""

    def __str__(self) -> str:
        logging.getLogger("tests.recent").warning("I am written")
        return "talking"


@pytest.mark.timeout(10)
def test_what_logs_while_it_is_noted_holds_up_nothing(recent: Recent, log: logging.Logger) -> None:
    log.warning("it is %s", Talking())
    assert {one.message for one in recent.all()} == {"it is talking", "I am written"}


@pytest.mark.timeout(10)
def test_what_is_collected_while_a_record_is_noted_may_log(recent: Recent, log: logging.Logger) -> None:
    with recent._lock:  # as it is while an entry is kept, in which anything may be collected
        log.warning("never closed")
    assert [one.message for one in recent.all()] == ["never closed"]


class Mute(Exception):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_what_cannot_be_shown_is_noted_all_the_same(recent: Recent) -> None:
    failed = {"levelno": logging.ERROR, "levelname": "ERROR"}
    recent.note(logging.makeLogRecord(failed | {"msg": "it failed", "exc_info": (Mute, Mute(), None)}))
    recent.note(logging.makeLogRecord(failed | {"msg": Mute()}))
    assert [(one.message, one.error, one.reason) for one in recent.all()] == [
        ("<Mute that cannot be shown>", "", ""),
        ("it failed", "Mute", "it cannot be shown: its own __str__ fails"),
    ]


def test_half_a_character_is_replaced(recent: Recent, log: logging.Logger) -> None:
    log.warning("no such file: %s", "caf\udce9.txt")  # as os.listdir() gives it
    assert [one.message for one in recent.all()] == ["no such file: caf?.txt"]


def test_errors_of_two_lines_are_two_kinds_whoever_logs_them(recent: Recent, log: logging.Logger) -> None:
    for raising in ("raise ValueError('of orders')", "\nraise ValueError('of users')"):
        try:
            exec(compile(raising, "mine.py", "exec"))
        except ValueError:
            failed = sys.exc_info()
        recent.note(logging.makeLogRecord({"msg": "a request failed", "levelname": "ERROR", "exc_info": failed}))
    assert [one.reason for one in recent.all()] == ["of users", "of orders"]


def test_arguments_are_known_by_type_and_name_before_they_are_a_text(recent: Recent, log: logging.Logger) -> None:
    log.warning("read %s", b"hunter2 in bytes")
    log.warning("it is %(password)s", {"password": "hunter2"})
    log.warning({"password": "hunter2"})
    logging.getLogger("tests.recent.token=hunter2").warning("a name")
    assert [one.message for one in recent.all()] == ["a name", "{'password': ***}", "it is ***", "read <16 bytes>"]
    assert "hunter2" not in repr(recent.all())
