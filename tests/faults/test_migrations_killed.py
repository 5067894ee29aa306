"""``evox sync db`` that is killed, cut off, or run twice at once: nothing is ever half applied, and a rerun works."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests import postgres_server
from tests.support import EvoxProcess, evox_process

SOAK = bool(os.environ.get("EVOX_SOAK"))
KILLS = 20 if SOAK else 2
LOOPS = ("trio", "asyncio")
PEOPLE = "CREATE TABLE person (id BIGINT, name TEXT);\n"
ADA = "INSERT INTO person VALUES (1, 'Ada');\n"
NUMBERS = "WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c LIMIT {}) SELECT n FROM c"
FOREVER = {
    "sqlite": f"INSERT INTO person (id) SELECT max(n) FROM ({NUMBERS.format(10**12)});\n",
    "postgresql": "SELECT pg_sleep(600);\n",
}
A_LITTLE = {
    "sqlite": f"INSERT INTO person (id) SELECT max(n) FROM ({NUMBERS.format(1_000_000)});\n",
    "postgresql": "SELECT pg_sleep(0.5);\n",
}
EACH = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])


def files_of(kind: str, loop: str = "trio", **migrations: str) -> dict[str, str]:
    if kind == "postgresql":
        postgres_server.flush()
    url = "sqlite:///own.db" if kind == "sqlite" else postgres_server.url()
    files = {f"migrations/{name.removeprefix('n')}.sql": text for name, text in migrations.items()}
    return {"evox.toml": f'backend = "{loop}"\n[data]\ndatabase = "{url}"\n', **files}


def rows(kind: str, folder: Path, sql: str) -> list[Any]:
    if kind == "sqlite":
        with closing(sqlite3.connect(folder / "own.db")) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return raw.execute(sql).fetchall()
    with psycopg.connect(postgres_server.url()) as connection:
        return connection.execute(sql).fetchall()


def applied(kind: str, folder: Path) -> list[int]:
    return [number for (number,) in rows(kind, folder, "SELECT number FROM evox_migrations ORDER BY number")]


def sync(folder: Path, files: dict[str, str], *arguments: str) -> Any:
    waits = [] if "--wait" in arguments else ["--wait", "12s"]
    return evox_process(folder, files, "db", *waits, *arguments, subcommand="sync")


def until(kind: str, is_so: Callable[[], bool]) -> None:
    """Wait for something in another process that tells us nothing."""
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end, kind
        time.sleep(0.02)


def in_its_statement(kind: str, folder: Path) -> bool:
    """Whether a run is within a transaction of its own."""
    if kind == "postgresql":
        sleeping = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'"
        return bool(rows(kind, folder, sleeping))
    with closing(sqlite3.connect(folder / "own.db", timeout=0, isolation_level=None)) as raw:
        try:
            raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        return False


@EACH
@pytest.mark.parametrize("loop", LOOPS)
def test_kill_in_the_middle_of_a_file_keeps_nothing_of_it_and_a_rerun_applies_it(
    tmp_path: Path, kind: str, loop: str
) -> None:
    files = files_of(
        kind, loop, n0001_people=PEOPLE, n0002_ada=ADA + FOREVER[kind], n0003_more="CREATE TABLE m (x INT)"
    )
    with sync(tmp_path, files) as process:
        process.wait_line("applied 0001_people.sql")
        until(kind, lambda: in_its_statement(kind, tmp_path))
        process.kill(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert applied(kind, tmp_path) == [1]
    assert rows(kind, tmp_path, "SELECT * FROM person") == []
    with sync(tmp_path, {"migrations/0002_ada.sql": ADA}) as process:
        assert process.wait() == 0, process.err
    assert applied(kind, tmp_path) == [1, 2, 3]
    assert rows(kind, tmp_path, "SELECT * FROM person") == [(1, "Ada")]


@EACH
@pytest.mark.timeout(600 if SOAK else 60)
def test_kill_at_random_points_leaves_whole_files_only(tmp_path: Path, kind: str) -> None:
    rand = random.Random(kind)
    names = {f"n{n:04}_t": f"CREATE TABLE t{n} (x INT);\nINSERT INTO t{n} VALUES (1);\n" for n in range(1, 300)}
    files = files_of(kind, **names)
    for number in range(KILLS):
        if number:
            last = applied(kind, tmp_path)
            if len(last) == len(names):
                break
        with sync(tmp_path, files) as process:
            process.wait_line("applied ")
            time.sleep(0.15 * rand.random())  # the random point
            process.kill(signal.SIGKILL)
            process.wait()
        check_whole(kind, tmp_path)
    with sync(tmp_path, files) as process:
        assert process.wait() == 0, process.err
    assert check_whole(kind, tmp_path) == len(names)


def check_whole(kind: str, folder: Path) -> int:
    """Check that of each file all or nothing is there; return how many are."""
    catalogue = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 't%'",
        "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 't%'",
    }
    numbers = applied(kind, folder)
    tables = {name for (name,) in rows(kind, folder, catalogue[kind])}
    assert numbers == list(range(1, len(numbers) + 1))
    assert tables == {f"t{number}" for number in numbers}
    union = " UNION ALL ".join(f"SELECT count(*) FROM t{number}" for number in numbers[-5:])
    assert set(rows(kind, folder, union)) == {(1,)}
    return len(numbers)


@EACH
@pytest.mark.parametrize("loop", LOOPS)
def test_of_two_runs_at_once_one_waits_and_finds_nothing_to_do(tmp_path: Path, kind: str, loop: str) -> None:
    files = files_of(kind, loop, n0001_people=PEOPLE + A_LITTLE[kind], n0002_ada=ADA)
    with sync(tmp_path, files) as one, sync(tmp_path, {}) as two:
        assert (one.wait(), two.wait()) == (0, 0), one.err + two.err
    done = [line.split()[1] for run in (one, two) for _, line in run.lines if line.startswith("applied")]
    assert sorted(done) == ["0001_people.sql", "0002_ada.sql"]
    assert applied(kind, tmp_path) == [1, 2]
    assert rows(kind, tmp_path, "SELECT name FROM person WHERE id = 1") == [("Ada",)]


def test_a_connection_that_is_lost_in_a_statement_keeps_nothing_of_its_file(tmp_path: Path) -> None:
    kind = "postgresql"
    files = files_of(kind, n0001_people=PEOPLE, n0002_ada=ADA + FOREVER[kind])
    with sync(tmp_path, files) as process:
        until(kind, lambda: in_its_statement(kind, tmp_path))
        with psycopg.connect(postgres_server.url(), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")
        assert process.wait() == 70
    lost(process)
    assert applied(kind, tmp_path) == [1]
    assert rows(kind, tmp_path, "SELECT * FROM person") == []
    with sync(tmp_path, {"migrations/0002_ada.sql": ADA}) as process:
        assert process.wait() == 0, process.err


def lost(process: EvoxProcess) -> None:
    assert "EVX-701" in process.err
    assert "the connection is lost" in process.err
    assert "evox:evox@" not in process.err


@EACH
def test_kill_outside_of_a_transaction_is_told_of_by_every_rerun_until_somebody_has_looked(
    tmp_path: Path, kind: str
) -> None:
    alone = f"-- evox: no transaction\n{FOREVER[kind]}"
    with sync(tmp_path, files_of(kind, n0001_people=PEOPLE, n0002_alone=alone)) as process:
        process.wait_line("applied 0001_people.sql")
        unknown = "SELECT number FROM evox_migrations WHERE duration IS NULL"
        until(kind, lambda: rows(kind, tmp_path, unknown) == [(2,)])
        process.kill(signal.SIGKILL)
        process.wait()
    with sync(tmp_path, {}, "--wait", "4s") as process:
        assert process.wait() == 1
    assert "0002_alone.sql was begun" in process.err
    files = {"migrations/0002_alone.sql": f"-- evox: no transaction\n{ADA}"}
    with sync(tmp_path, files, "--undone", "0002") as process:
        assert process.wait() == 0, process.err
    assert applied(kind, tmp_path) == [1, 2]
    assert rows(kind, tmp_path, "SELECT * FROM person") == [(1, "Ada")]


@EACH
@pytest.mark.parametrize("loop", LOOPS)
def test_ctrl_c_in_a_statement_ends_it_at_once_and_keeps_nothing_of_the_file(
    tmp_path: Path, kind: str, loop: str
) -> None:
    with sync(tmp_path, files_of(kind, loop, n0001_people=PEOPLE, n0002_ada=ADA + FOREVER[kind])) as process:
        process.wait_line("applied 0001_people.sql")
        until(kind, lambda: in_its_statement(kind, tmp_path))
        process.kill(signal.SIGINT)
        assert process.wait(8) == 130
    assert applied(kind, tmp_path) == [1]
    assert rows(kind, tmp_path, "SELECT * FROM person") == []
    until(kind, lambda: not in_its_statement(kind, tmp_path))  # a server sees it within a second
