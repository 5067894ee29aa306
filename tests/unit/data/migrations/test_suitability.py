"""Suitability: what a file must not hold, refused with its line before anything is done."""

from pathlib import Path

import pytest

from evox.data.migrations import checked_statements, read_folder
from evox.errors import MigrationRefused

BOTH = ("sqlite", "postgresql")
FINE = "CREATE TABLE t (x int);\n"


def checked(folder: Path, text: str, kind: str) -> int:
    (folder / "0001_a.sql").write_text(text, encoding="utf-8")
    (migration,) = read_folder(folder)
    return len(checked_statements(migration, kind))


def refused(folder: Path, text: str, kind: str) -> MigrationRefused:
    with pytest.raises(MigrationRefused) as caught:
        checked(folder, text, kind)
    return caught.value


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("text", ["", "-- later\n", ";"])
def test_an_empty_file_is_refused(tmp_path: Path, kind: str, text: str) -> None:
    assert refused(tmp_path, text, kind).what == "0001_a.sql is empty"


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    "text",
    [
        "BEGIN;",
        "begin immediate;",
        "/* x */ COMMIT",
        "-- x\nEND TRANSACTION;",
        "ROLLBACK;",
        "SAVEPOINT a;",
        "RELEASE a;",
        "START TRANSACTION;",
        "ABORT;",
        "COMMIT AND CHAIN",
    ],
)
def test_what_begins_or_ends_a_transaction_is_refused_with_its_line(tmp_path: Path, kind: str, text: str) -> None:
    error = refused(tmp_path, FINE + text, kind)
    assert error.place is not None
    assert error.place.line == 2 + text.count("\n")
    assert "one transaction" in error.why


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("sqlite", "VACUUM;"),
        ("sqlite", "pragma journal_mode = DELETE;"),
        ("sqlite", "PRAGMA main . foreign_keys = OFF;"),
        ("sqlite", "ATTACH 'other.db' AS other"),
        ("postgresql", "VACUUM ANALYZE t;"),
        ("postgresql", "CREATE INDEX CONCURRENTLY i ON t (x);"),
        ("postgresql", "create unique index /* now */ concurrently i on t (x);"),
        ("postgresql", "DROP INDEX CONCURRENTLY i;"),
        ("postgresql", "REINDEX TABLE CONCURRENTLY t;"),
        ("postgresql", "REINDEX (CONCURRENTLY) TABLE t;"),
        ("postgresql", "REINDEX (VERBOSE) DATABASE d;"),
        ("postgresql", "CREATE DATABASE d;"),
        ("postgresql", "ALTER SYSTEM SET work_mem = '1GB';"),
        ("postgresql", "ALTER TABLE t DETACH PARTITION p CONCURRENTLY;"),
        ("postgresql", "CLUSTER;"),
        ("postgresql", "DISCARD ALL"),
    ],
)
def test_what_no_transaction_can_hold_is_refused_but_may_stand_alone(tmp_path: Path, kind: str, text: str) -> None:
    error = refused(tmp_path, FINE + text, kind)
    assert error.place is not None
    assert error.place.line == 2
    assert "-- evox: " in error.fix
    assert checked(tmp_path, f"-- evox: no transaction\n{text}", kind) == 1


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("sqlite", "PRAGMA user_version = 3;"),
        ("sqlite", "PRAGMA foreign_key_check;"),
        ("sqlite", "CREATE TABLE vacuumed (x)"),
        ("postgresql", "CREATE INDEX concurrently_i ON t (x);"),
        ("postgresql", "CREATE INDEX i ON t (x); -- not CONCURRENTLY"),
        ("postgresql", "CLUSTER t USING i;"),
        ("postgresql", "REINDEX TABLE t;"),
        ("postgresql", "REFRESH MATERIALIZED VIEW CONCURRENTLY v;"),
        ("postgresql", "COPY t FROM '/var/t.csv'"),
        ("postgresql", "DO $$ BEGIN COMMIT; END $$"),
    ],
)
def test_what_a_transaction_can_hold_is_let_through(tmp_path: Path, kind: str, text: str) -> None:
    assert checked(tmp_path, text, kind) == 1


def test_copy_from_a_terminal_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, FINE + "COPY t (x) FROM stdin;\n1\n\\.\n", "postgresql")
    assert error.place is not None
    assert error.place.line == 2


@pytest.mark.parametrize("kind", BOTH)
def test_outside_of_a_transaction_there_is_one_statement_and_none_of_its_own(tmp_path: Path, kind: str) -> None:
    error = refused(tmp_path, "-- evox: no transaction\nVACUUM;\nVACUUM;\n", kind)
    assert error.place is not None
    assert error.place.line == 3
    assert "BEGIN" in refused(tmp_path, "-- evox: no transaction\nBEGIN;", kind).what


def test_foreign_keys_off_is_for_sqlite(tmp_path: Path) -> None:
    text = f"-- evox: foreign keys off\n{FINE}"
    assert checked(tmp_path, text, "sqlite") == 1
    assert "SQLite" in refused(tmp_path, text, "postgresql").why
