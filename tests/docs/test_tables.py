"""What the pages list is complete and true: options, errors, exit codes, dependencies, decisions, links and names."""

import re
import tomllib
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pytest
from tests.docs.pages import PAGES, ROOT, blocks, headings, markdown, name_of, prose
from tools.reference import declared_errors, default, options

from evox import EvoxError, config, errors
from evox.cli.health import YELLOW
from evox.config import Settings
from evox.orchestrator.server import DRAIN_EXCEEDED
from evox.runtime.signals import SECOND_SIGNAL
from evox.serving import Reason

REFERENCE: Final = ROOT / "docs" / "reference"
CLI: Final = REFERENCE / "cli.md"
CONFIGURATION: Final = REFERENCE / "configuration.md"
ERRORS: Final = REFERENCE / "errors.md"
SERVING: Final = ROOT / "docs" / "serving.md"
DECISIONS: Final = ROOT / "docs" / "decisions"
SECTIONS: Final = ["Context", "Decision", "Consequences", "What would change our mind"]
LONGEST_DECISION: Final = 45
EACH_FILE = pytest.mark.parametrize("page", markdown(), ids=name_of)


def rows(page: Path, heading: str) -> list[str]:
    """Return the rows of the table under a heading, without its head."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{name_of(page)} has no heading {heading!r}"
    return [line for line in found[1].splitlines() if line.startswith("|")][2:]


def test_the_reference_lists_every_option_with_its_default_and_its_variable() -> None:
    tables = {name.rpartition(".")[0] for name, *_ in options(Settings)}
    headings = {table: f"`[tool.evox{table and '.'}{table}]`" for table in tables}
    listed = {(table, *row.split(" | ")[:4]) for table in tables for row in rows(CONFIGURATION, headings[table])}
    shown = {(table, name.removeprefix("| "), value, variable) for table, name, _, value, variable in listed}
    assert {(table, name, value) for table, name, value, _ in shown} == {
        (name.rpartition(".")[0], f"`{name.rpartition('.')[2]}`", value) for name, _, value, _ in options(Settings)
    }
    named = {variable.strip("`").replace("__NAME", "__X") for *_, variable in shown}
    assert list(config.unknown_variables(dict.fromkeys(named, ""))) == []


def test_each_limit_on_clients_stands_with_its_option_and_its_default() -> None:
    listed = dict(re.findall(r"^\| .+? \| `(\w+)` \| (\S+) \| ", "\n".join(rows(SERVING, "Limits")), re.MULTILINE))
    fields = config.ServingSettings.model_fields
    assert listed == {name: default(fields[name].default) for name in listed}
    limits = {name for name in fields if name.endswith(("_bytes", "_count", "_timeout", "_rate"))} - {"drain_timeout"}
    assert limits | {"keep_alive", "connections", "ping", "streams"} == set(listed)


def test_the_reference_lists_every_error() -> None:
    expected = [
        [one.id, f"`{one.__name__}`", str(one.status), str(one.exit_code), "yes" if one.retryable else ""]
        for one in sorted(declared_errors(), key=lambda one: one.id)
    ]
    lines = [row.strip("|").split("|")[:5] for row in rows(ERRORS, "Errors")]
    assert [[cell.strip() for cell in line] for line in lines] == expected


def test_the_statuses_of_errors_are_those_that_clients_count_on() -> None:
    statuses = {one.id: one.status for one in declared_errors() if one.status != 500}
    assert statuses == {
        "EVX-602": 503,
        "EVX-603": 503,
        "EVX-604": 429,
        "EVX-605": 504,
        "EVX-606": 409,
        "EVX-607": 422,
        "EVX-608": 400,
        "EVX-701": 503,
        "EVX-702": 503,
        "EVX-703": 507,
        "EVX-706": 507,
        "EVX-709": 504,
        **{f"EVX-80{number}": 401 for number in range(1, 9)},
        "EVX-809": 403,
        "EVX-810": 503,
        **{f"EVX-9{number:02}": 502 for number in range(5, 11)},
        "EVX-911": 503,
        "EVX-912": 503,
        "EVX-913": 504,
        "EVX-914": 503,
    }


def test_each_reason_of_a_complaint_is_explained() -> None:
    listed = [row.split("`")[1] for row in rows(SERVING, "What is logged and counted")]
    assert listed == [str(reason) for reason in Reason]


def test_the_tree_that_the_errors_draw_holds_every_error() -> None:
    drawn = dict(re.findall(r"[|`]- (\w+) +(EVX-\d{3})", errors.__doc__ or ""))
    assert drawn == {one.__name__: one.id for one in declared_errors()}


def test_no_two_errors_share_an_id() -> None:
    ids = [one.id for one in declared_errors()]
    assert len(ids) == len(set(ids))


def test_the_reference_lists_every_exit_code() -> None:
    plain = {0, 1, 2, YELLOW, DRAIN_EXCEEDED, SECOND_SIGNAL, EvoxError.exit_code}
    expected = sorted(plain | {one.exit_code for one in declared_errors()})
    assert [int(row.split("|")[1]) for row in rows(CLI, "Exit codes")] == expected


def test_every_dependency_has_one_line_that_says_why() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    lists = [project["build-system"]["requires"], project["project"]["dependencies"], *extras, *groups]
    declared = {re.match(r"[\w.-]+", one)[0] for names in lists for one in names}  # type: ignore[index]
    page = (DECISIONS / "0005-dependencies.md").read_text(encoding="utf-8")
    explained = re.findall(r"^- `([\w.-]+)`: \S", page, re.MULTILINE)
    assert sorted(explained) == sorted(declared)


def test_every_decision_is_listed_under_its_own_title() -> None:
    listed = dict(re.findall(r"^\| \[(.+?)\]\((\d{4}-[\w-]+\.md)\)", prose(DECISIONS / "README.md"), re.MULTILINE))
    pages = {headings(page)[0].text: page.name for page in sorted(DECISIONS.glob("[0-9]*.md"))}
    assert listed == pages
    assert len(pages) >= 8


@pytest.mark.parametrize("page", sorted(DECISIONS.glob("[0-9]*.md")), ids=name_of)
def test_a_decision_has_the_four_sections_and_is_one_page(page: Path) -> None:
    assert [heading.text for heading in headings(page)[1:]] == SECTIONS
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if not line.startswith("- `")]
    assert len(lines) <= LONGEST_DECISION  # beside a line for each dependency


@EACH_FILE
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)", prose(page)):
        link = target[0] or target[1]
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or not file.is_relative_to(ROOT):
            broken.append(f"{link}: there is no such file")
        elif anchor and file.suffix == ".md" and anchor not in [heading.anchor for heading in headings(file)]:
            broken.append(f"{link}: there is no such heading")
    assert broken == []


@EACH_FILE
def test_no_page_says_to_install_the_other_evox(page: Path) -> None:
    wrong = re.compile(r"(?:pip3? +install|(?:uv|rye|poetry|pdm) +add) +(?:-\S+ +)*[\"'`]?evox\b(?!-framework)")
    assert wrong.findall(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_environment_variable_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"\bEVOX_[A-Z][A-Z0-9_]*[A-Z0-9]", page.read_text(encoding="utf-8")))
    assert list(config.unknown_variables(dict.fromkeys(named, ""))) == []
    nested = {name.replace(".", "__").upper() for name, *_ in options(Settings)}
    sections = ("EVOX_CONFIG__", "EVOX_PEERS__")
    assert [
        name
        for name in sorted(named)
        if "__" in name and not name.startswith(sections) and name.removeprefix("EVOX_") not in nested
    ] == []


def test_every_code_block_says_its_language() -> None:
    assert [block.where for page in PAGES for block in blocks(page) if not block.info] == []
