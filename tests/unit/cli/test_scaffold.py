"""Parts of what makes new files: templates, the census of a project's code, and git."""

import ast
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Literal

import pytest
from tests.support import write_files

from evox.cli.scaffold.census import take_census
from evox.cli.scaffold.making import PROJECT, make_project, make_service
from evox.cli.scaffold.naming import LONGEST
from evox.cli.scaffold.repository import start_repository
from evox.cli.scaffold.templates import LINE, call
from evox.orchestrator import discovery
from evox.searched import SKIPPED

NAMES = [
    "a",
    "users",
    "order-items",
    "user_svc",
    "users2",
    "exceptions",
    "base-models",
    "services",
    *(f"{'international-shipping-addresses'[:length]}s" for length in range(20, 32, 2)),
    "u" * LONGEST,
    "x" * (LONGEST - 2) + "ys",
]
TEMPLATES = {"service.py", "test_service.py", *PROJECT.values()}


def test_the_templates_are_data_of_the_package() -> None:
    folder = files("evox.cli.scaffold").joinpath("templates")
    assert {one.name for one in folder.iterdir()} == {f"{name}.j2" for name in TEMPLATES}


def test_a_line_that_is_too_long_is_broken_as_ruff_breaks_it(tmp_path: Path) -> None:
    names = ["x" * length for length in range(1, LINE)]
    defined = [f"{call(f'async def f{name}', [f'a{name}'], ' -> int:')}\n    return 1\n" for name in names]
    defined += [f"{call(f'async def f{name}', [f'a{name}', f'b{name}'], ' -> int:')}\n    return 1\n" for name in names]
    text = "\n\n".join(defined)
    ast.parse(text)
    (tmp_path / "long.py").write_text(text, encoding="utf-8")
    line = [sys.executable, "-m", "ruff", "format", "--isolated", f"--line-length={LINE}", "--diff", "long.py"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=15)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("syntax", ["function", "class", "both"])
def test_C3_what_is_made_passes_ruff_whatever_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: Literal["function", "class", "both"]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_project("shop", git=False)
    monkeypatch.chdir(tmp_path / "shop")
    ports = [make_service(name, syntax=syntax, backend="trio").port for name in NAMES]
    assert ports == list(range(8001, 8001 + len(NAMES)))
    for line in (["check"], ["format", "--check", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *line, "--no-cache", "."]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False, timeout=15)
        assert done.returncode == 0, done.stdout + done.stderr


def test_C3_a_project_needs_no_service_to_pass_ruff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_project("shop", git=False)
    for line in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *line, "--no-cache", "shop"]
        assert subprocess.run(ruff, capture_output=True, check=False, timeout=15).returncode == 0


def test_the_census_finds_names_and_ports_without_importing_anything(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "users/service.py": 'from evox import service\n1 / 0\nsvc = service("users").port(8001).build()\n',
            "b.py": 'import evox\nsvc = evox.ServiceBuilder("order-items")\nsvc.port(number=8002)\n',
            "c.py": 'from evox import Service\nsvc = Service.from_fastapi(app, name="legacy")\n',
            "plain.py": 'server.port(9000)\nservice("nothing of ours")\n',
            "broken.py": "from evox import (\n",
            "tests/test_x.py": 'from evox import service\nsvc = service("tested").port(8003)\n',
            ".venv/pyvenv.cfg": "",
            ".venv/x.py": 'from evox import service\nsvc = service("installed").port(8004)\n',
        },
    )
    found = take_census(tmp_path)
    assert found.services == {"users": "users/service.py:3", "order_items": "b.py:2", "legacy": "c.py:2"}
    assert found.ports == {8001, 8002}
    assert (found.free_port(8000), found.free_port(8001), found.free_port(8002)) == (8000, 8003, 8003)


def test_the_census_leaves_out_the_folders_that_discovery_does(tmp_path: Path) -> None:
    for folder in ("users", *SKIPPED):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "it.py").write_text(f'from evox import service\n\nsvc = service("{folder}")\n')
    assert list(discovery._candidates(tmp_path)) == [tmp_path / "users" / "it.py"]
    assert take_census(tmp_path).services == {"users": "users/it.py:3"}


def test_after_the_last_port_comes_the_first_that_anybody_may_use(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.py": 'import evox\nsvc = evox.service("a").port(65535)\n'})
    assert take_census(tmp_path).free_port(65535) == 1024


def test_a_folder_in_no_repository_becomes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))  # as in a hook
    (tmp_path / "new").mkdir()
    assert start_repository(tmp_path / "new") == ""
    assert (tmp_path / "new" / ".git" / "HEAD").is_file()
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_in_a_repository_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "new").mkdir()
    assert start_repository(tmp_path / "new") == ""
    assert not (tmp_path / "new" / ".git").exists()


def test_a_git_that_fails_is_told_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'fatal: no disk' >&2\nexit 128\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert start_repository(tmp_path) == "git init did not work: fatal: no disk"
    program.write_text("no program", encoding="utf-8")
    assert start_repository(tmp_path).startswith("git init did not work: ")
    program.unlink()
    assert start_repository(tmp_path) == "git is not there, so the project is in no repository"
