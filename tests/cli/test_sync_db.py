"""``evox sync db`` as a command: what it shows, what it changes, and how it ends."""

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.cli.syncing import DATABASE, PEOPLE, sync_db
from tests.support import command, environment, write_files

from evox.errors.masking import MASK

ADA = "INSERT INTO person VALUES (1, 'Ada');\n"
FILES = {"evox.toml": DATABASE, "migrations/0001_people.sql": PEOPLE, "migrations/0002_ada.sql": ADA}
SERVICE = 'from evox import service\n\nprint("imported")\nsvc = service("{name}").port(0)\n'


def rows(file: Path, sql: str = "SELECT name FROM person") -> list[Any]:
    with closing(sqlite3.connect(file)) as raw:
        return raw.execute(sql).fetchall()


def document(folder: Path, *arguments: str, code: int = 0) -> Any:
    done = sync_db(folder, "--json", *arguments)
    assert done.returncode == code, done.stderr
    found = json.loads(done.stdout)
    assert found["schema"] == 1
    return found


def test_it_shows_the_plan_and_applies_it(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    done = sync_db(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "migrations -> sqlite:///shop.db: 0 applied, 2 pending",
        "  0001_people.sql",
        "  0002_ada.sql",
    ]
    assert [line.rpartition(" (")[0] for line in lines[3:]] == ["applied 0001_people.sql", "applied 0002_ada.sql"]
    assert rows(tmp_path / "shop.db") == [("Ada",)]
    assert sync_db(tmp_path).stdout == "migrations -> sqlite:///shop.db: 2 applied, nothing to do\n"


@pytest.mark.parametrize("option", ["--plan", "--check"])
def test_a_plan_changes_nothing(tmp_path: Path, option: str) -> None:
    write_files(tmp_path, FILES)
    done = sync_db(tmp_path, option)
    assert done.returncode == (1 if option == "--check" else 0)
    assert done.stdout.splitlines()[0] == "migrations -> sqlite:///shop.db: 0 applied, 2 pending"
    assert not (tmp_path / "shop.db").exists()


def test_a_check_ends_with_0_when_all_is_applied_and_1_when_something_does_not_match(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    assert sync_db(tmp_path).returncode == 0
    assert sync_db(tmp_path, "--check").returncode == 0
    (tmp_path / "migrations" / "0001_people.sql").write_text(PEOPLE + "-- edited\n", encoding="utf-8")
    done = sync_db(tmp_path, "--check")
    assert done.returncode == 1
    assert "0001_people.sql" in done.stderr


def test_an_end_may_be_named(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    assert sync_db(tmp_path, "--to", "0001").returncode == 0
    assert rows(tmp_path / "shop.db") == []
    assert sync_db(tmp_path, "--to", "1", "--check").returncode == 0
    assert sync_db(tmp_path, "--check").returncode == 1


def test_json_tells_the_plan_and_what_was_done(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    planned = document(tmp_path, "--check", code=1)
    assert (planned["ok"], planned["pending"], planned["error"]) == (True, True, None)
    (site,) = planned["databases"]
    assert (site["folder"], site["database"]) == ("migrations", "sqlite:///shop.db")
    assert [one["file"] for one in site["pending"]] == ["0001_people.sql", "0002_ada.sql"]
    done = document(tmp_path)
    (site,) = done["databases"]
    assert [(one["number"], one["file"]) for one in site["done"]] == [(1, "0001_people.sql"), (2, "0002_ada.sql")]
    assert (site["pending"], done["pending"]) == ([], False)


def test_json_tells_an_error_and_what_was_done_before_it(tmp_path: Path) -> None:
    write_files(tmp_path, FILES | {"migrations/0003_bad.sql": "SELECT 1;\nDROP TABLE nobody;\n"})
    found = document(tmp_path, code=1)
    assert (found["ok"], found["error"]["id"]) == (False, "EVX-714")
    assert found["error"]["at"] == [f"{tmp_path}/migrations/0003_bad.sql:2"]
    (site,) = found["databases"]
    assert [one["file"] for one in site["done"]] == ["0001_people.sql", "0002_ada.sql"]
    assert [one["file"] for one in site["pending"]] == ["0003_bad.sql"]


def test_without_migrations_there_is_nothing_to_do(tmp_path: Path) -> None:
    done = sync_db(tmp_path)
    assert (done.returncode, done.stdout) == (0, "note: there are no migrations: write migrations/0001_name.sql\n")


def test_each_service_without_a_database_has_a_folder_of_its_own(tmp_path: Path) -> None:
    files = {f"{name}.py": SERVICE.format(name=name) for name in ("shop", "stock")}
    files |= {f"migrations/{name}/0001_people.sql": PEOPLE for name in ("shop", "stock")}
    write_files(tmp_path, files)
    found = document(tmp_path)  # what services print when they are imported is not in it
    assert [one["database"] for one in found["databases"]] == [
        "sqlite:///.evox/shop.db",
        "sqlite:///.evox/stock.db",
    ]
    for name in ("shop", "stock"):
        assert rows(tmp_path / ".evox" / f"{name}.db") == []
    assert (tmp_path / ".evox" / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_one_service_may_be_named_and_must_be_where_a_number_is_meant(tmp_path: Path) -> None:
    files = {f"{name}.py": SERVICE.format(name=name) for name in ("shop", "stock")}
    files |= {f"migrations/{name}/0001_people.sql": PEOPLE for name in ("shop", "stock")}
    write_files(tmp_path, files)
    assert sync_db(tmp_path, "--to", "1").returncode == 2
    assert sync_db(tmp_path, "--service", "shpo").returncode == 2
    assert sync_db(tmp_path, "--service", "shop", "--to", "1").returncode == 0
    assert [path.name for path in (tmp_path / ".evox").glob("*.db")] == ["shop.db"]


def test_nothing_is_applied_anywhere_unless_all_that_is_pending_everywhere_may_be(tmp_path: Path) -> None:
    files = {f"{name}.py": SERVICE.format(name=name) for name in ("shop", "stock")}
    files |= {"migrations/shop/0001_people.sql": PEOPLE, "migrations/stock/0001_people.sql": f"{PEOPLE}COMMIT;\n"}
    write_files(tmp_path, files)
    assert sync_db(tmp_path).returncode == 1
    assert not (tmp_path / ".evox" / "shop.db").exists()


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_it_runs_on_the_loop_of_the_project(tmp_path: Path, backend: str) -> None:
    write_files(tmp_path, FILES | {"evox.toml": f'backend = "{backend}"\n{DATABASE}'})
    assert sync_db(tmp_path).returncode == 0
    assert rows(tmp_path / "shop.db") == [("Ada",)]


def test_another_folder_may_be_named_and_one_within_it_is_as_good(tmp_path: Path) -> None:
    write_files(tmp_path / "project", FILES)
    (tmp_path / "project" / "deep").mkdir()
    assert sync_db(tmp_path, "--project", "project/deep").returncode == 0
    assert rows(tmp_path / "project" / "shop.db") == [("Ada",)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--plan", "--check"],
        ["--done", "1", "--undone", "1"],
        ["--check", "--done", "1"],
        ["--to", "latest"],
        ["--wait", "soon"],
        ["--project", "nowhere"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(tmp_path: Path, arguments: list[str]) -> None:
    write_files(tmp_path, FILES)
    done = sync_db(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "shop.db").exists()


def test_the_password_of_a_url_is_in_nothing_that_is_written(tmp_path: Path) -> None:
    url = "postgresql://me:hunter2hunter2@127.0.0.1:1/shop"
    write_files(tmp_path, FILES | {"evox.toml": f'[data]\ndatabase = "{url}"\n'})
    for arguments in ([], ["--json"], ["--trace"]):
        done = sync_db(tmp_path, *arguments)
        assert done.returncode == 70
        assert "EVX-701" in done.stderr
        assert "hunter2" not in done.stdout + done.stderr
        assert f"me:{MASK}@" in done.stderr


def test_whoever_stops_reading_ends_nothing_half_way(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    process = subprocess.Popen(
        command("sync", "db"), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=15)
    assert (process.returncode, said) == (1, b"")
    assert rows(tmp_path / "shop.db") == [("Ada",)]
