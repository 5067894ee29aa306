"""SQLite's own: tables that are rebuilt, and files of every odd kind."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evox.data.migrations import migrate, read_folder
from evox.data.migrations.sqlite import SQLiteTarget
from evox.errors import BackendRefused, EvoxError, MigrationFailed

TABLES = """
CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE pet (name TEXT, owner INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE);
INSERT INTO person VALUES (1, 'Ada');
INSERT INTO pet VALUES ('Rex', 1);
"""
REBUILD = """-- evox: foreign keys off
CREATE TABLE person_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO person_new SELECT id, name FROM person;
DROP TABLE person;
ALTER TABLE person_new RENAME TO person;
"""


async def migrated(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / f"{name.removeprefix('n')}.sql").write_text(text, encoding="utf-8")
    return [row.name for row in await migrate(SQLiteTarget(folder / "own.db"), read_folder(folder))]


def rows(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "own.db")) as raw:
        return raw.execute(sql).fetchall()


async def test_a_table_that_others_refer_to_can_be_rebuilt_and_nothing_cascades(tmp_path: Path) -> None:
    await migrated(tmp_path, n0001_tables=TABLES, n0002_rebuild=REBUILD)
    assert rows(tmp_path, "SELECT person.name, pet.name FROM pet JOIN person ON owner = id") == [("Ada", "Rex")]
    with pytest.raises(MigrationFailed, match="FOREIGN KEY"):  # the next file has them on again
        await migrated(tmp_path, n0003_pet="INSERT INTO pet VALUES ('Tom', 9)")


async def test_a_rebuild_after_which_a_reference_leads_nowhere_is_taken_back(tmp_path: Path) -> None:
    with pytest.raises(MigrationFailed, match="row 1 of pet refers to what person does not have"):
        await migrated(tmp_path, n0001_tables=TABLES, n0002_rebuild=f"{REBUILD}DELETE FROM person;")
    assert rows(tmp_path, "SELECT name FROM person") == [("Ada",)]
    assert rows(tmp_path, "SELECT number FROM evox_migrations") == [(1,)]


async def test_triggers_are_made_whole(tmp_path: Path) -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON pet BEGIN UPDATE person SET name = 'a;b'; DELETE FROM pet; END;\n"
    await migrated(tmp_path, n0001_tables=TABLES, n0002_t=f"{trigger}INSERT INTO pet VALUES ('Tom', 1);")
    assert rows(tmp_path, "SELECT name, (SELECT count(*) FROM pet) FROM person") == [("a;b", 0)]


async def test_a_statement_that_rolls_back_by_itself_keeps_nothing_of_the_file(tmp_path: Path) -> None:
    bad = "INSERT INTO person VALUES (2, 'Bob');\nINSERT OR ROLLBACK INTO person VALUES (1, 'Ada');\nSELECT 1;"
    with pytest.raises(MigrationFailed) as caught:
        await migrated(tmp_path, n0001_tables=TABLES, n0002_bad=bad)
    assert caught.value.place is not None
    assert caught.value.place.line == 2
    assert rows(tmp_path, "SELECT name FROM person") == [("Ada",)]


async def test_what_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "own.db").write_bytes(b"no database at all, and long enough to be one" * 100)
    with pytest.raises(BackendRefused, match=r"own\.db"):
        await migrated(tmp_path, n0001_tables=TABLES)
    assert (tmp_path / "own.db").read_bytes().startswith(b"no database")


async def test_a_table_of_the_ledgers_name_that_is_none_is_an_error_of_ours(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "own.db")) as raw:
        raw.execute("CREATE TABLE evox_migrations (other TEXT)")
    with pytest.raises(EvoxError, match="number"):
        await migrated(tmp_path, n0001_tables=TABLES)


@pytest.mark.parametrize(
    "pragma",
    ["PRAGMA ignore_check_constraints = ON", "-- evox: no transaction\nPRAGMA ignore_check_constraints = ON"],
    ids=["within", "outside"],
)
async def test_what_a_file_sets_does_not_reach_the_next(tmp_path: Path, pragma: str) -> None:
    table = "CREATE TABLE t (x INT CHECK (x > 0))"
    with pytest.raises(MigrationFailed, match="CHECK"):
        await migrated(tmp_path, n0001_t=table, n0002_pragma=pragma, n0003_insert="INSERT INTO t VALUES (-1)")
    assert rows(tmp_path, "SELECT count(*) FROM evox_migrations") == [(2,)]


async def test_a_reference_that_is_checked_at_the_end_names_the_file(tmp_path: Path) -> None:
    bad = "PRAGMA defer_foreign_keys = ON; INSERT INTO pet VALUES ('Tom', 9);"
    with pytest.raises(MigrationFailed, match="at its end: FOREIGN KEY") as caught:
        await migrated(tmp_path, n0001_tables=TABLES, n0002_bad=bad)
    assert caught.value.what == "0002_bad.sql failed"
    assert rows(tmp_path, "SELECT name FROM pet") == [("Rex",)]
