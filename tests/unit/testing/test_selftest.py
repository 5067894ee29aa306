"""Self-tests: how checks are run and bounded, what is told of them, and JUnit."""

import asyncio
import logging
import subprocess
import sys
import textwrap
import time
from typing import Any
from xml.etree import ElementTree as ET

import anyio
import pytest

from evox.config import Loaded, load, settings_of
from evox.errors import BackendUnavailable
from evox.runtime import choose
from evox.testing.selftest import GROUPS, Check, Failed, Project, Result, Skipped, checks_of, junit, run_checks
from evox.testing.selftest.doors import filled
from evox.testing.selftest.virtual import run_in_virtual_time


@pytest.fixture(params=["trio", "asyncio"])
def loop(request: pytest.FixtureRequest) -> Any:
    """Return the loop of the project: both, one after the other."""
    return choose(request.param)


def result_of(run: Any, loop: Any, **options: Any) -> Result:
    [found] = run_checks([Check("framework", "one", run, **options)], loop)
    return found


async def holds() -> str:
    await anyio.lowlevel.checkpoint()
    return "3 ms"


async def fails() -> None:
    raise Failed("200", "401", "see the guard")


async def passes_over() -> None:
    raise Skipped("there is none")


async def breaks() -> None:
    async with anyio.create_task_group():
        raise BackendUnavailable("valkey://me:secret-word@host", "no answer")


async def raises() -> None:
    raise ZeroDivisionError("by zero")


async def hangs() -> None:
    await anyio.sleep(86_400)


def test_what_a_check_measured_is_told_and_how_long_it_took(loop: Any) -> None:
    found = result_of(holds, loop)
    assert (found.ok, found.skipped, found.why) == (True, False, "3 ms")
    assert 0 < found.seconds < 5


def test_a_failure_tells_what_was_seen_what_was_expected_and_what_to_do(loop: Any) -> None:
    found = result_of(fails, loop)
    assert (found.ok, found.why) == (False, "saw 200\nexpected 401\ndo see the guard")


def test_what_is_skipped_is_no_failure_and_says_why(loop: Any) -> None:
    found = result_of(passes_over, loop)
    assert (found.ok, found.skipped, found.why) == (True, True, "there is none")


def test_an_error_of_ours_is_told_with_its_fix_and_without_passwords(loop: Any) -> None:
    why = result_of(breaks, loop).why
    assert why.startswith("saw EVX-701: ")
    assert "secret-word" not in why
    assert "\ndo " in why


def test_any_other_error_is_told_with_its_line(loop: Any) -> None:
    assert result_of(raises, loop).why.startswith(f"saw ZeroDivisionError: by zero, at {__file__}:")


def test_a_check_that_waits_too_long_is_cancelled_and_the_next_one_runs(loop: Any) -> None:
    checks = [Check("framework", "first", hangs, limit=0.05), Check("framework", "second", holds)]
    first, second = run_checks(checks, loop)
    assert (first.ok, second.ok) == (False, True)
    assert "it was not done within 0.05 s" in first.why


def test_virtual_time_passes_at_once_and_a_check_that_never_ends_ends(loop: Any) -> None:
    async def sleeps() -> None:
        began = anyio.current_time()
        await anyio.sleep(86_400)
        assert anyio.current_time() - began == pytest.approx(86_400)

    began = time.monotonic()
    assert result_of(sleeps, loop, virtual=True).ok
    assert "a month of virtual time" in result_of(anyio.sleep_forever, loop, virtual=True).why
    assert time.monotonic() - began < 5


def test_in_virtual_time_tasks_wake_in_the_order_of_their_times(loop: Any) -> None:
    woken: list[float] = []

    async def sleep(seconds: float) -> None:
        await anyio.sleep(seconds)
        woken.append(seconds)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for seconds in (30, 0.001, 3600, 5):
                group.start_soon(sleep, seconds)

    run_in_virtual_time(loop.backend, main)
    assert woken == [0.001, 5, 30, 3600]


def test_each_check_has_a_loop_of_its_own() -> None:
    loops: list[Any] = []

    async def note() -> None:
        loops.append(asyncio.get_running_loop())

    run_checks([Check("framework", "one", note), Check("framework", "two", note)], choose("asyncio"))
    assert loops[0] is not loops[1]


def test_what_checks_provoke_is_not_in_the_log_and_the_log_is_as_before(
    loop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("evox.admission")

    async def warn() -> None:
        log.warning("the queue is full")

    logging.getLogger("evox").setLevel(logging.INFO)
    try:
        run_checks([Check("framework", "one", warn)], loop)
        assert caplog.messages == []
        log.warning("again")
        assert caplog.messages == ["again"]
    finally:
        logging.getLogger("evox").setLevel(logging.NOTSET)


def test_results_are_told_one_by_one(loop: Any) -> None:
    told: list[Result] = []
    found = run_checks([Check("framework", "one", holds), Check("services", "two", fails)], loop, on_result=told.append)
    assert told == found


def test_a_check_that_holds_the_loop_ends_the_process_with_what_is_known() -> None:
    script = """
        from evox.runtime import choose
        from evox.testing.selftest import Check, run_checks

        async def holds():
            pass

        async def blocks():
            while True:
                pass

        def told(results):
            print([(one.name, one.ok) for one in results], results[-1].why, flush=True)
            return 7

        checks = [Check("framework", "first", holds), Check("framework", "second", blocks, limit=-2.5)]
        run_checks(checks, choose("trio"), on_stuck=told)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=15, check=False
    )
    assert done.returncode == 7
    assert done.stdout.startswith("[('first', True), ('second', False)] saw it holds the loop")


def test_junit_has_a_suite_for_each_group_and_a_case_for_each_check() -> None:
    results = [
        Result("framework", "priority: strict", ok=True, seconds=0.25),
        Result("framework", "syntax", ok=True, skipped=True, why="there is none"),
        Result("services", "auth: <401> & more\x00", ok=False, why="saw 200\nexpected 401\ndo look", seconds=1.0),
        Result("services", "cache", ok=True, why="3 ms"),
    ]
    text = junit(results)
    assert text.startswith('<?xml version="1.0" encoding="utf-8"?>\n<testsuites ')
    root = ET.fromstring(text)
    assert (root.get("tests"), root.get("failures"), root.get("skipped"), root.get("time")) == ("4", "1", "1", "1.250")
    assert [one.get("name") for one in root] == ["evox.framework", "evox.services"]
    cases = {str(one.get("name")): one for one in root.iter("testcase")}
    assert cases["priority: strict"].get("time") == "0.250"
    assert cases["syntax"].find("skipped").get("message") == "there is none"  # type: ignore[union-attr]
    failure = cases["auth: <401> & more\N{REPLACEMENT CHARACTER}"].find("failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("saw 200", "saw 200\nexpected 401\ndo look")
    assert cases["cache"].findtext("system-out") == "3 ms"


def test_junit_of_nothing_is_still_a_document() -> None:
    assert ET.fromstring(junit([])).get("tests") == "0"


def test_settings_for_trying_things_name_nothing_outside_of_the_process(tmp_path: Any) -> None:
    said = {
        "services": ["a.py"],
        "host": "0.0.0.0",
        "port": 9000,
        "workers": 4,
        "priority": {"total": 7, "queue": {"low": 3}},
        "serving": {"certfile": "cert.pem", "keep_alive": 3},
        "data": {
            "backend": "postgresql://host/db",
            "database": "postgresql://host/db",
            "services": {"shop": "valkey://host:6379/0"},
            "intents": {"basket": {"backend": "sqlite:///b.db", "ttl": "1h", "consistency": "strong"}},
            "throttle": 5,
        },
        "auth": {"keys": ["env:KEY"], "algorithms": ["ES256"], "issuer": "me", "audience": "you", "leeway": 1},
        "proxy": {"registry": "valkey://host:6379/0", "timeout": 3, "dns": "https://{service}.x"},
        "peers": {"a": "https://a.example"},
        "observe": {"tokens": ["env:T"]},
        "config": {"own": {"x": 1}},
    }
    project = Project(Loaded(settings_of(said, "a test"), tmp_path), (), choose("trio"))
    apart = project.apart().settings
    assert (apart.services, apart.host, apart.port, apart.workers, apart.peers) == ((), "127.0.0.1", 8000, 1, {})
    assert (apart.priority.total, apart.priority.queue.low, apart.serving.keep_alive) == (7, 3, 3)
    assert (apart.data.backend, apart.data.database, apart.data.services) == ("memory", None, {})
    basket = apart.data.intents["basket"]
    assert (basket.backend, basket.ttl, basket.consistency, apart.data.throttle) == (None, 3600, "strong", 5)
    assert (apart.auth.keys, apart.auth.algorithms, apart.auth.issuer, apart.auth.leeway) == ((), (), "me", 1)
    assert (apart.proxy.registry, apart.proxy.dns, apart.proxy.timeout) == (None, None, 3)
    assert apart.serving.certfile is None
    assert apart.config == {"own": {"x": 1}}


def test_all_groups_together_are_every_check(tmp_path: Any) -> None:
    project = Project(load(tmp_path, environ={}), (), choose("trio"))
    each = [one.name for group in GROUPS for one in checks_of(group, project)]
    assert [one.name for one in checks_of("all", project)] == each
    assert len(set(each)) == len(each)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/items", "/items"),
        ("/items/{item_id}", "/items/selftest-1"),
        ("/a/{x:int}/b/{y:path}", "/a/1/b/selftest-1"),
        ("/{one:uuid}.json", "/00000000-0000-4000-8000-000000000001.json"),
    ],
)
def test_placeholders_of_a_path_are_filled_as_their_converters_want_it(path: str, expected: str) -> None:
    assert filled(path) == expected
