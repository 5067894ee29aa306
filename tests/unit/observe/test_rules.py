"""What a snapshot means, for people: worst first, and nothing where all is well."""

from typing import Any

import pytest

from evox.observe.rules import findings, level_of

PROCESS = {"mode": "production", "workers": 1, "address": "127.0.0.1", "loopback": True, "tls": False}
AUTH = {"mode": "production", "asks": True, "warnings": []}
CACHES = {"backends": [{"name": "memory", "available": True, "failures": 0, "shown": "memory"}], "near": []}


def service(**changes: Any) -> dict[str, Any]:
    made = {"name": "users", "state": "READY", "reason": "", "since": 1.0, "background": [], "caches": CACHES}
    return {**made, "auth": AUTH, **changes}


def snapshot(*services: dict[str, Any], **changes: Any) -> dict[str, Any]:
    proxy = {"registry": None}
    known = {"process": PROCESS, "services": services or [service()], "incidents": [], "queues": [], "proxy": proxy}
    return {**known, **changes}


def only(found: list[dict[str, Any]]) -> dict[str, Any]:
    (one,) = found
    return one


def test_where_all_is_well_there_is_nothing_to_say() -> None:
    assert findings(snapshot()) == []
    assert level_of([]) == "pass"


@pytest.mark.parametrize(
    ("state", "level", "what"),
    [
        ("FAILED", "fail", "it is given up"),
        ("RESTARTING", "fail", "it is restarting"),
        ("STARTING", "fail", "it is starting"),
        ("STOPPED", "fail", "it is stopped"),
        ("DRAINING", "warn", "it is draining"),
    ],
)
def test_a_service_that_does_not_answer_is_red(state: str, level: str, what: str) -> None:
    found = findings(snapshot(service(state=state, reason="ValueError")))
    assert (only(found)["level"], only(found)["what"]) == (level, what)
    assert level_of(found, "users") == level
    assert level_of(found, "orders") == "pass"


def test_what_goes_on_is_found_and_what_is_over_is_not() -> None:
    one = {"service": "users", "kind": "queue", "subject": "low", "severity": "warn", "reason": "it is full"}
    times = {"since": 1.0, "last": 2.0, "count": 7}
    over = one | times | {"until": 3.0}
    found = findings(snapshot(incidents=[one | times | {"until": None}, over]))
    assert only(found)["why"] == "it is full (7 times)"
    assert "priority" in only(found)["fix"]


def test_a_backend_that_does_not_answer_is_red_and_copies_that_are_off_are_yellow() -> None:
    caches = {
        "backends": [{"name": "valkey", "available": False, "failures": 3, "shown": "valkey://cache"}],
        "near": [{"on": False}],
    }
    found = findings(snapshot(service(caches=caches)))
    assert [(one["level"], one["what"]) for one in found] == [
        ("fail", "valkey does not answer"),
        ("warn", "copies in memory are off"),
    ]


def test_memory_of_several_workers_is_yellow() -> None:
    assert only(findings(snapshot(process=PROCESS | {"workers": 2})))["what"] == "data is not shared"


def test_a_background_task_that_was_given_up_is_red() -> None:
    task = {"name": "tidy", "state": "failed", "failures": 6, "last_error": "OSError: full"}
    assert "OSError: full" in only(findings(snapshot(service(background=[task]))))["why"]


def test_a_background_task_that_was_given_up_is_said_once_with_when_it_began_to_fail() -> None:
    task = {"name": "tidy", "state": "failed", "failures": 6, "last_error": "OSError: full"}
    failing = {"service": "users", "kind": "task", "subject": "tidy", "severity": "warn", "reason": "OSError: full"}
    incidents = [failing | {"since": 5.0, "last": 6.0, "count": 6, "until": None}]
    one = only(findings(snapshot(service(background=[task]), incidents=incidents)))
    assert (one["level"], one["since"], one["fix"]) == ("fail", 5.0, "mend it and restart the service")
    tried = task | {"state": "backing off"}
    assert only(findings(snapshot(service(background=[tried]), incidents=incidents)))["level"] == "warn"


@pytest.mark.parametrize(("available", "level"), [(True, "pass"), (False, "warn")])
def test_a_registry_that_does_not_answer_is_yellow(available: bool, level: str) -> None:
    assert level_of(findings(snapshot(proxy={"registry": {"available": available}}))) == level


def test_calls_that_wait_long_are_yellow() -> None:
    level = {"level": "low", "oldest": 2.5, "queued": 3}
    found = findings(snapshot(queues=[{"name": "this process", "levels": [level]}]))
    assert "3 in the queue waits since 2.5 s" in only(found)["why"]


def test_tokens_in_clear_text_and_open_doors_are_yellow_where_others_can_reach_them() -> None:
    far = PROCESS | {"loopback": False, "address": "0.0.0.0"}
    assert only(findings(snapshot(process=far)))["what"] == "tokens can be read on their way"
    assert findings(snapshot(process=far | {"tls": True})) == []
    open_ = service(auth=AUTH | {"asks": False})
    assert only(findings(snapshot(open_, process=far | {"tls": True})))["what"] == "nobody is asked who calls"
    assert findings(snapshot(process=far | {"mode": "development"})) == []


def test_the_worst_stands_first() -> None:
    found = findings(snapshot(service(state="DRAINING"), service(name="orders", state="FAILED")))
    assert [one["level"] for one in found] == ["fail", "warn"]
    assert level_of(found) == "fail"


def test_a_service_that_is_given_up_is_told_of_once() -> None:
    crash = {"service": "users", "kind": "crash", "subject": "users", "severity": "fail", "reason": "OSError: full"}
    known = crash | {"since": 1.0, "last": 2.0, "count": 6, "until": None}
    found = findings(snapshot(service(state="FAILED", reason="OSError"), incidents=[known, known | {"kind": "task"}]))
    assert only(found)["what"] == "it is given up"
