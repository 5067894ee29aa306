"""All commands have one form: examples in their help, ``--json`` and ``--trace``, and help that needs nothing heavy."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncclick as click
import pytest
from asyncclick.testing import CliRunner
from tests.support import environment, write_files

from evox.cli.entry import group


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    ctx = click.Context(command)
    for name in command.list_commands(ctx):
        below = command.get_command(ctx, name)
        assert below is not None
        yield from leaves(below, (*path, name))


LEAVES = dict(leaves(group))


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_C1_every_command_has_json_and_trace(path: tuple[str, ...]) -> None:
    options = {name for one in LEAVES[path].params for name in one.opts}
    assert "--json" in options
    assert "--trace" in options or path[0] == "bench"


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
async def test_C1_help_has_examples_and_fits_a_terminal(path: tuple[str, ...]) -> None:
    done = await CliRunner().invoke(group, [*path, "--help"], prog_name="evox")
    assert done.exit_code == 0
    assert "Examples:" in done.output or path[0] == "bench"
    assert max(map(len, done.output.splitlines())) <= 100


def test_C1_help_of_no_command_imports_what_only_its_work_needs() -> None:
    script = (
        "import asyncclick as click, sys\n"
        "from evox.cli.entry import group\n"
        "def walk(command):\n"
        "    if isinstance(command, click.Group):\n"
        "        for name in command.list_commands(click.Context(command)):\n"
        "            walk(command.get_command(click.Context(command), name))\n"
        "walk(group)\n"
        "heavy = {'fastapi', 'starlette', 'pydantic', 'hypercorn', 'httpx2', 'jinja2', 'trio', 'rich', 'structlog'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=15, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("redirected", "code", "said"),
    [
        (">/dev/full", 1, "error: standard output cannot be written: No space left on device\n"),
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        (">&- 2>&- <&-", 0, ""),
        ("| true; exit 0", 0, ""),
    ],
)
def test_what_cannot_be_written_is_one_line_and_no_traceback(
    tmp_path: Path, redirected: str, code: int, said: str
) -> None:
    """What broke: a closed standard output or error ended commands with an AttributeError, or without a word."""
    write_files(tmp_path, {"shop.py": 'from evox import service\n\nsvc = service("shop")\n'})
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m evox routes {redirected}"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, said)


def test_ctrl_c_while_the_command_line_itself_is_imported_is_130_and_no_traceback() -> None:
    # What broke: a tenth of a second after the start, or much more from a cold disk, it was Python's own traceback.
    script = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "asyncclick":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())

from evox.cli import main

sys.exit(main(["routes"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=15, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("arguments", [("token", "--json"), ("completion", "bash", "--json")], ids=" ".join)
def test_json_has_the_number_of_its_form(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evox", *arguments],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert json.loads(done.stdout)["schema"] == 1
