"""Plan: files compared with the ledger."""

from pathlib import Path

import pytest

from evox.data.migrations import Applied, Migration, Plan, compare
from evox.errors import MigrationRefused


def file(number: int, text: str = "", name: str = "") -> Migration:
    name = name or f"{number:04}_x.sql"
    return Migration(number, name, Path("migrations") / name, text, f"sum of {number} {text}")


def row(number: int, *, open_end: bool = False) -> Applied:
    return Applied(
        number, f"{number:04}_x.sql", f"sum of {number} ", "2026-11-28T18:00:00+00:00", None if open_end else 0
    )


def numbers(plan: Plan) -> tuple[list[int], list[int], list[int]]:
    return (
        [one.number for one in plan.applied],
        [one.number for one in plan.pending],
        [one.number for one in plan.later],
    )


def refused(files: list[Migration], rows: list[Applied], to: int | None = None) -> MigrationRefused:
    with pytest.raises(MigrationRefused) as caught:
        compare(files, rows, to=to)
    return caught.value


def test_what_is_not_applied_is_pending() -> None:
    files = [file(1), file(2), file(3)]
    assert numbers(compare(files, [])) == ([], [1, 2, 3], [])
    assert numbers(compare(files, [row(1)])) == ([1], [2, 3], [])
    assert numbers(compare(files, [row(1), row(2), row(3)])) == ([1, 2, 3], [], [])


def test_what_comes_after_the_end_that_is_named_is_left_for_later() -> None:
    files = [file(1), file(2), file(3)]
    assert numbers(compare(files, [row(1)], to=2)) == ([1], [2], [3])
    assert numbers(compare(files, [], to=3)) == ([], [1, 2, 3], [])


def test_an_end_that_lies_behind_takes_nothing_back_and_says_so() -> None:
    plan = compare([file(1), file(2)], [row(1), row(2)], to=1)
    assert numbers(plan) == ([1, 2], [], [])
    assert "never taken back" in plan.notes[0]


def test_an_end_that_no_file_has_is_refused() -> None:
    error = refused([file(1), file(2)], [], to=4)
    assert "0004" in error.what
    assert "0001, 0002" in error.why


def test_an_applied_file_that_was_changed_is_refused_with_its_name() -> None:
    error = refused([file(1, "changed"), file(2)], [row(1)])
    assert "0001_x.sql" in error.what
    assert "put it back" in error.fix


def test_an_applied_file_that_is_gone_is_refused_with_its_name() -> None:
    assert refused([file(2)], [row(1)]).what == "0001_x.sql is gone"
    assert refused([], [row(1)]).what == "0001_x.sql is gone"


def test_an_applied_file_of_another_name_is_refused_with_both_names() -> None:
    assert refused([file(1, name="0001_y.sql")], [row(1)]).what == "0001_y.sql is 0001_x.sql under another name"
    assert "something else" in refused([file(1, "new", name="0001_y.sql")], [row(1)]).why


def test_a_file_below_the_last_applied_one_is_refused() -> None:
    error = refused([file(1), file(2), file(3), file(4)], [row(1), row(3)])
    assert error.what == "0002_x.sql comes too late"
    assert "above 0004" in error.fix


def test_a_gap_is_allowed_and_said() -> None:
    assert compare([file(1), file(3), file(7)], []).notes == (
        "there is no 0002 before 0003_x.sql; what takes the number later comes too late",
        "there is no 0004 to 0006 before 0007_x.sql; what takes the number later comes too late",
    )
    assert compare([file(1), file(3), file(4)], [row(1), row(3)]).notes == ()


def test_numbers_that_are_times_have_no_gaps() -> None:
    assert compare([file(20260101120000), file(20260102120000)], []).notes == ()


def test_a_file_whose_end_is_unknown_is_refused_unless_another_run_may_be_about_it() -> None:
    rows = [row(1), row(2, open_end=True)]
    files = [file(1), file(2), file(3)]
    error = refused(files, rows)
    assert "0002_x.sql" in error.what
    assert "--done 0002" in error.fix
    plan = compare(files, rows, running=True)
    assert numbers(plan) == ([1, 2], [3], [])
    assert plan.has_open_end
