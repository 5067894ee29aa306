"""The site builds without network, each page of docs/ is in its navigation, and each link within it leads somewhere."""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pytest
from tests.docs.pages import ROOT, name_of, prose

LIMIT: Final = 18  # seconds
BUILDER: Final = "zensical"
pytestmark = pytest.mark.skipif(importlib.util.find_spec(BUILDER) is None, reason=f"{BUILDER} is not installed")


@dataclass
class Page:
    """What one page of HTML has: places to link to, links, and what it loads by itself."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)


class Reader(HTMLParser):
    """Reads a page."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.page.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.page.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.page.loaded.append(given["href"])
        elif "src" in given:
            self.page.loaded.append(given["src"])


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build what is in a folder, as ``make docs`` does."""
    command = [sys.executable, "-m", BUILDER, "build", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False)


def sources(folder: Path) -> Path:
    """Copy what the site is made of, so that the repository's own is left alone."""
    shutil.copy(ROOT / "mkdocs.yml", folder)
    shutil.copytree(ROOT / "docs", folder / "docs")
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = sources(tmp_path_factory.mktemp("docs"))
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    yield folder / "site"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    found = {}
    for file in sorted(site.rglob("*.html")):
        reader = Reader()
        reader.feed(file.read_text(encoding="utf-8"))
        found[file] = reader.page
    return found


def test_every_page_is_in_the_navigation_once() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"^ +- (?:[^#:\n]+: )?([\w/.-]+\.md)$", nav, re.MULTILINE)
    assert sorted(listed) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in ROOT.glob("docs/**/*.md"))


def test_every_page_becomes_one_of_the_site(site: Path) -> None:
    for source in ROOT.glob("docs/**/*.md"):
        page = source.relative_to(ROOT / "docs").with_suffix(".html")
        assert (site / (page.with_name("index.html") if page.stem == "README" else page)).is_file(), page


def test_every_link_within_the_site_leads_to_a_page_and_its_heading(site: Path, pages: dict[Path, Page]) -> None:
    broken = []
    for file, page in pages.items():
        for link in [*page.links, *page.loaded] if file.name != "404.html" else []:  # not known where that is shown
            split = urlsplit(link)
            if split.scheme or split.netloc:
                continue
            target = (file.parent / unquote(split.path)).resolve() if split.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                broken.append(f"{file.relative_to(site)}: {link}: there is no such page")
            elif split.fragment and unquote(split.fragment) not in pages[target].anchors:
                broken.append(f"{file.relative_to(site)}: {link}: there is no such heading")
    assert broken == []
    assert sum(len(page.links) for page in pages.values()) > 1000


def test_the_site_loads_nothing_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    loaded = {one for page in pages.values() for one in page.loaded}
    styles = [file.read_text(encoding="utf-8") for file in site.rglob("*.css")]
    loaded |= {
        one
        for text in styles
        for one in re.findall(r"url\([\"']?([^\"')]+)|@import [\"']([^\"']+)", text)
        for one in one
    }
    assert any(one.endswith(".js") for one in loaded)
    assert any(one.endswith(".css") for one in loaded)
    assert [one for one in sorted(loaded) if re.match(r"(https?:)?//", one)] == []
    assert not any(
        'class="mermaid' in file.read_text(encoding="utf-8") for file in pages
    )  # its script would be fetched


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=name_of)
def test_a_list_or_table_has_a_blank_line_above_it_without_which_the_site_shows_none(page: Path) -> None:
    lines = prose(page).splitlines()
    joined = []
    for number, (above, line) in enumerate(pairwise(lines), 2):
        begins_list = re.match(r"(\d+\.|[-*]) ", line) and not re.match(r"\s*(\d+\.|[-*]) |\s+\S|#", above)
        begins_table = line.startswith("|") and not above.startswith("|")
        if above.strip() and (begins_list or begins_table):
            joined.append(f"{name_of(page)}:{number}: {line}")
    assert joined == []


def test_a_link_to_a_page_that_is_not_there_fails_the_build(tmp_path: Path) -> None:
    page = sources(tmp_path) / "docs" / "limits.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n[nothing](nothing.md)\n", encoding="utf-8")
    done = build(tmp_path)
    assert done.returncode != 0
    assert "nothing.md" in re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
