"""``evox bench priority``: the table for people and for machines, the same from the same seed."""

import json
import subprocess
from typing import Any

import pytest
from tests.support import command, environment

SHORT = ("--seconds", "1", "--seeds", "1", "--load", "2")


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command("bench", "priority", *arguments),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=19,
        check=False,
    )


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


def test_the_same_seed_gives_the_same_table_and_another_one_another() -> None:
    first = document("--seed", "7")["table"]
    assert document("--seed", "7")["table"] == first
    assert document("--seed", "8")["table"] != first


@pytest.mark.parametrize("wrong", [("--seconds", "0"), ("--seeds", "0"), ("--load", "-1"), ("--seconds", "nan")])
def test_a_number_that_does_not_fit_is_a_usage_error(wrong: tuple[str, str]) -> None:
    done = bench(*wrong)
    assert done.returncode == 2
    assert wrong[0] in done.stderr
