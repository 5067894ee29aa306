"""Dependencies: what is there is ready or answers, what is not says why, and what nobody knows is unknown."""

from typing import Any

import pytest
from tests.unit.observe.reports import report, sent, service

from evox.observe.report import listing
from evox.observe.report.dependencies import Dependency, dependencies


def line(name: str, state: str = "closed", *, failed: int = 0) -> dict[str, Any]:
    return {
        "service": name,
        "kind": "remote",
        "calls": 4,
        "failed": failed,
        "retries": 0,
        "breaker": {"state": state, "why": "it refuses us" if state == "open" else ""},
    }


def of_shop(*others: dict[str, Any], **changes: Any) -> Dependency:
    """Return how a service on which the shop depends is, in a process and in others."""
    shop = service("shop", depends_on=["stock"], caches=None)
    [found] = dependencies(report(sent(shop, **changes), *others))
    return found


def other(state: str) -> dict[str, Any]:
    return sent(service("stock", state=state, caches=None), process={"instance": state, "pid": 2})


@pytest.mark.parametrize(
    ("others", "level", "why"),
    [
        ([other("READY")], "pass", "it is ready"),
        ([other("READY"), other("READY")], "pass", "it is ready in 2 processes"),
        ([other("DRAINING"), other("READY")], "pass", "it is ready"),
        ([other("FAILED")], "fail", "it is failed"),
        ([], "unknown", "it is in no process that was seen, and was not called yet"),
    ],
)
def test_a_service_is_there_when_a_process_that_was_seen_has_it_ready(
    others: list[dict[str, Any]], level: str, why: str
) -> None:
    assert of_shop(*others) == Dependency("shop", "service", "stock", level, why)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("calls", "level", "why"),
    [
        (line("stock", failed=1), "pass", "1 of 4 calls to it failed"),
        (line("stock", failed=4), "warn", "4 of 4 calls to it failed"),
        (line("stock", "open"), "warn", "calls to it are stopped: it refuses us"),
        (line("stock", "half_open"), "warn", "calls to it are stopped: half_open"),
    ],
)
def test_a_service_that_was_not_seen_is_known_by_how_calls_to_it_go(
    calls: dict[str, Any], level: str, why: str
) -> None:
    found = of_shop(proxy={"lines": [calls]})
    assert (found.level, found.why) == (level, why)


def test_peers_the_registry_backends_and_checks_are_looked_at_too_and_what_is_missing_stands_first() -> None:
    down = {"name": "valkey", "shown": "valkey://cache", "operations": 9, "failures": 3, "available": False}
    checks = {"db": {"status": "pass"}, "disk": {"status": "fail", "why": "it is full"}}
    shop = service("shop", checks=checks, caches={"backends": [down]})
    proxy = {"peers": {"mail": {"url": "https://mail"}}, "registry": {"available": False}, "lines": [line("geo")]}
    found = dependencies(report(sent(shop, proxy=proxy)))
    assert [(one.kind, one.on, one.level) for one in found] == [
        ("check", "disk", "fail"),
        ("backend", "valkey://cache", "fail"),
        ("registry", "proxy.registry", "warn"),
        ("peer", "mail", "unknown"),
        ("check", "db", "pass"),
        ("service", "geo", "pass"),
    ]


def test_dependencies_colour_nothing_by_themselves() -> None:
    found = report(sent(service("shop", depends_on=["stock"])))
    assert found.level == "pass"
    assert listing(found)["level"] == "pass"


def test_O3_the_listing_for_programs_has_a_schema_and_what_each_process_said() -> None:
    said = listing(report(sent(service("shop", depends_on=["stock"]))))
    assert set(said) == {"schema", "level", "time", "processes", "dependencies"}
    assert said["schema"] == said["processes"][0]["snapshot"]["schema"] == 1
    assert said["processes"][0]["error"] is None
    assert {one["on"]: one["level"] for one in said["dependencies"]} == {"stock": "unknown", "memory": "pass"}
