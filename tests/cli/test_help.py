"""The command line itself: help, version, usage errors; quick, and without importing what it does not need."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import command, environment

import evox


def evox_command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_lists_the_commands(tmp_path: Path, arguments: list[str]) -> None:
    result = evox_command(tmp_path, *arguments)
    assert "run" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert result.returncode == (0 if arguments else 2)


def test_help_of_run_lists_its_options(tmp_path: Path) -> None:
    result = evox_command(tmp_path, "run", "--help")
    assert result.returncode == 0
    for option in ("--dev", "--only", "--host", "--port", "--backend", "--gateway", "--json"):
        assert option in result.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["health", "--help"], ["sync", "db", "--help"]], ids=" ".join
)
def test_C1_help_imports_no_fastapi(tmp_path: Path, arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from evox.cli import main\n"
        f"code = main({arguments})\n"
        "heavy = {'fastapi', 'starlette', 'pydantic', 'hypercorn', 'httpx2', 'jinja2', 'trio'} & set(sys.modules)\n"
        "sys.stderr.write(f'{code} {sorted(heavy)}')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert result.stderr == "0 []"


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    result = evox_command(tmp_path, "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert evox.__version__ in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["--fly"],
        ["run", "--fly"],
        ["run", "--port", "99999"],
        ["run", "--port", "http"],
        ["run", "--backend", "gevent"],
        ["run", "--only"],
    ],
)
def test_C1_what_the_command_line_does_not_know_is_a_usage_error(tmp_path: Path, arguments: list[str]) -> None:
    result = evox_command(tmp_path, *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert 1 <= len(result.stderr.splitlines()) <= 25
    assert "Traceback" not in result.stderr


def test_an_installed_script_does_the_same(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("evox")
    result = subprocess.run(
        [str(script), "--version"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert (result.returncode, result.stdout.strip().endswith(evox.__version__)) == (0, True)
