"""``make bench`` installs what the group says, with any pip."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def printed(name: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, str(ROOT / "tools" / "group.py"), name]
    return subprocess.run(line, capture_output=True, text=True, timeout=15, check=False)


def test_a_group_is_printed_as_requirements_each_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = printed("bench").stdout.splitlines()
    assert lines == project["dependency-groups"]["bench"]
    assert all("==" in line for line in lines)


def test_a_group_that_is_not_there_fails() -> None:
    done = printed("no-such-group")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no-such-group" in done.stderr
