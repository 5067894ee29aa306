"""A project with an ``alembic.ini``: `evox sync db` hands over to alembic, whose place a small program takes here."""

import importlib.util
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.syncing import calls, fake, sync_db
from tests.cli.test_bad_input import held, normalized
from tests.support import write_files

REAL = importlib.util.find_spec("alembic") is not None
FAKED = pytest.mark.skipif(REAL, reason="the one that is installed would be run")
INI = "[alembic]\nscript_location = migrations\n"
# It is at the revision that the file `at` holds, and says what alembic says.
ALEMBIC = """
case "$1" in
  heads) echo "bbb222 (head)" ;;
  current) echo "INFO  [alembic.runtime.migration] Context impl SQLiteImpl." >&2
    [ -e at ] && { read at < at; echo "$at"; } ;;
  upgrade) echo "INFO  [alembic.runtime.migration] Running upgrade  -> bbb222, people" >&2; echo "$2" > at
    [ "$2" = head ] && echo "bbb222 (head)" > at ;;
esac
exit 0
"""


@FAKED
def test_it_upgrades_to_the_head_and_then_finds_nothing_to_do(tmp_path: Path) -> None:
    write_files(tmp_path, {"alembic.ini": INI})
    fake(tmp_path, "alembic", ALEMBIC)
    done = sync_db(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "alembic: at nothing, to bbb222",
        "  INFO  [alembic.runtime.migration] Running upgrade  -> bbb222, people",
        "alembic upgrade head: done",
    ]
    assert calls(tmp_path) == ["alembic current", "alembic heads", "alembic upgrade head"]
    assert sync_db(tmp_path).stdout == "alembic: at bbb222, nothing to do\n"


@FAKED
@pytest.mark.parametrize(("option", "code"), [("--plan", 0), ("--check", 1)])
def test_a_plan_only_asks_where_the_database_is(tmp_path: Path, option: str, code: int) -> None:
    write_files(tmp_path, {"alembic.ini": INI})
    fake(tmp_path, "alembic", ALEMBIC)
    done = sync_db(tmp_path, option)
    assert (done.returncode, done.stdout) == (code, "alembic: at nothing, to bbb222\n")
    assert calls(tmp_path) == ["alembic current", "alembic heads"]
    (tmp_path / "at").write_text("bbb222 (head)\n", encoding="utf-8")
    assert sync_db(tmp_path, option).returncode == 0


@FAKED
def test_an_end_is_a_revision(tmp_path: Path) -> None:
    write_files(tmp_path, {"alembic.ini": INI})
    fake(tmp_path, "alembic", ALEMBIC)
    assert sync_db(tmp_path, "--to", "aaa111").returncode == 0
    assert calls(tmp_path)[-1] == "alembic upgrade aaa111"
    assert sync_db(tmp_path, "--check").returncode == 1


@FAKED
def test_json_holds_what_alembic_says(tmp_path: Path) -> None:
    write_files(tmp_path, {"alembic.ini": INI})
    fake(tmp_path, "alembic", ALEMBIC)
    found = json.loads(sync_db(tmp_path, "--json").stdout)
    assert (found["schema"], found["ok"], found["pending"]) == (1, True, False)
    assert found["alembic"] == {
        "current": [],
        "heads": ["bbb222"],
        "pending": False,
        "output": ["INFO  [alembic.runtime.migration] Running upgrade  -> bbb222, people"],
    }


@FAKED
def test_C2_a_failure_of_alembic_is_one_screen_without_a_password(tmp_path: Path) -> None:
    write_files(tmp_path, {"alembic.ini": INI})
    fails = 'if [ "$1" = upgrade ]; then echo "FAILED: postgresql://me:hunter2hunter2@h/d is gone" >&2; exit 255; fi'
    fake(tmp_path, "alembic", fails + ALEMBIC)
    done = sync_db(tmp_path)
    assert done.returncode == 1
    assert "hunter2" not in done.stdout + done.stderr
    held("alembic_that_fails", normalized(done.stderr, tmp_path))


@FAKED
def test_C2_alembic_that_is_not_installed_is_said_on_one_screen(tmp_path: Path) -> None:
    write_files(tmp_path, {"alembic.ini": INI})
    done = sync_db(tmp_path)
    assert done.returncode == 1
    held("alembic_that_is_not_installed", normalized(done.stderr, tmp_path))


def test_options_for_files_of_sql_are_usage_errors(tmp_path: Path) -> None:
    write_files(tmp_path, {"alembic.ini": INI})
    assert sync_db(tmp_path, "--done", "1").returncode == 2
    assert sync_db(tmp_path, "--service", "shop").returncode == 2


@pytest.mark.skipif(not REAL, reason="alembic is not installed")
def test_a_real_alembic_is_run_from_its_project(tmp_path: Path) -> None:
    env = """
    from alembic import context
    from sqlalchemy import create_engine

    with create_engine("sqlite:///real.db").connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
    """
    revision = """
    from alembic import op

    revision = "aaa111"
    down_revision = None


    def upgrade() -> None:
        op.execute("CREATE TABLE person (id INTEGER)")
    """
    files = {"alembic.ini": INI, "migrations/env.py": env, "migrations/versions/aaa111_people.py": revision}
    write_files(tmp_path, files)
    assert sync_db(tmp_path, "--check").returncode == 1
    done = sync_db(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "alembic: at nothing, to aaa111" in done.stdout
    assert sync_db(tmp_path, "--check").returncode == 0
    with closing(sqlite3.connect(tmp_path / "real.db")) as raw:
        assert raw.execute("SELECT * FROM person").fetchall() == []
