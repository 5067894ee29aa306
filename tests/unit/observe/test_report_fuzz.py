"""Whatever passes the forms can be shown in every form: no member of a snapshot spoils a report."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.unit.observe.reports import NOW, incident, report, sent, service
from tests.unit.observe.test_report_page import read

from evox.observe.report import listing, page, table

ODD: list[Any] = [
    None,
    "",
    "\x00",
    "\ud800",
    "<b>",
    -1,
    10**400,
    1e308,
    -0.0,
    True,
    [],
    {},
    [[]],
    {"a": []},
    [None],
    "x" * 9_999,
]
LOGGED = {"level": "ERROR", "logger": "a", "service": "a", "message": "a", "first": NOW, "last": NOW, "at": ["a.py:1"]}
WHOLE = sent(
    service(
        checks={"db": {"status": "fail", "why": "a"}},
        depends_on=["stock"],
        background=[{"name": "a", "state": "failed", "interval": 1.0, "last_run": NOW, "next_run": NOW}],
        connections={"connections": 1, "total": 2, "complaints": {"a": 1}},
    ),
    proxy={
        "lines": [
            {"service": "b", "kind": "remote", "calls": 1, "failed": 1, "retries": 0, "breaker": {"state": "open"}}
        ],
        "registry": {"announced": [{"service": "a", "url": "http://a"}], "known": ["b"]},
        "peers": {"b": {"url": "http://b", "trust": "internal"}},
    },
    incidents=[incident(), incident(until=NOW)],
    recent=[LOGGED],
    findings=[{"level": "warn", "service": "shop", "what": "a", "since": NOW}],
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every member."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        yield (*path, key)
        yield from paths(inner, (*path, key))


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return the snapshot with another value in one place."""
    made = copy.deepcopy(WHOLE)
    inner: Any = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(paths(WHOLE))), st.sampled_from(ODD))
def test_O3_no_member_of_a_snapshot_spoils_a_report(path: tuple[Any, ...], value: Any) -> None:
    try:
        found = report(changed(path, value))
    except ValidationError:
        return
    read(page(found))
    page(found).encode()
    assert all(one.isprintable() for one in table(found).splitlines())
    json.loads(json.dumps(listing(found)))
