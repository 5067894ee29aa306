"""Page: whatever processes say, it is one well-formed file without script, that leads nowhere but to their docs."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from tests.unit.observe.reports import NOW, call, incident, queue, report, sent, service

from evox.observe.report import Report, Seen, page

VOID = frozenset({"meta"})
TAGS = frozenset(
    re.findall(
        r"\w+",
        "html head meta title style body a header p h1 h2 h3 span nav ul li main section dl dt dd div table thead "
        "tbody tr th td bdi small code footer svg circle path rect",
    )
)
ATTRIBUTES = frozenset(
    re.findall(
        r"[\w-]+",
        "lang charset name content http-equiv class href id rel scope role aria-label aria-labelledby aria-hidden "
        "viewbox width height x y cx cy r d",
    )
)
EVILS = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</style></title></textarea><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "<!--",
    "\u202edesrever\x00\x1b[2J",
)


class Reading(HTMLParser):
    """Reads a page, and fails at a tag that is not closed in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.comments = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        self.comments += 1

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data


def read(html: str) -> Reading:
    """Read a page, and check what must be so of every one."""
    found = Reading()
    found.feed(html)
    found.close()
    assert found.open == []
    assert found.comments == 0
    assert found.seen <= TAGS
    assert {name for name, _ in found.attributes} <= ATTRIBUTES
    assert "<script" not in html.lower()
    assert "url(" not in html
    assert "@import" not in html
    leading = [(name, value) for name, value in found.attributes if "://" in value or "javascript" in value.lower()]
    assert {name for name, _ in leading if not name.startswith("aria-")} <= {"href"}
    links = [value for name, value in found.attributes if name == "href" and not value.startswith("#")]
    assert all(re.fullmatch(r"https?://[^\s@]+", value) for value in links)
    targets = {value for name, value in found.attributes if name == "id"}
    assert {value[1:] for name, value in found.attributes if name == "href" and value.startswith("#")} <= targets
    return found


def everything(evil: str) -> dict[str, Any]:
    """Return what a process sends whose every text is this one."""
    texts = {"name": evil, "shown": evil, "detail": evil}
    breaker = {"state": evil, "why": evil}
    return sent(
        service(
            evil,
            version=evil,
            state=evil,
            reason=evil,
            url=evil,
            docs=evil,
            checks={evil: {"status": evil, "why": evil}},
            depends_on=[evil],
            background=[{"name": evil, "state": evil, "last_error": evil, "on_error": evil}],
            caches={"backends": [texts | {"operations": 1, "failures": 1, "available": False}]},
            auth={"mode": evil, "asks": True, "keys": [evil], "warnings": [evil]}
            | {"recent": [{"when": NOW, "target": evil, "status": 401, "reason": evil}]},
            intents=[{"of": evil, "intent": {evil: evil}, "backend": evil}],
        ),
        calls=[call(evil, service=evil, statuses={evil: 1})],
        queues=[{"name": evil, "total": 1, "in_use": 1, "levels": [queue(level=evil, rejected={evil: 1})]}],
        proxy={
            "lines": [
                {"service": evil, "kind": kind, "calls": 1, "failed": 1, "retries": 1, "callers": {evil: 1}}
                | {"breaker": breaker}
                for kind in ("remote", evil)
            ],
            "registry": {"announced": [{"service": evil, "url": evil}], "known": [evil], "available": False},
            "peers": {evil: {"url": evil, "trust": evil}},
        },
        incidents=[incident(service=evil, kind=evil, subject=evil, reason=evil, until=NOW), incident(service=evil)],
        recent=[
            {"level": evil, "logger": evil, "service": evil, "message": evil, "error": evil, "reason": evil}
            | {"at": [evil], "first": NOW, "last": NOW}
        ],
        findings=[{"level": "fail", "service": evil, "what": evil, "why": evil, "fix": evil, "since": NOW}],
        process=dict.fromkeys(("instance", "host", "evox", "python", "loop", "mode", "root", "commit", "lock"), evil),
        level="fail",
    )


@pytest.mark.parametrize("evil", EVILS)
def test_O3_no_text_of_a_process_becomes_markup_or_a_link(evil: str) -> None:
    html = page(report(everything(evil), unseen=(Seen(evil, error=evil),)))
    found = read(html)
    assert not any(name == "href" and not value.startswith("#") for name, value in found.attributes)
    assert "49" not in found.text.split("Made by")[0] or "{{" not in evil
    assert not {"\x00", "\x1b", "\u202e"} & set(html)


def test_documentation_is_linked_and_nothing_else_is() -> None:
    html = page(report(sent(service(), service("b", docs="http://me:pw@host/docs", url="http://host"))))
    links = [value for name, value in read(html).attributes if name == "href" and not value.startswith("#")]
    assert links == ["http://127.0.0.1:8001/docs"]
    assert "me:pw" not in html


@pytest.mark.parametrize(
    "docs",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//host/docs",
        "http://",
        "http://a b",
        "http://[",
        "",
    ],
)
def test_what_is_no_address_of_the_web_is_no_link(docs: str) -> None:
    found = read(page(report(sent(service(docs=docs)))))
    assert not any(name == "href" and not value.startswith("#") for name, value in found.attributes)


def test_the_first_thing_said_is_how_all_is_and_what_is_wrong_why_since_when_and_what_to_do() -> None:
    wrong = {"level": "fail", "service": "shop", "what": "check db", "why": "connection refused", "fix": "mend it"}
    text = read(page(report(sent(service(), level="fail", findings=[wrong | {"since": NOW - 120}])))).text
    order = [
        "shop: check db",
        "connection refused",
        "2027-01-15 07:58:00 UTC, 2 min ago",
        "mend it",
        "Services",
    ]
    before, _, after = text.rpartition("What is wrong")
    assert "Red: something does not work" in before
    places = [after.index(one) for one in order]
    assert places == sorted(places)


def test_what_is_over_is_shown_as_recovered_with_its_times() -> None:
    text = read(page(report(sent(service(), incidents=[incident(until=NOW - 60)])))).text
    for said in ("Recovered", "it is down", "2027-01-15 07:55:00 UTC", "2027-01-15 07:59:00 UTC", "4 min"):
        assert said in text
    assert "Nothing is wrong" in text


def test_who_cannot_be_seen_stands_there_with_the_reason() -> None:
    seen = report(sent(service()), unseen=(Seen("pid 7: mail", error="it gave no answer within 2 s"),))
    text = read(page(seen)).text
    assert seen.level == "fail"
    assert "pid 7: mail: it cannot be seen" in text
    assert "it gave no answer within 2 s" in text


def test_status_is_a_word_and_a_form_beside_its_colour() -> None:
    html = page(report(sent(service(level="warn"), service("b", level="fail", url=None, docs=None), service("c"))))
    for level, word in (("pass", "ok"), ("warn", "warning"), ("fail", "failing")):
        assert re.search(rf'<span class="status {level}"><svg class="sign".*?</svg>{word}</span>', html)


def test_a_clock_that_differs_is_named_and_ages_are_told_by_the_clock_of_their_process() -> None:
    text = read(page(report(sent(service()), time=NOW + 3_600))).text
    assert "which is 1 h behind this machine's" in text
    assert "2 h ago" in text
    assert "in 5 min" in read(page(report(sent(service(since=NOW + 300))))).text


HUGE: list[dict[str, Any]] = [
    sent(
        service(since=number, starts=int(number), requests={"requests": int(number)}),
        calls=[call(count=int(number), p95=number, longest=number, buckets=[int(number), -5, 3] + [1] * 500)],
        queues=[
            {"name": "q", "total": 10**30, "in_use": -(10**30), "levels": [queue(oldest=number, waits=[10**300, -1])]}
        ],
        incidents=[incident(since=number, until=-number)],
        process={"time": number, "started": -number, "uptime": number, "pid": 10**40},
    )
    for number in (1e300, -1e300, 0.0, 1e18)
]


@pytest.mark.parametrize("one", HUGE)
def test_no_number_is_too_large_for_a_page(one: dict[str, Any]) -> None:
    html = page(report(one))
    read(html)
    assert not re.search(r"\d{25}", html)
    assert "inf" not in re.findall(r'(?:height|width|x)="([^"]*)"', html)


def test_ten_thousand_texts_of_errors_make_no_long_page() -> None:
    logged = {"level": "ERROR", "logger": "shop", "service": "shop", "first": NOW, "last": NOW}
    recent = [logged | {"message": f"error {number} " + "x" * 5_000} for number in range(10_000)]
    html = page(report(sent(service(), recent=recent)))
    read(html)
    assert "error 99 " in html
    assert "error 100 " not in html
    assert "900 more are left out here" in html
    assert len(html) < 500_000


@pytest.mark.parametrize(
    "found", [report(), report(sent(calls=[], queues=[])), report(sent(service(caches=None, intents=[], docs=None)))]
)
def test_what_is_not_there_needs_no_place(found: Report) -> None:
    read(page(found))


def colours(css: str) -> list[dict[str, str]]:
    """Return the colours of a style sheet, light and dark."""
    screens = css.partition("@media print")[0].split("@media (p")
    return [dict(re.findall(r"--([\w-]+): (#\w{6})", one)) for one in screens]


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_on_its_ground_in_both_schemes(scheme: int) -> None:
    of = colours(page(report()))[scheme]
    grounds = {
        "text": ("ground", "sheet", "warn-ground", "fail-ground"),
        "quiet": ("ground", "warn-ground", "fail-ground"),
    }
    grounds |= {"pass": ("ground", "pass-ground"), "warn": ("ground", "warn-ground"), "fail": ("ground", "fail-ground")}
    for name, under in (grounds | {"link": ("ground",), "unknown": ("ground",)}).items():
        for ground in under:
            high, low = sorted((luminance(of[name]), luminance(of[ground])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)


def test_the_page_reads_in_order_and_can_be_walked_by_keyboard() -> None:
    html = page(report(sent(service())))
    assert html.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert html.index('<a class="skip" href="#content">') < html.index("<header>")
    levels = [int(level) for level in re.findall(r"<h(\d)", html)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert html.count("<table>") == html.count("<thead>") > 3
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 40rem"):
        assert rule in html
