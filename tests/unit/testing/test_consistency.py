"""The checker of histories: what it accepts, and the faults that it finds."""

import math
from pathlib import Path
from typing import Any

import pytest

from evox.testing.consistency import (
    History,
    Operation,
    check_durable,
    check_linearizable,
    check_sessions,
    check_staleness,
    line,
)


def op(text: str, began: float, ended: float = math.inf, *, by: str = "a", outcome: Any = "ok") -> Operation:
    """Make an operation: ``"w1"`` writes 1, ``"r1"`` reads it, ``"r-"`` reads nothing, ``"d"`` deletes."""
    kind: Any = {"w": "write", "r": "read", "d": "delete"}[text[0]]
    value = None if text[1:] in ("", "-") else int(text[1:])
    return Operation(by, "k", kind, value, began, ended, outcome)


LEGAL = {
    "one after another": [op("r-", 0, 1), op("w1", 2, 3), op("r1", 4, 5), op("d", 6, 7), op("r-", 8, 9)],
    "a read beside a write sees it": [op("w1", 0, 10), op("r1", 1, 2, by="b")],
    "a read beside a write does not see it": [op("w1", 0, 10), op("r-", 1, 2, by="b")],
    "two reads beside a write, in order": [op("w1", 0, 10), op("r-", 1, 2, by="b"), op("r1", 3, 4, by="b")],
    "overlapping writes end either way": [op("w1", 0, 10), op("w2", 0, 10, by="b"), op("r1", 11, 12)],
    "an unknown write was done much later": [op("w1", 0, outcome="unknown"), op("r-", 5, 6), op("r1", 8, 9)],
    "an unknown write was never done": [op("w1", 0, outcome="unknown"), op("r-", 5, 6)],
    "a failed write is not seen": [op("w1", 0, 1, outcome="failed"), op("r-", 5, 6)],
    "an unknown delete": [op("w1", 0, 1), op("d", 2, outcome="unknown"), op("r1", 3, 4), op("r-", 5, 6)],
}
ILLEGAL = {
    "a stale read": [op("w1", 0, 1), op("w2", 2, 3), op("r1", 4, 5, by="b")],
    "a lost write": [op("w1", 0, 1), op("r-", 2, 3)],
    "a resurrected delete": [op("w1", 0, 1), op("d", 2, 3), op("r1", 4, 5)],
    "a value from nowhere": [op("r7", 0, 1)],
    "time runs backwards": [op("w1", 0, 10), op("r1", 1, 2, by="b"), op("r-", 3, 4, by="c")],
    "a value seen before its write began": [op("r1", 0, 1), op("w1", 2, 3)],
    "a failed write is seen": [op("w1", 0, 1, outcome="failed"), op("r1", 2, 3)],
    "overlapping writes end both ways": [
        *(op("w1", 0, 10), op("w2", 0, 10, by="b")),
        *(op("r1", 11, 12), op("r2", 13, 14), op("r1", 15, 16)),
    ],
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_some_order_explains_is_linearizable(name: str) -> None:
    assert check_linearizable(History(LEGAL[name])) == []


@pytest.mark.parametrize("name", ILLEGAL)
def test_what_no_order_explains_is_found(name: str) -> None:
    (found,) = check_linearizable(History(ILLEGAL[name]))
    assert (found.rule, found.key) == ("linearizability", "k")
    assert found.operations[-1].kind == "read"
    assert 2 <= len(str(found).splitlines()) <= 9


def test_keys_are_checked_apart() -> None:
    other = Operation("a", "other", "read", 9, 0, 1)
    assert [one.key for one in check_linearizable(History([*LEGAL["one after another"], other]))] == ["other"]


def test_staleness_is_allowed_up_to_its_bound() -> None:
    history = History([op("w1", 0, 1), op("w2", 2, 3), op("r1", 5, 6, by="b")])
    assert check_staleness(history, 2.5) == []
    (found,) = check_staleness(history, 1.5)
    assert "2.000 s" in found.message


def test_a_deleted_value_that_comes_back_later_than_the_bound_is_stale() -> None:
    assert len(check_staleness(History([op("w1", 0, 1), op("d", 2, 3), op("r1", 9, 10, by="b")]), 5)) == 1


def test_a_process_sees_its_own_writes() -> None:
    (found,) = check_sessions(History([op("w1", 0, 1), op("w2", 2, 3), op("r1", 4, 5)]))
    assert found.rule == "read your writes"


def test_a_process_never_sees_time_run_backwards() -> None:
    writes = [op("w1", 0, 1), op("w2", 2, 3)]
    (found,) = check_sessions(History([*writes, op("r2", 4, 5, by="b"), op("r1", 6, 7, by="b")]))
    assert found.rule == "monotonic reads"
    assert check_sessions(History([*writes, op("r2", 4, 5, by="b"), op("r1", 6, 7, by="c")])) == []


def test_a_process_does_not_see_again_what_it_deleted() -> None:
    assert len(check_sessions(History([op("w1", 0, 1), op("d", 2, 3), op("r1", 4, 5)]))) == 1


def test_an_acknowledged_write_that_is_not_there_at_the_end_was_lost() -> None:
    history = History([op("w1", 0, 1), op("w2", 2, 3)])
    assert check_durable(history, {"k": 2}) == []
    assert [one.rule for one in check_durable(history, {"k": 1})] == ["durability"]
    assert [one.rule for one in check_durable(history, {})] == ["durability"]


def test_an_unknown_write_may_be_there_at_the_end_or_not() -> None:
    history = History([op("w1", 0, 1), op("w2", 2, outcome="unknown")])
    assert [check_durable(history, {"k": value}) for value in (1, 2)] == [[], []]


def test_histories_of_several_processes_are_read_together_and_a_line_that_was_cut_is_left_out(tmp_path: Path) -> None:
    whole, cut = tmp_path / "a", tmp_path / "b"
    History([op("w1", 0, 1)]).dump(whole)
    cut.write_text(f"{line(op('w2', 2, outcome='unknown'))}\n{line(op('r2', 4, 5))[:20]}", encoding="utf-8")
    assert History.load(whole, cut).operations == [op("w1", 0, 1), op("w2", 2, outcome="unknown")]
