"""What a user can get wrong about migrations, one case each: held by golden files, as in ``test_bad_input``."""

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.cli.syncing import DATABASE, PEOPLE, fake, sync_db
from tests.cli.test_bad_input import ONE_SCREEN, SVC, held, normalized
from tests.support import write_files

ADA = "INSERT INTO person VALUES (1, 'Ada');\n"
FIRST = {"evox.toml": DATABASE, "migrations/0001_people.sql": PEOPLE}


@dataclass(frozen=True)
class Case:
    """One mistake.

    Attributes:
        name: Of the golden file.
        files: What is there.
        before: What was there when all of it was applied.
        gone: What was removed after that.
        code: The exit code.
        arguments: After ``evox sync db``.
        programs: Fake programs on PATH.
    """

    name: str
    files: Mapping[str, str]
    before: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    code: int = 1
    arguments: tuple[str, ...] = ()
    programs: Mapping[str, str] = field(default_factory=dict)


CASES = [
    Case("migration_with_a_bad_name", {**FIRST, "migrations/2_ada.sql": ADA}),
    Case("migration_of_a_number_that_another_has", {**FIRST, "migrations/0001_ada.sql": ADA}),
    Case("migration_that_is_empty", {**FIRST, "migrations/0002_ada.sql": "-- to do\n"}),
    Case(
        "migration_with_a_misspelt_first_line", {**FIRST, "migrations/0002_v.sql": "-- evox: no transation\nVACUUM;\n"}
    ),
    Case("migration_that_was_edited", {"migrations/0001_people.sql": f"{PEOPLE}-- better\n"}, FIRST),
    Case("migration_that_was_renamed", {"migrations/0001_persons.sql": PEOPLE}, FIRST, ("migrations/0001_people.sql",)),
    Case("migration_that_is_gone", {}, FIRST, ("migrations/0001_people.sql",)),
    Case("migration_that_comes_too_late", {"migrations/0002_b.sql": ADA}, {**FIRST, "migrations/0003_c.sql": ADA}),
    Case("migration_with_a_commit", {**FIRST, "migrations/0002_ada.sql": f"{ADA}\nCOMMIT;\n"}),
    Case("migration_with_vacuum", {**FIRST, "migrations/0002_ada.sql": f"{ADA}VACUUM;\n"}),
    Case("migration_with_foreign_keys_off", {**FIRST, "migrations/0002_ada.sql": f"PRAGMA foreign_keys = OFF;\n{ADA}"}),
    Case("migration_whose_statement_fails", {**FIRST, "migrations/0002_ada.sql": f"{ADA}\n-- again\n{ADA}"}),
    Case("migration_number_that_is_not_there", FIRST, arguments=("--to", "0007")),
    Case("migrations_for_no_database", {"migrations/0001_people.sql": PEOPLE}),
    Case("migrations_for_no_service", {"shop.py": SVC, "migrations/shpo/0001_people.sql": PEOPLE}),
    Case("migrations_for_one_database_twice", {**FIRST, "shop.py": SVC, "migrations/shop/0001_people.sql": PEOPLE}),
    Case(
        "migrations_of_a_database_that_is_not_there",
        {**FIRST, "evox.toml": '[data]\ndatabase = "postgresql://me:hunter2hunter2@127.0.0.1:1/shop"\n'},
        code=70,
    ),
    Case("migrations_beside_alembic", {**FIRST, "alembic.ini": "[alembic]\n"}),
    Case(
        "dependencies_that_cannot_be_synced",
        {**FIRST, "uv.lock": ""},
        programs={"uv": '[ "$1" = lock ] && exit 1; echo "error: no version of nosuch" >&2; exit 2'},
    ),
]


def error_of(folder: Path, code: int, *arguments: str) -> str:
    done = sync_db(folder, *arguments)
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) <= ONE_SCREEN
    assert re.match(r"error EVX-\d{3}: ", done.stderr)
    assert "\n  fix  " in done.stderr
    assert "hunter2" not in done.stderr
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "<time>", normalized(done.stderr, folder))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_C2_a_mistake_is_one_screen_that_says_what_why_and_how_to_mend_it(tmp_path: Path, case: Case) -> None:
    if case.before:
        write_files(tmp_path, case.before)
        assert sync_db(tmp_path).returncode == 0
    for name in case.gone:
        (tmp_path / name).unlink()
    write_files(tmp_path, case.files)
    for name, script in case.programs.items():
        fake(tmp_path, name, script)
    held(case.name, error_of(tmp_path, case.code, *case.arguments))


def test_C2_a_file_whose_end_is_unknown_is_said_on_one_screen(tmp_path: Path) -> None:
    write_files(tmp_path, {**FIRST, "migrations/0002_v.sql": "-- evox: no transaction\nVACUUM;\n"})
    assert sync_db(tmp_path).returncode == 0
    with closing(sqlite3.connect(tmp_path / "shop.db")) as raw, raw:
        raw.execute("UPDATE evox_migrations SET duration = NULL WHERE number = 2")  # as kill -9 leaves it
    held("migration_whose_end_is_unknown", error_of(tmp_path, 1, "--check"))
    assert sync_db(tmp_path, "--wait", "100ms").returncode == 1
    assert sync_db(tmp_path, "--done", "2").returncode == 0
    assert sync_db(tmp_path, "--check").returncode == 0


def test_C2_a_database_that_another_holds_is_said_on_one_screen(tmp_path: Path) -> None:
    write_files(tmp_path, FIRST)
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("BEGIN IMMEDIATE")
        done = sync_db(tmp_path, "--wait", "200ms")
    waiting, _, said = done.stderr.partition("\n")
    assert done.returncode == 1
    assert waiting == "waiting for another run, or another process that writes"
    held("migrations_locked", normalized(said, tmp_path))


def test_C2_a_file_that_is_not_utf_8_is_said_on_one_screen(tmp_path: Path) -> None:
    write_files(tmp_path, FIRST)
    (tmp_path / "migrations" / "0002_ada.sql").write_bytes(b"INSERT INTO person\nVALUES (1, 'Ad\xe4');\n")
    held("migration_that_is_not_utf_8", error_of(tmp_path, 1))
