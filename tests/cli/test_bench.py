"""``evox bench``: tables for people and for machines; those of the simulation are the same from the same seed."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.forked import ended

from evox.bench.caching import Crowd, Expiry
from evox.bench.profiling import REQUESTS
from evox.bench.storing import Behind
from evox.cli.bench_data import _unproven
from evox.cli.bench_http import QUESTIONS

HERE = Path(__file__).parent
SHORT = ("--seconds", "1", "--seeds", "1", "--load", "2")


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return ended("bench", "priority", *arguments, cwd=HERE, timeout=19)


def document(*arguments: str) -> Any:
    done = bench(*SHORT, "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_the_table_shows_every_policy_and_level_and_what_an_admission_costs() -> None:
    done = bench(*SHORT)
    assert (done.returncode, done.stderr) == (0, "")
    for wanted in (
        "one FIFO",
        "strict, bound 20",
        "strict, reserve 0/1/1",
        "HIGH ok %",
        "LOW p99",
        "on trio",
        "on asyncio",
    ):
        assert wanted in done.stdout


def test_the_same_seed_gives_the_same_table_in_another_process() -> None:
    first = document("--seed", "7")["table"]
    assert document("--seed", "7")["table"] == first


@pytest.mark.parametrize("wrong", [("--seconds", "0"), ("--seeds", "0"), ("--load", "-1"), ("--seconds", "nan")])
def test_a_number_that_does_not_fit_is_a_usage_error(wrong: tuple[str, str]) -> None:
    done = bench(*wrong)
    assert done.returncode == 2
    assert wrong[0] in done.stderr


def scaled(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return ended("bench", name, "--scale", "0.01", *arguments, cwd=HERE, timeout=60)


@pytest.mark.timeout(60)
def test_data_is_measured_beside_controls_that_fail() -> None:
    done = scaled("data", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert {"reads", "hits", "crowds", "expiry", "writes", "behind"} < set(found)
    crowds = {one["name"]: one for one in found["crowds"]}
    assert (crowds["evox"]["calls"], crowds["naive"]["calls"]) == (1, 500)
    assert "evox" in found["versions"]
    assert found["unproven"] == []


def test_a_run_whose_control_does_not_fail_says_that_it_proves_nothing() -> None:
    crowds = [Crowd("evox", 1, 19, 1), Crowd("naive", 1, 19, 1)]
    behind = [Behind("evox", 30, 50), Behind("naive", 250, 500)]
    assert _unproven(crowds, [Expiry("evox", 3), Expiry("naive", 50)], behind) == ["crowds"]
    assert _unproven([*crowds[:1], Crowd("naive", 500, 20, 500)], [], [*behind[:1], Behind("naive", 20, 40)]) == [
        "staleness"
    ]


@pytest.mark.timeout(60)
def test_data_is_shown_as_tables() -> None:
    done = scaled("data")
    assert (done.returncode, done.stderr) == (0, "")
    for title in (
        "a read, in us",
        "hits in %",
        "500 want the same",
        "the loop stands still",
        "SQLite",
        "behind, in ms",
    ):
        assert title in done.stdout


def test_auth_is_measured_on_both_loops_beside_pyjwt_and_its_target_is_told() -> None:
    done = scaled("auth", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert {"evox-framework", "pyjwt", "cryptography"} == set(found["versions"])
    assert [one["algorithm"] for one in found["verify"]] == ["HS256", "ES256", "EdDSA", "RS256"]
    for backend in ("trio", "asyncio"):
        statuses = {one["name"]: one["status"] for one in found["requests"][backend]}
        assert (statuses["a role, a good token"], statuses["a role, a bad signature"]) == (200, 401)
    assert found["target"] == 120


def test_auth_is_shown_as_tables_with_the_target_beside_the_figure() -> None:
    done = scaled("auth")
    assert (done.returncode, done.stderr) == (0, "")
    for wanted in ("PyJWT", "EdDSA", "on trio", "on asyncio", "may add 120", "<= 120", "a role, no token"):
        assert wanted in done.stdout
    (plain, *_) = [line for line in done.stdout.splitlines() if "nothing asks" in line]
    assert plain.split()[-3:] == ["-", "-", "-"]


def test_the_proxy_is_measured_on_both_loops_beside_the_coroutine_and_http() -> None:
    done = scaled("proxy", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    names = ["the coroutine", "proxy, in the process", "httpx2, over HTTP", "proxy, over HTTP"]
    for backend in ("trio", "asyncio"):
        assert [one["name"] for one in found["calls"][backend]] == names
        assert all(one["microseconds"] > 0 for one in found["calls"][backend])
    assert (found["more"], found["faster"]) == (20, 20)


def test_the_proxy_is_shown_as_tables() -> None:
    done = scaled("proxy")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("proxy, in the process") == 2


def test_O4_being_seen_is_measured_on_both_loops_beside_not_being_seen() -> None:
    done = scaled("observe", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    for backend in ("trio", "asyncio"):
        names = [one["name"] for one in document[backend]["seen"]]
        assert names == ["a request, without sockets", "a call within the process"]
        assert all(one["allowed"] >= 3 and one["unseen"] > 0 for one in document[backend]["seen"])
        assert all(0 < one["share"] < 1 for one in document[backend]["looks"])


def test_being_seen_is_shown_as_tables() -> None:
    done = scaled("observe")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("a call within the process") == 2
    assert done.stdout.count("% of a core") == 2


def over_http(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return ended("bench", "http", *arguments, cwd=HERE, timeout=59)


SMALL = ("--seconds", "0.2", "--rounds", "1", "--load", "shipped")


@pytest.mark.timeout(60)
def test_http_is_measured_on_each_loop_and_written_into_a_page(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    done = over_http(*SMALL, "--only", "path-parameter", "--against", "evox", "--json", "--page", str(page))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (question,) = found["questions"]
    assert (question["name"], question["load"]) == ("path-parameter", "shipped")
    names = {one["name"] for one in question["rows"]} | set(found["missing"])
    assert names == {"evox-trio", "evox-asyncio", "evox-uvloop"}
    assert all(one["rate"]["median"] > 0 and one["p99_ms"] > 0 for one in question["rows"])
    assert {"cores", "cpu", "python"} < set(found["machine"])
    assert "| Evox, trio |" in page.read_text(encoding="utf-8")
    assert (tmp_path / "images" / "bench-path-parameter.svg").exists()


@pytest.mark.timeout(60)
def test_every_question_has_an_answer_of_evox_and_is_shown_as_a_table() -> None:
    done = over_http("--seconds", "0.1", "--rounds", "1", "--load", "shipped", "--against", "evox-trio")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in QUESTIONS:
        assert f"({name})" in done.stdout
    assert done.stdout.count("Evox, trio") >= len(QUESTIONS) - 1
    assert "the coroutine" in done.stdout


@pytest.mark.timeout(60)
def test_fastapi_on_hypercorn_is_a_peer_that_is_always_there() -> None:
    done = over_http(*SMALL, "--only", "json", "--against", "fastapi-hypercorn-trio", "--against", "evox-trio")
    assert done.returncode == 0, done.stderr
    assert "FastAPI, hypercorn, trio" in done.stdout


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (("--only", "speed"), "--only"),
        (("--against", "django"), "--against"),
        (("--rounds", "0"), "--rounds"),
        (("--seconds", "nan"), "--seconds"),
        (("--seconds", "inf"), "--seconds"),
        (("--connections", "0"), "--connections"),
        (("--load", "ab"), "--load"),
    ],
)
def test_an_option_of_http_that_means_nothing_is_a_usage_error(wrong: tuple[str, str], named: str) -> None:
    done = over_http(*wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert named in done.stderr


def test_wrk_that_is_not_there_or_has_less_than_its_second_is_a_usage_error(tmp_path: Path) -> None:
    line, environ = ("bench", "http", "--load", "wrk"), {"PATH": str(tmp_path)}
    done = ended(*line, cwd=HERE, env=environ, timeout=19)
    assert (done.returncode, "there is no wrk" in done.stderr) == (2, True)
    (tmp_path / "wrk").write_text("", encoding="utf-8")
    (tmp_path / "wrk").chmod(0o755)
    done = ended(*line, "--seconds", "0.5", cwd=HERE, env=environ, timeout=19)
    assert (done.returncode, "whole seconds" in done.stderr) == (2, True)


@pytest.mark.timeout(60)
def test_a_request_is_told_step_by_step_and_the_steps_are_all_of_it() -> None:
    done = scaled("profile", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    for backend in ("trio", "asyncio"):
        assert [one["name"] for one in found[backend]] == list(REQUESTS)
        for one in found[backend]:
            assert sum(one["steps"].values()) == pytest.approx(one["microseconds"])
            assert min(one["steps"]["read the request"], one["steps"]["admission"]) >= 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system tells nothing of a process's memory")
@pytest.mark.timeout(60)
def test_memory_is_told_of_connections_that_are_held_and_requests_that_are_sent() -> None:
    options = ("--connections", "50", "--requests", "200", "--json")
    done = ended("bench", "memory", *options, cwd=HERE, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    for one in json.loads(done.stdout)["memory"]:
        assert (one["connections"], one["requests"], one["descriptors"]) == (50, 200, 0)


def test_more_connections_than_descriptors_are_a_failure_that_says_so() -> None:
    done = ended("bench", "memory", "--connections", "2000000000", "--requests", "1", cwd=HERE, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "ulimit -n" in done.stderr
