"""Migrations: the same on SQLite and PostgreSQL, on both loops."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from tests import postgres_server

from evox.data.migrations import Applied, Target, look, migrate, read_folder, resolve
from evox.data.migrations.postgres import LOCK, PostgresTarget
from evox.data.migrations.sqlite import SQLiteTarget
from evox.errors import BackendRefused, BackendUnavailable, MigrationFailed, MigrationRefused, MigrationsLocked

KINDS = ("sqlite", "postgresql")
pytestmark = pytest.mark.parametrize("kind", KINDS)
PEOPLE = "-- people; and so on\nCREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT);\n"
ADA = "INSERT INTO person VALUES (1, 'Ada; 100% ? :name');\n"


class Place:
    """A database and a folder of migrations for it."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder / "migrations"
        self.folder.mkdir()
        self.file = folder / "own.db"
        if kind == "postgresql":
            postgres_server.flush()

    @property
    def target(self) -> Target:
        if self.kind == "sqlite":
            return SQLiteTarget(self.file)
        return PostgresTarget(postgres_server.url(), timeout=5)

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / f"{name.removeprefix('n')}.sql").write_text(text, encoding="utf-8")

    async def migrate(self, **options: Any) -> list[str]:
        return [row.name for row in await migrate(self.target, read_folder(self.folder), **options)]

    async def applied(self) -> list[str]:
        return [row.name for row in await self.target.applied()]

    def rows(self, sql: str) -> list[Any]:
        if self.kind == "sqlite":
            with closing(sqlite3.connect(self.file)) as raw:
                return raw.execute(sql).fetchall()
        with psycopg.connect(postgres_server.url()) as connection:
            return connection.execute(sql).fetchall()

    def tables(self) -> set[str]:
        if self.kind == "sqlite" and not self.file.exists():
            return set()
        places = {
            "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
            "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
        }
        return {name for (name,) in self.rows(places[self.kind])}


@pytest.fixture
def place(kind: str, tmp_path: Path) -> Place:
    return Place(kind, tmp_path)


async def test_files_are_applied_in_order_and_never_again(place: Place) -> None:
    place.write(n0001_people=PEOPLE, n0002_ada=ADA)
    told: list[Applied] = []
    assert await place.migrate(on_applied=told.append) == ["0001_people.sql", "0002_ada.sql"]
    assert place.rows("SELECT * FROM person") == [(1, "Ada; 100% ? :name")]
    assert await place.target.applied() == tuple(told)
    assert all(row.duration is not None and row.applied_at.endswith("+00:00") for row in told)
    assert await place.migrate() == []


async def test_a_look_changes_nothing(place: Place) -> None:
    place.write(n0001_people=PEOPLE)
    plan = await look(place.target, read_folder(place.folder))
    assert [one.name for one in plan.pending] == ["0001_people.sql"]
    assert place.tables() == set()
    assert not place.file.exists()


async def test_an_end_may_be_named(place: Place) -> None:
    place.write(n0001_people=PEOPLE, n0002_ada=ADA, n0003_more="CREATE TABLE more (x INTEGER);")
    assert await place.migrate(to=2) == ["0001_people.sql", "0002_ada.sql"]
    assert await place.migrate() == ["0003_more.sql"]


async def test_a_statement_that_fails_takes_its_file_back_and_names_its_line(place: Place) -> None:
    place.write(n0001_people=PEOPLE, n0002_bad=f"{ADA}CREATE TABLE half (x INTEGER);\n\n-- twice\n{ADA}SELECT 1;\n")
    place.write(n0003_more="CREATE TABLE more (x INTEGER)")
    with pytest.raises(MigrationFailed) as caught:
        await place.migrate()
    assert (caught.value.place.file, caught.value.place.line) == (str(place.folder / "0002_bad.sql"), 5)  # type: ignore[union-attr]
    assert "person" in caught.value.why
    assert place.tables() == {"person", "evox_migrations"}
    assert place.rows("SELECT * FROM person") == []
    assert await place.applied() == ["0001_people.sql"]
    place.write(n0002_bad=ADA)
    assert await place.migrate() == ["0002_bad.sql", "0003_more.sql"]


async def test_a_syntax_error_names_the_line_of_its_statement_and_what_the_database_says(place: Place) -> None:
    place.write(n0001_bad="CREATE TABLE a (x INTEGER);\nCREATE TABEL b (x INTEGER);")
    with pytest.raises(MigrationFailed, match="TABEL") as caught:
        await place.migrate()
    assert caught.value.place.line == 2  # type: ignore[union-attr]
    assert await place.applied() == []


@pytest.mark.parametrize("end", ["COMMIT;", "VACUUM;", "-- evox: no transaction\n"])
async def test_what_is_refused_is_refused_before_anything_is_done(place: Place, end: str) -> None:
    place.write(n0001_people=PEOPLE, n0002_bad=f"{ADA}{end}")
    with pytest.raises(MigrationRefused):
        await place.migrate()
    assert place.tables() == set()


@pytest.mark.parametrize("change", ["edit", "remove", "rename", "late"])
async def test_what_was_applied_must_stay_as_it_was(place: Place, change: str) -> None:
    place.write(n0001_people=PEOPLE, n0003_ada=ADA)
    await place.migrate()
    place.write(n0004_more="CREATE TABLE more (x INTEGER)")
    first = place.folder / "0001_people.sql"
    if change == "edit":
        first.write_text(f"{PEOPLE}\n", encoding="utf-8")
    elif change == "remove":
        first.unlink()
    elif change == "rename":
        first.rename(place.folder / "0001_persons.sql")
    else:
        place.write(n0002_late="CREATE TABLE late (x INTEGER)")
    with pytest.raises(MigrationRefused) as caught:
        await place.migrate()
    assert ("0002_late" if change == "late" else "0001_people") in caught.value.what
    assert place.tables() == {"person", "evox_migrations"}


async def test_line_ends_of_another_system_are_no_change(place: Place) -> None:
    place.write(n0001_people=PEOPLE)
    await place.migrate()
    (place.folder / "0001_people.sql").write_bytes(PEOPLE.replace("\n", "\r\n").encode())
    assert await place.migrate() == []


async def test_two_runs_at_once_apply_each_file_once(place: Place) -> None:
    names = [f"n{number:04}_t" for number in range(1, 9)]
    place.write(**{name: f"CREATE TABLE {name} (x INTEGER);" for name in names})
    done: list[str] = []

    async def run() -> None:
        done.extend(await place.migrate())

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(run)
    assert sorted(done) == [f"{name[1:]}.sql" for name in names]
    assert await place.applied() == sorted(done)


async def test_a_run_waits_for_another_and_says_so_when_it_does_not_end(place: Place) -> None:
    place.write(n0001_people=PEOPLE)
    waits: list[str] = []
    with held(place), pytest.raises(MigrationsLocked, match="another evox sync db"):
        await place.migrate(wait=0.3, on_wait=lambda: waits.append("waits"))
    assert waits == ["waits"]
    assert await place.migrate() == ["0001_people.sql"]


def held(place: Place) -> Any:
    """Hold what a run holds."""
    if place.kind == "sqlite":
        raw = sqlite3.connect(place.file, isolation_level=None)
        raw.execute("PRAGMA journal_mode = WAL")  # as every connection of ours does
        raw.execute("BEGIN IMMEDIATE")
        return closing(raw)
    connection = psycopg.connect(postgres_server.url(), autocommit=True)
    connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    return closing(connection)


async def test_a_run_that_waited_finds_nothing_to_do(place: Place) -> None:
    place.write(n0001_slow=f"{PEOPLE}{slow(place.kind, 'a little')};")
    done: list[list[str]] = []
    waits: list[str] = []

    async def run() -> None:
        done.append(await place.migrate(on_wait=lambda: waits.append("waits")))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        group.start_soon(run)
    assert sorted(done) == [[], ["0001_slow.sql"]]
    assert "waits" in waits  # and perhaps each for the other: one for the table, one for the file
    assert await place.applied() == ["0001_slow.sql"]


def slow(kind: str, how: str) -> str:
    """Return a statement that takes a little, or for ever; what it writes is seen if it is kept."""
    if kind == "postgresql":
        return f"SELECT pg_sleep({1 if how == 'a little' else 600})"
    rows = 1_000_000 if how == "a little" else 10**12
    numbers = f"WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c LIMIT {rows}) SELECT n FROM c"
    return f"INSERT INTO person (id) SELECT max(n) FROM ({numbers})"


async def test_a_run_that_is_cancelled_in_a_statement_keeps_nothing_of_its_file(place: Place) -> None:
    place.write(n0001_people=PEOPLE, n0002_slow=f"{ADA}{slow(place.kind, 'for ever')};")
    started = anyio.Event()
    async with anyio.create_task_group() as group:

        async def run() -> None:
            await place.migrate(on_applied=lambda _: started.set())

        group.start_soon(run)
        await started.wait()
        await anyio.sleep(0.05)  # into the statement; before it is as good
        group.cancel_scope.cancel()
    assert place.rows("SELECT * FROM person") == []
    assert await place.applied() == ["0001_people.sql"]
    place.write(n0002_slow=ADA)
    assert await place.migrate(wait=5) == ["0002_slow.sql"]


ALONE = {"sqlite": "VACUUM", "postgresql": "CREATE INDEX CONCURRENTLY by_name ON person (name)"}


async def test_a_file_outside_of_a_transaction_is_done_and_noted(place: Place) -> None:
    place.write(n0001_people=PEOPLE, n0002_alone=f"-- evox: no transaction\n{ALONE[place.kind]};\n", n0003_ada=ADA)
    assert await place.migrate() == ["0001_people.sql", "0002_alone.sql", "0003_ada.sql"]
    assert all(row.duration is not None for row in await place.target.applied())
    assert await place.migrate() == []


async def test_a_file_outside_of_a_transaction_that_fails_is_not_noted(place: Place) -> None:
    place.write(n0001_people=PEOPLE, n0002_alone="-- evox: no transaction\nDROP TABLE nobody;\n")
    with pytest.raises(MigrationFailed, match="nobody"):
        await place.migrate()
    assert await place.applied() == ["0001_people.sql"]


@pytest.mark.parametrize("done", [True, False])
async def test_a_file_whose_end_is_unknown_is_told_of_until_somebody_says_what_became_of_it(
    place: Place, done: bool
) -> None:
    place.write(n0001_people=PEOPLE, n0002_alone=f"-- evox: no transaction\n{ALONE[place.kind]};\n")
    await place.migrate()
    change = "UPDATE evox_migrations SET duration = NULL WHERE number = 2"  # as a run that was killed leaves it
    if place.kind == "sqlite":
        with closing(sqlite3.connect(place.file)) as raw, raw:
            raw.execute(change)
    else:
        with psycopg.connect(postgres_server.url()) as connection:
            connection.execute(change)
            connection.execute("DROP INDEX by_name")
    for _ in range(2):
        with pytest.raises(MigrationRefused, match=r"0002_alone\.sql was begun"):
            await place.migrate(wait=0.2)
    with pytest.raises(MigrationRefused, match="0001 is not one whose end is unknown"):
        await resolve(place.target, 1, done=True)
    await resolve(place.target, 2, done=done)
    assert await place.migrate() == ([] if done else ["0002_alone.sql"])
    with pytest.raises(MigrationRefused, match="0002 is not one whose end is unknown"):
        await resolve(place.target, 2, done=done)


async def test_what_a_file_sets_for_itself_does_not_reach_the_next(place: Place) -> None:
    settings = {
        "sqlite": "-- evox: foreign keys off\nCREATE TABLE a (x INTEGER)",
        "postgresql": "SET search_path TO ''; CREATE TABLE public.a (x INTEGER); SET statement_timeout = 1;",
    }
    check = {
        "sqlite": "CREATE TABLE b (x INTEGER REFERENCES person (id)); INSERT INTO b VALUES (9);",
        "postgresql": "CREATE TABLE b (x INTEGER); SELECT pg_sleep(0.02);",
    }
    place.write(n0001_people=PEOPLE, n0002_sets=settings[place.kind], n0003_next=check[place.kind])
    if place.kind == "sqlite":
        with pytest.raises(MigrationFailed, match="FOREIGN KEY"):
            await place.migrate()
    else:
        assert await place.migrate() == ["0001_people.sql", "0002_sets.sql", "0003_next.sql"]
        assert place.tables() == {"person", "a", "b", "evox_migrations"}


async def test_a_database_that_cannot_be_used_is_said_as_elsewhere_and_without_its_password(
    kind: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    (tmp_path / "0001_people.sql").write_text(PEOPLE, encoding="utf-8")
    wrong = postgres_server.url().replace("evox:evox@", "evox:s3cret@")
    gone = "postgresql://evox:s3cret@127.0.0.1:1/postgres"
    targets: dict[str, list[Callable[[], Target]]] = {
        "sqlite": [lambda: SQLiteTarget(tmp_path / "file" / "own.db"), lambda: SQLiteTarget(tmp_path / "file")],
        "postgresql": [lambda: PostgresTarget(wrong, timeout=5), lambda: PostgresTarget(gone, timeout=5)],
    }
    for target in targets[kind]:
        with pytest.raises((BackendRefused, BackendUnavailable)) as caught:
            await migrate(target(), read_folder(tmp_path))
        assert "s3cret" not in str(caught.value)


async def test_a_user_who_may_not_make_the_ledger_is_told_so(kind: str, tmp_path: Path) -> None:
    if kind == "sqlite":
        pytest.skip("a file has no users")
    postgres_server.flush()
    with psycopg.connect(postgres_server.url(), autocommit=True) as raw:
        raw.execute("DROP ROLE IF EXISTS guest")
        raw.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        raw.execute("GRANT USAGE ON SCHEMA public TO guest")
    (tmp_path / "0001_people.sql").write_text(PEOPLE, encoding="utf-8")
    target = PostgresTarget(postgres_server.url().replace("evox:evox@", "guest:guest@"), timeout=5)
    with pytest.raises(BackendRefused, match="permission denied for schema public") as caught:
        await migrate(target, read_folder(tmp_path))
    assert "evox_migrations" in caught.value.fix


async def test_a_run_that_waits_does_not_hold_up_what_waits_for_every_transaction(place: Place) -> None:
    place.write(n0001_people=PEOPLE, n0002_ada=ADA + slow(place.kind, "a little"))
    place.write(n0003_alone=f"-- evox: no transaction\n{ALONE[place.kind]};\n")
    done: list[str] = []
    waits = anyio.Event()

    async def run() -> None:
        done.extend(await place.migrate(on_wait=waits.set))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        group.start_soon(run)
    assert waits.is_set()
    assert sorted(done) == ["0001_people.sql", "0002_ada.sql", "0003_alone.sql"]
