"""The reference is what the code says today: each page is written anew and compared."""

import subprocess
import sys
from typing import Final

import pytest
from tests.docs.pages import ROOT, headings
from tools.reference import FOLDER, PAGES

import evox
from evox.cli.entry import COMMANDS
from evox.services.observing import VIEWS, view_path

AGAIN: Final = "run `make reference`"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), AGAIN


def test_the_reference_has_no_page_that_nothing_writes() -> None:
    assert sorted(one.name for one in FOLDER.iterdir()) == sorted(PAGES)


def test_every_command_and_every_public_name_has_a_part_of_its_own() -> None:
    commands = {heading.text for heading in headings(FOLDER / "cli.md")}
    assert {f"evox {name}" for name in COMMANDS} <= commands
    assert set(evox.__all__) <= {heading.text for heading in headings(FOLDER / "api.md")}


def test_every_view_is_listed() -> None:
    page = (FOLDER / "endpoints.md").read_text(encoding="utf-8")
    assert all(f"| `{view_path(view)}` |" in page for view in VIEWS)


def test_the_tool_says_whether_the_reference_is_old() -> None:
    command = [sys.executable, "-m", "tools.reference", "--check"]
    assert subprocess.run(command, cwd=ROOT, timeout=18, check=False).returncode == 0, AGAIN
