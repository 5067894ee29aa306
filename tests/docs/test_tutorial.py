"""The tutorial, followed as its reader would: real commands in an empty folder, and what the pages show is what comes.

Each test has a folder of its own, as it is after the pages before. The pages are applied once in a process, each when
it is first needed, so no test depends on another.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.docs.pages import blocks
from tests.docs.tutorial import PAGES, Reader, build, sources
from tests.support import FEW_PLUGINS, environment

LIMIT = 80


def stem(page: Path) -> str:
    return page.stem


EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=stem)
pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("curl")), reason="the reader of the tutorial has bash and curl"
)


@pytest.fixture(scope="session")
def after(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Return the folder as it is after so many pages; not to be changed."""
    made = [tmp_path_factory.mktemp("tutorial")]

    def folder(count: int) -> Path:
        while len(made) <= count:
            new = tmp_path_factory.mktemp("tutorial") / "after"
            shutil.copytree(made[-1], new)
            build(PAGES[len(made) - 1], new)
            made.append(new)
        return made[count]

    return folder


@pytest.fixture
def before(page: Path, after: Callable[[int], Path], tmp_path: Path) -> Path:
    """Return a folder of one's own, as it is when its reader comes to a page."""
    folder = tmp_path / "reader"
    shutil.copytree(after(PAGES.index(page)), folder)
    return folder


def checked(project: Path, tool: str, *arguments: str) -> str:
    """Run a tool over a project, which must find nothing; return what it wrote."""
    line = [sys.executable, "-m", tool, *arguments]
    done = subprocess.run(
        line, cwd=project, env=environment(FEW_PLUGINS), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tutorial_has_ten_steps_of_one_screen_each_and_each_leads_to_the_next() -> None:
    assert [page.stem[:2] for page in PAGES] == [f"{number:02}" for number in range(1, 11)]
    index = (PAGES[0].parent / "index.md").read_text(encoding="utf-8")
    for page, following in zip(PAGES, [*PAGES[1:], None], strict=True):
        text = page.read_text(encoding="utf-8")
        title = text.partition("\n")[0].removeprefix("# ")
        assert f"[{title}]({page.name})" in index
        assert "\n\n**You learn** " in text
        assert following is None or f"]({following.name})\n" in text.rstrip("\n").rpartition("\n")[2] + "\n"
        assert len(text.splitlines()) <= 130


@pytest.mark.timeout(60)  # five seconds where nobody else works: a dozen commands, each of which imports all of Evox
@EACH_PAGE
def test_what_a_page_shows_is_what_its_reader_sees(page: Path, before: Path) -> None:
    with Reader(before) as reader:
        seen = 0
        for what, shown, came in reader.follow(page):
            assert (what, came) == (what, shown)
            seen += 1
        assert seen
        ending = reader.stop()
        assert all(ending.endswith(block.text.rstrip("\n")) for block in blocks(page, "text"))


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.language in ("python", "diff") for b in sources(page))], ids=stem
)
def test_after_each_page_the_tests_of_the_project_pass_and_its_code_is_clean(
    page: Path, after: Callable[[int], Path], tmp_path: Path
) -> None:
    project = tmp_path / "shop"
    shutil.copytree(after(PAGES.index(page) + 1) / "shop", project)
    checked(project, "ruff", "check", "--no-cache", ".")
    checked(project, "ruff", "format", "--no-cache", "--check", ".")
    passed = checked(project, "pytest", "-q", "-p", "no:cacheprovider")
    assert re.search(r"^\d+ passed", passed, re.MULTILINE)


@pytest.mark.timeout(90)  # mypy reads all of FastAPI and pydantic
def test_the_project_at_the_end_passes_mypy(after: Callable[[int], Path], tmp_path: Path) -> None:
    project = tmp_path / "shop"
    shutil.copytree(after(len(PAGES)) / "shop", project)
    assert "no issues found" in checked(project, "mypy", "--cache-dir", str(tmp_path / "cache"), ".")
