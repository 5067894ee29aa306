"""Hostile data: whatever a process calls its things, a page shows text of bounded length and runs none of it."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from tests.unit.observe.manager.snapshots import said
from tests.unit.observe.manager.test_service import PATHS, Told, looking

from evox.observe.fields import ITEMS, LARGEST
from evox.observe.forms import Snapshot
from evox.observe.legible import TEXT, legible

MARKUP = "</td></table><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{7*7}}<!--"
ALLOWED = {"class", "scope", "colspan", "id", "role", "hx-get", "hx-trigger", "hx-swap", "aria-label", "data-series"}
ALLOWED |= {"min", "max", "low", "high", "optimum", "value", "open", "href", "rel", "target", "aria-current", "hidden"}
ALLOWED |= {"lang", "charset", "name", "content", "src", "defer", "data-chart", "data-labels", "data-unit"}
ALLOWED |= {"data-silent", "data-failing", "data-unknown", "width", "height", "viewbox", "d", "x", "y", "text-anchor"}
ALLOWED |= {"rx", "stroke-width"}


def everything(text: str, items: int = 1) -> dict[str, Any]:
    """Return an answer with this text in each place that a text can stand."""
    auth = {"mode": text, "asks": True, "keys": [text], "warnings": [text]}
    auth["recent"] = [{"when": 1.0, "target": text, "status": 403, "reason": text}]
    caches = {
        "backends": [{"name": text, "shown": text, "operations": 1, "failures": 1, "available": False, "detail": text}]
    }
    task = {"name": text, "state": text, "last_error": text, "on_error": text}
    intent = {"of": text, "intent": {text: text, "more": [text, {text: text}]}, "backend": text}
    service = {
        "name": text,
        "version": text,
        "state": text,
        "since": 1.0,
        "reason": text,
        "auth": auth,
        "caches": caches,
    }
    service |= {"checks": {text: {"status": text, "why": text}}, "depends_on": [text], "url": text, "docs": text}
    service |= {"background": [task], "intents": [intent], "jobs": {"running": [text]}}
    service |= {"connections": {"complaints": {text: 1}}}
    call = {"service": text, "endpoint": text, "origin": "http", "count": 1, "errors": 1, "statuses": {text: 1}}
    level = {"level": text, "cap": 1, "bound": 1, "in_use": 1, "queued": 1, "rejected": {text: 1}}
    line = {"service": text, "kind": text, "calls": 1, "failed": 1, "retries": 1, "callers": {text: 1}}
    line["breaker"] = {"state": text, "why": text}
    entry = {
        "level": text,
        "logger": text,
        "service": text,
        "message": text,
        "error": text,
        "reason": text,
        "at": [text],
    }
    incident = {
        "service": text,
        "kind": text,
        "subject": text,
        "severity": "fail",
        "reason": text,
        "since": 1,
        "last": 1,
    }
    finding = {"level": "fail", "service": text, "what": text, "why": text, "fix": text, "since": 1.0}
    found = said(
        text,
        services=[service] * items,
        calls=[call] * items,
        queues=[{"name": text, "total": 1, "in_use": 1, "levels": [level]}] * items,
        proxy={"lines": [line] * items, "registry": {"known": [text]}, "peers": {text: {"url": text}}},
        incidents=[incident, incident | {"until": 2.0}] * items,
        recent=[entry | {"first": 1.0, "last": 1.0}] * items,
        findings=[finding] * items,
    )
    found["process"] |= dict.fromkeys(("host", "evox", "python", "loop", "mode", "root", "commit", "lock"), text)
    return found


def tree(text: str) -> dict[str, Any]:
    return {"count": 2, "roots": [{"name": text, "count": 1, "children": [{"name": text, "count": 5, "children": []}]}]}


class Read(HTMLParser):
    """Reads a page as a browser would: which tags and attributes there are."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        self.scripts += tag == "script"

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


async def test_the_places_of_texts_are_all_shown_somewhere() -> None:
    """So the tests below try what they should."""
    async with looking(Told(everything("needle"), tree("needle"))) as client:
        counts = {path: (await client.get(path)).text.count("needle") for path in PATHS}
    assert all(count >= 2 for count in counts.values()), counts


@pytest.mark.parametrize("path", PATHS)
async def test_markup_is_text_wherever_it_stands(path: str) -> None:
    async with looking(Told(everything(MARKUP), tree(MARKUP)), Told(MARKUP)) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    read = Read()
    read.feed(answer.text)
    assert read.scripts == 3
    assert "img" not in read.tags
    assert read.attributes <= ALLOWED, read.attributes - ALLOWED
    assert MARKUP not in answer.text


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", " javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "//evil", "file:///"],
)
async def test_what_is_no_url_of_the_web_is_no_link(url: str) -> None:
    async with looking(Told(everything(url))) as client:
        read = Read()
        read.feed((await client.get("/")).text)
    assert not [link for link in read.links if not link.startswith(("/", "data:,", "#main")) or link.startswith("//")]


async def test_a_link_tells_its_target_nothing() -> None:
    async with looking(Told(everything("https://shop.example"))) as client:
        page = (await client.get("/")).text
    assert '<a href="https://shop.example" rel="noreferrer" target="_blank">' in page


@pytest.mark.parametrize("path", PATHS)
async def test_texts_of_two_megabytes_make_a_page_of_bounded_size(path: str) -> None:
    async with looking(Told(everything("x" * 2_000_000), tree("x" * 2_000_000))) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert len(answer.content) < 150_000
    assert max(map(len, re.findall("x+", answer.text))) <= TEXT


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("unseen", ["\u202e", "\u2066", "\u200b", "\ufeff", "\x00", "\x1b[31m", "\ud800", "\u2028"])
async def test_what_a_reader_would_not_see_is_shown_as_a_mark(path: str, unseen: str) -> None:
    """Half a character in the name of a task was an error of the page itself."""
    text = f"ab{unseen}cd"
    async with looking(Told(everything(text), tree(text))) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert unseen[0] not in answer.text
    assert "ab\ufffd" in answer.text


@pytest.mark.parametrize("text", ["naïve café", "日本語", "עברית", "العربية", "👩\u200d👩\u200d👧", "a\tb\nc"])
def test_what_people_write_is_left_as_it_is(text: str) -> None:
    assert legible(text) == text


@pytest.mark.parametrize("path", PATHS)
async def test_very_many_things_are_bounded(path: str) -> None:
    async with looking(Told(everything("many", items=5), tree("many"))) as client:
        assert (await client.get(path)).status_code == 200
    callers = {str(number): 1 for number in range(50_000)}
    answer = everything("x")
    answer["calls"] *= 3_000
    answer["calls"][0] = answer["calls"][0] | {"statuses": callers}
    answer["proxy"]["lines"][0]["callers"] = callers
    answer["queues"][0]["levels"][0]["rejected"] = callers
    answer["services"][0]["checks"] = {name: {"status": "pass"} for name in callers}
    answer["services"][0]["intents"][0]["intent"] = callers
    read = Snapshot.model_validate(answer)
    assert len(read.calls) == len(read.calls[0].statuses) == len(read.proxy.lines[0].callers) == ITEMS
    assert len(read.queues[0].levels[0].rejected) == len(read.services[0].checks) == ITEMS
    assert len(read.services[0].intents[0].intent) == ITEMS


def test_numbers_that_no_page_can_be_written_with_end_at_their_bounds() -> None:
    """A duration of 1e308 was 300 digits wide, and two of them no number."""
    answer = said(uptime=1e308)
    answer["process"] |= {"pid": 10**400, "started": -1e308}
    process = Snapshot.model_validate(answer).process
    assert (process.pid, process.uptime, process.started) == (LARGEST, LARGEST, -LARGEST)


@pytest.mark.parametrize("path", PATHS)
async def test_the_largest_and_the_smallest_numbers_make_a_page(path: str) -> None:
    for number in (2**63, -(2**63)):
        answer = everything("x")
        for where in ("calls", "incidents", "recent"):
            for one in answer[where]:
                one |= {"count": number, "last": number / 10, "since": -number / 10}
        level = answer["queues"][0]["levels"][0]
        level |= dict.fromkeys(("cap", "bound", "in_use", "queued", "admitted"), number)
        level |= {"oldest": number / 10, "waited": number / 10}
        answer["process"] |= {"pid": number, "uptime": 1e18, "started": -1e18, "workers": number}
        async with looking(Told(answer)) as client:
            assert (await client.get(path)).status_code == 200
