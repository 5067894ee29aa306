"""SQLite: what is reported of changes misses none, however many there are at a time and of one version."""

import sqlite3
from collections.abc import Iterator

import pytest

from evox.data.backends import sqlite_schema as schema
from evox.data.entries import Entry


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(made, "a test")
    yield made
    made.close()


def all_changes(raw: sqlite3.Connection, most: int) -> list[tuple[str, int, bool]]:
    found: list[tuple[str, int, bool]] = []
    while rows := schema.changes(raw, found[-1][1] if found else 0, most):
        assert [row[1] for row in rows] == sorted(row[1] for row in rows)
        found += rows
    return found


def test_D2_keys_that_were_left_out_are_not_passed_over_for_a_guard_that_was_moved_after_them(
    raw: sqlite3.Connection,
) -> None:
    for number in range(70):
        schema.put(raw, f"s/d:{number}", Entry(b"1"))
    schema.invalidate_tags(raw, ["s/tag:x"], 0.0)
    found = all_changes(raw, 50)
    assert [name for name, _, _ in found] == [*(f"s/d:{number}" for number in range(70)), "s/tag:x"]


def test_D2_what_was_changed_at_once_is_reported_at_once(raw: sqlite3.Connection) -> None:
    for number in range(70):
        schema.put(raw, f"s/d:{number}", Entry(b"1", evictable=True, tags=("s/tag:x",)))
    schema.put(raw, "s/d:last", Entry(b"1"))
    schema.invalidate_tags(raw, ["s/tag:x"], 0.0)
    names = {name for name, _, _ in all_changes(raw, 20)}
    assert names == {"s/tag:x", "s/d:last", *(f"s/d:{number}" for number in range(70))}
