"""Whatever is written, edited, taken away and put back between runs: the schema is whole, or nothing was changed."""

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evox.data.migrations import migrate, read_folder
from evox.data.migrations.sqlite import SQLiteTarget
from evox.errors import MigrationFailed, MigrationRefused

FILES: Final = 5
numbers = st.integers(1, FILES)
steps = st.one_of(
    st.tuples(st.sampled_from(["write", "edit", "break", "remove", "bracket"]), numbers),
    st.tuples(st.just("apply"), st.one_of(st.none(), numbers)),
)


def good(number: int) -> str:
    return f"CREATE TABLE t{number} (x INT);\nINSERT INTO t{number} VALUES ({number});\n"


TEXTS: Final[dict[str, Callable[[int], str]]] = {
    "write": good,
    "edit": lambda number: f"{good(number)}-- edited\n",
    "break": lambda number: f"{good(number)}INSERT INTO nobody VALUES (1);\n",
    "bracket": lambda number: f"{good(number)}COMMIT;\n",
}


def schema(file: Path) -> tuple[list[int], list[str]]:
    """Return the numbers in the ledger, and all that was made, with its rows."""
    if not file.exists():
        return [], []
    with closing(sqlite3.connect(file)) as raw:
        tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE name GLOB 't[0-9]*'")]
        made = [f"{name} {raw.execute(f'SELECT * FROM {name}').fetchall()}" for name in sorted(tables)]
        ledger = raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'evox_migrations'").fetchone()
        rows = raw.execute("SELECT number FROM evox_migrations ORDER BY number").fetchall() if ledger else []
        return [number for (number,) in rows], made


def expected(done: list[int]) -> tuple[list[int], list[str]]:
    return done, [f"t{number} [({number},)]" for number in done]


class Model:
    """What must come of a run: which files were applied, with what text."""

    def __init__(self) -> None:
        self.files: dict[int, str] = {}
        self.done: dict[int, str] = {}

    def run(self, to: int | None) -> bool:
        """Return whether it goes to its end."""
        last = max(self.done, default=0)
        if any(self.files.get(number) != text for number, text in self.done.items()):
            return False
        if any(number < last and number not in self.done for number in self.files):
            return False
        if to is not None and to not in self.files:
            return False
        pending = sorted(number for number in self.files if number > last and (to is None or number <= to))
        if any("COMMIT" in self.files[number] for number in pending):
            return False
        for number in pending:
            if "nobody" in self.files[number]:
                return False
            self.done[number] = self.files[number]
        return True


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
@settings(max_examples=60, deadline=None)
@given(taken=st.lists(steps, max_size=14))
def test_any_order_of_runs_and_edits_gives_the_whole_schema_or_an_error_and_no_change(
    loop: str, taken: list[tuple[str, int | None]]
) -> None:
    model = Model()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "own.db"
        for what, number in taken:
            if what == "apply":
                before = schema(file)
                goes = model.run(number)
                try:
                    anyio.run(apply, file, Path(folder), number, backend=loop)
                    assert goes
                except MigrationRefused:
                    assert not goes
                    assert schema(file) == before
                except MigrationFailed:
                    assert not goes
                assert schema(file) == expected(sorted(model.done))
            elif number is not None:
                change(Path(folder), model, what, number)


def change(folder: Path, model: Model, what: str, number: int) -> None:
    path = folder / f"{number:04}_t.sql"
    if what == "remove":
        path.unlink(missing_ok=True)
        model.files.pop(number, None)
    else:
        model.files[number] = TEXTS[what](number)
        path.write_text(model.files[number], encoding="utf-8")


async def apply(file: Path, folder: Path, to: int | None) -> None:
    await migrate(SQLiteTarget(file), read_folder(folder), to=to)
