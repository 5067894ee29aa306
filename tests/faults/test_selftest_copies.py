"""``evox health --test`` of a copy of Evox in which one line is wrong: the command says so, and ends with 1."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support import LIVENESS, command, environment, write_files

import evox

SHOP = """
from evox import auth, service

svc = service("shop").port(0)


@svc.get("/orders/{order_id}")
@auth.require_roles("clerk")
async def read_order(order_id: int) -> str:
    raise AssertionError("a handler was called")
"""


@dataclass(frozen=True)
class Slip:
    """One line that is wrong.

    Attributes:
        file: Below ``src/evox``.
        right: What stands there, once.
        wrong: What stands there in the copy.
        group: The group that is run.
        found_by: Checks that have to fail, among others.
    """

    file: str
    right: str
    wrong: str
    group: str
    found_by: tuple[str, ...]


SLIPS = {
    "levels upside down": Slip(
        "scheduling/scheduler.py",
        "        for line in self._lines:\n            if line.waiting and line.in_use < line.cap:",
        "        for line in reversed(self._lines):\n            if line.waiting and line.in_use < line.cap:",
        "framework",
        (
            "priority: a HIGH waiting behind 200 LOW is next",
            "priority: a level never goes before a higher one that could run",
            "priority: requests are admitted by level",
        ),
    ),
    "one seat too many": Slip(
        "scheduling/scheduler.py",
        "        if self._in_use < self._total and line.in_use < line.cap:",
        "        if self._in_use < self._total and line.in_use <= line.cap:",
        "framework",
        ("priority: no level has more seats than its cap",),
    ),
    "the last one first": Slip(
        "scheduling/scheduler.py",
        "line.waiting.popitem(last=False)",
        "line.waiting.popitem()",
        "framework",
        ("priority: who came first in a level goes first",),
    ),
    "tokens that are over": Slip(
        "auth/claims.py",
        "    if expires <= now:",
        "    if expires <= 0:",
        "services",
        ("auth: an expired token is refused",),
    ),
    "roles of nobody": Slip(
        "auth/requirements.py",
        "if clause.roles and principal.roles.isdisjoint(clause.roles):",
        "if False:",
        "services",
        ("auth: a token without the roles is 403",),
    ),
    "no old answers": Slip(
        "data/policy.py",
        "    stale = (DEFAULT_MAX_STALE if intent.max_stale is None else intent.max_stale) if falls_back else 0.0",
        "    stale = 0.0",
        "services",
        ("cache: an old answer is served, with its age, while the source is down",),
    ),
    "old answers for ever": Slip(
        "data/policy.py",
        "    stale = (DEFAULT_MAX_STALE if intent.max_stale is None else intent.max_stale) if falls_back else 0.0",
        "    stale = 1e9 if falls_back else 0.0",
        "services",
        ("cache: beyond max_stale the error is passed on",),
    ),
}


def outcome(folder: Path, group: str) -> tuple[int, set[str], set[str]]:
    """Run the command on the copy; return its exit code, the checks that do not hold, and all of them."""
    done = subprocess.run(
        command("health", "--test", group, "--json"),
        cwd=folder / "project",
        env=environment({"PYTHONPATH": str(folder / "copy"), "PYTHONDONTWRITEBYTECODE": "1"}),
        capture_output=True,
        text=True,
        timeout=LIVENESS,
        check=False,
    )
    assert done.stdout, done.stderr
    results = json.loads(done.stdout)["results"]
    assert "a handler was called" not in done.stdout
    return done.returncode, {one["name"] for one in results if not one["ok"]}, {one["name"] for one in results}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with a copy of Evox, and a project beside it."""
    source = Path(evox.__file__).parent
    shutil.copytree(source, tmp_path / "copy" / "evox", ignore=shutil.ignore_patterns("__pycache__"))
    write_files(tmp_path / "project", {"shop.py": SHOP})
    return tmp_path


@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS.keys())
def test_one_wrong_line_is_found_by_the_check_named_for_it(copy: Path, slip: Slip) -> None:
    file = copy / "copy" / "evox" / slip.file
    text = file.read_text(encoding="utf-8")
    assert text.count(slip.right) == 1
    file.write_text(text.replace(slip.right, slip.wrong), encoding="utf-8")
    code, failed, _ = outcome(copy, slip.group)
    assert code == 1
    assert set(slip.found_by) <= failed


def test_the_unchanged_copy_passes(copy: Path) -> None:
    code, failed, every = outcome(copy, "all")
    assert (code, failed) == (0, set())
    assert {name for slip in SLIPS.values() for name in slip.found_by} <= every
