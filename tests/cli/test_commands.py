"""All commands have one form: examples in their help, ``--json`` and ``--trace``, and help that needs nothing heavy."""

import subprocess
import sys
from collections.abc import Iterator

import asyncclick as click
import pytest
from asyncclick.testing import CliRunner
from tests.support import environment

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
