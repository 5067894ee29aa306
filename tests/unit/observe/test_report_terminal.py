"""Terminal: what is written is compared with golden files, fits the screen and moves no cursor."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.observe.reports import NOW, call, incident, report, sent, service

from evox.observe.report import Report, Seen, table

GOLDEN = Path(__file__).with_name("golden")
WRONG = {"level": "fail", "service": "shop", "what": "check db", "why": "connection refused", "since": NOW - 130}
WORTH = {"level": "warn", "service": "", "what": "calls of level low wait", "why": "the first of 2 waits since 1.4 s"}
REFUSED = {"when": NOW - 5, "target": "/buy", "status": 401, "reason": "no token"}
LOGGED = {"logger": "shop", "service": "shop", "message": "payment failed", "first": NOW - 60, "last": NOW - 6}


def red() -> Report:
    shop = service(
        level="fail",
        ready=False,
        checks={"db": {"status": "fail", "why": "connection refused"}},
        depends_on=["stock", "billing"],
        auth=service()["auth"] | {"recent": [REFUSED], "warnings": ["a key is used that is made for development"]},
    )
    return report(
        sent(
            shop,
            service("stock", since=NOW - 30, docs=None),
            level="fail",
            findings=[WRONG | {"fix": "mend what it checks; readiness is 503 until then"}, WORTH],
            incidents=[incident(until=NOW - 60), incident(kind="task", subject="sweep", until=NOW - 30, count=1)],
            recent=[{"level": "ERROR", "error": "OSError", "reason": "disk full", "count": 3, **LOGGED}],
            proxy={
                "internal": 40,
                "external": 2,
                "registry": {"announced": [{"service": "shop", "url": "http://10.0.0.1:8001"}], "known": ["billing"]},
                "lines": [
                    {"service": "billing", "kind": "remote", "calls": 2, "failed": 2, "retries": 1}
                    | {"breaker": {"state": "open", "why": "2 of 2 calls failed"}}
                ],
            },
        ),
        unseen=(Seen("pid 99: mail", error="it gave no answer within 2 s"),),
        time=NOW + 1,
    )


REPORTS: dict[str, Callable[[], Report]] = {
    "green": lambda: report(sent(service(), level="pass")),
    "yellow": lambda: report(sent(service(), level="warn", findings=[WORTH | {"fix": "raise the seats"}])),
    "red": red,
    "workers": lambda: report(sent(service()), sent(service(), process={"instance": "a2", "pid": 4712})),
    "empty": lambda: report(sent(calls=[], queues=[])),
    "nothing": report,
}


@pytest.mark.parametrize("name", REPORTS)
def test_O3_a_report_in_the_terminal_is_what_its_golden_file_shows(name: str) -> None:
    file = GOLDEN / f"health_{name}.txt"
    assert table(REPORTS[name]()) == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_longer_than_the_terminal_is_wide(name: str, width: int) -> None:
    assert max(map(len, table(REPORTS[name](), width=width).splitlines())) <= width


def test_colours_are_added_only_where_they_are_wanted_and_say_nothing_that_is_not_there_in_words() -> None:
    coloured = table(red(), colour=True)
    assert "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == table(red())


def test_texts_of_others_move_no_cursor_and_stay_in_their_place() -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\r\n\u202efdp\x00 " + "x" * 5_000
    bad = sent(
        service(evil, state=evil, depends_on=[evil]),
        level="fail",
        findings=[{"level": "fail", "service": evil, "what": evil, "why": evil, "fix": evil}],
        incidents=[incident(service=evil, subject=evil, reason=evil, until=NOW)],
        recent=[{"level": evil, **LOGGED, "message": evil, "error": evil}],
        calls=[call(evil, service=evil)],
    )
    text = table(report(bad, unseen=(Seen(evil, error=evil),)))
    assert all(one.isprintable() for one in text.splitlines())
    assert max(map(len, text.splitlines())) <= 80


def test_ten_thousand_services_end_after_some_rows() -> None:
    many = report(sent(*(service(f"s{number}") for number in range(1_000))))
    assert len(table(many).splitlines()) < 200
    assert "and 960 more" in table(many)
