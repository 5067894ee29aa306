"""``evox test``: pytest, with its arguments and its exit codes."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Evox
from tests.support import FEW_PLUGINS, write_files

TESTS = """
import pytest


@pytest.mark.anyio
async def test_async(anyio_backend_name: str) -> None:
    assert anyio_backend_name in ("trio", "asyncio")


def test_plain() -> None: ...
"""
FAILING = "def test_failing() -> None:\n    assert 1 == 2\n"
ROOT = "[tool.evox]\n"


@pytest.fixture(autouse=True)
def few_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pytest begin sooner than with all the plugins that this project's own tests need."""
    for name, value in FEW_PLUGINS.items():
        monkeypatch.setenv(name, value)


def test_the_projects_tests_run_from_wherever_one_is_in_it(evox: Evox, tmp_path: Path) -> None:
    write_files(tmp_path, {"pyproject.toml": ROOT, "tests/test_it.py": TESTS, "deep/er/x.txt": ""})
    done = evox("test", "-q", "-p", "no:cacheprovider", cwd=tmp_path / "deep" / "er")
    assert done.returncode == 0
    assert "3 passed" in done.stdout


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_one_loop_can_be_picked(evox: Evox, tmp_path: Path, backend: str) -> None:
    write_files(tmp_path, {"pyproject.toml": ROOT, "test_it.py": TESTS})
    done = evox("test", "--backend", backend, "-v")
    assert done.returncode == 0
    assert f"test_async[{backend}" in done.stdout
    assert "2 passed, 1 deselected" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"), [((), 1), (("empty",), 5), (("--no-such-option",), 4), (("-k", "nothing"), 5)], ids=str
)
def test_exit_codes_are_pytests(evox: Evox, tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    write_files(tmp_path, {"pyproject.toml": ROOT, "test_it.py": FAILING, "empty/x.txt": ""})
    assert evox("test", *arguments).returncode == code


def test_json_says_how_many_and_which_failed(evox: Evox, tmp_path: Path) -> None:
    write_files(tmp_path, {"pyproject.toml": ROOT, "test_it.py": TESTS + "\n\n" + FAILING})
    done = evox("test", "--json")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert (said["schema"], said["exit_code"], said["tests"], said["failures"]) == (1, 1, 4, 1)
    assert said["failed"] == ["test_it::test_failing"]
    assert "assert 1 == 2" in done.stderr


def test_pytests_own_help_can_be_asked_for(evox: Evox, tmp_path: Path) -> None:
    assert "--evox-backend" in evox("test", "--", "--help").stdout
    assert "Usage: evox test" in evox("test", "--help").stdout


@pytest.mark.parametrize(("name", "code"), [("SIGKILL", 137), ("SIGINT", 130)])
def test_a_pytest_that_is_killed_is_told_as_a_shell_tells_it(evox: Evox, tmp_path: Path, name: str, code: int) -> None:
    # What broke: minus the signal's number was handed on, which is 247 to the shell and -9 in JSON.
    killing = (
        f"import os, signal\n\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\nos.kill(os.getpid(), signal.{name})\n"
    )
    write_files(tmp_path, {"pyproject.toml": ROOT, "tests/test_it.py": killing})
    done = evox("test", "--json")
    assert (done.returncode, json.loads(done.stdout)["exit_code"]) == (code, code)
