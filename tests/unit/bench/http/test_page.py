"""A page is written between its marks, and what people wrote around them stays."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evox.bench.calling import Measured
from evox.bench.http.contestants import chosen
from evox.bench.http.figures import Sample, rows
from evox.bench.http.machine import Machine
from evox.bench.http.measuring import Plan, Table
from evox.bench.http.page import BEGIN, END, markdown, spliced, write
from evox.bench.http.questions import named
from evox.bench.http.result import Result, blocks, conditions
from evox.bench.http.servers import Cores
from evox.errors import CannotWrite


def result(names: Sequence[str] = ("json", "events", "half-load")) -> Result:
    titles = {"evox-trio": "Evox, trio", "fastapi-uvicorn": "FastAPI, uvicorn", "sanic": "Sanic"}
    samples = {
        "evox-trio": [Sample(900, [0.01], 0.25), Sample(1100, [0.02], 0.35)],
        "fastapi-uvicorn": [Sample(1000, [0.01], 0.25), Sample(1000, [0.02], 0.35)],
        "sanic": [],
    }
    found = rows(titles, samples, {"sanic": "did not start: no"}, "fastapi-uvicorn")
    tables = [Table(one, one.title, "shipped", found, 500 if one.kind == "open" else None) for one in named(names)]
    plan = Plan(chosen(["sanic"]), [one.question for one in tables], 2, 0.5, "shipped", Cores(0, 1))
    machine = Machine(2, "a processor", "Linux 6", "CPython 3.11.7", 0.5)
    calls = {"trio": [Measured("the coroutine", 1.0, 0.0, 0.1)]}
    return Result(plan, machine, {"evox-framework": "0.1.0"}, {"litestar-uvicorn": ["litestar"]}, tables, calls)


def test_a_block_has_as_many_cells_in_each_row_as_in_its_head() -> None:
    json, events, half, calls = blocks(result())
    for block in (json, events, half, calls):
        assert {len(row) for row in block.rows} == {len(block.head)}
    assert json.rows[0] == ["Evox, trio", "1000", "900-1100", "1.00", "0.90-1.10", "15.00", "15.00", "-", "30%"]
    assert json.rows[2] == ["Sanic", *["-"] * 8]
    assert json.notes == ["32 connections; sent by the shipped load.", "Sanic: did not start: no."]
    assert "500 requests a second on 32 connections." in half.notes
    assert calls.rows == [["the coroutine", "1.0", "+0.0", "0.1"]]


def test_the_conditions_name_the_machine_the_versions_and_who_is_missing() -> None:
    assert conditions(result()) == [
        "2 cores of a processor, Linux 6, CPython 3.11.7, load before 0.5.",
        "evox-framework 0.1.0.",
        "2 rounds of 0.5 s for each. Servers have core 0 and the load has core 1.",
        "Litestar, uvicorn is left out; not installed: litestar.",
    ]


def test_a_machine_that_was_busy_before_is_said_to_have_been() -> None:
    quiet = result()
    busy = replace(quiet, machine=replace(quiet.machine, load=3.5))
    assert [line for line in conditions(busy) if "Something else was running" in line] != []
    assert [line for line in conditions(quiet) if "Something else was running" in line] == []


def test_what_stands_around_the_marks_stays() -> None:
    page = f"# Title\n\nby hand\n\n{BEGIN}\n\nold\n\n{END}\n\n## Also by hand\n"
    new = spliced(page, "new")
    assert new == page.replace("old", "new")
    assert spliced(new, "new") == new


def test_a_page_without_both_marks_gets_them_at_its_end() -> None:
    assert spliced("# Title\n", "new") == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n"
    assert spliced(f"a\n{BEGIN}\nb\n", "new").count("new") == 1


def test_a_page_is_written_with_its_images_and_again_over_itself(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "benchmarks.md"
    files = write(result(), page)
    assert page in files
    text = page.read_text(encoding="utf-8")
    for name in ("json", "events", "half-load"):
        assert f"](images/bench-{name}.svg)" in text
        assert (tmp_path / "docs" / "images" / f"bench-{name}.svg").read_text(encoding="utf-8").startswith("<svg")
    assert text.count("| Evox, trio |") == 3
    page.write_text(f"{text}\nby hand\n", encoding="utf-8")
    write(result(["json"]), page)
    again = page.read_text(encoding="utf-8")
    assert again.endswith("by hand\n")
    assert again.count("| Evox, trio |") == 1


def test_tables_are_markdown() -> None:
    lines = markdown(result(["json"])).splitlines()
    head = lines.index(
        "| | requests/s | lowest-highest | ratio | its range | p50 ms | p99 ms | server µs | load busy |"
    )
    assert lines[head + 1] == "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    assert lines[head - 2] == "![Plain JSON: bars of the table below](images/bench-json.svg)"


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("in the way", encoding="utf-8")
    with pytest.raises(CannotWrite):
        write(result(), tmp_path / "page.md")


def test_the_whole_is_json_with_the_number_of_its_form() -> None:
    facts = result().facts()
    assert (facts["schema"], facts["cores"]) == (1, {"server": 0, "load": 1})
    assert [one["name"] for one in facts["questions"]] == ["json", "events", "half-load"]
    assert facts["questions"][2]["rate"] == 500
    assert facts["questions"][1]["connections"] == 100
    assert facts["calls"]["trio"][0]["microseconds"] == 1
    assert result().failed
