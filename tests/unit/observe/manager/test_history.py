"""History: samples in a file that is bounded, may be damaged, and is never more than what charts begin with."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from evox.errors import BackendUnavailable, EvoxError, InvalidOption
from evox.observe.manager import history as module
from evox.observe.manager.history import AGE, EVERY, History, open_history
from evox.observe.manager.series import LevelSample, Sample

BUSY = Sample(rate=5.0, levels=(LevelSample("process", "high", 1, 2, 3.0, 0.5, 0.1, 0.2),))


class Wall:
    """A wall clock that a test sets."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(file: Path, wall: Wall | None = None) -> AsyncIterator[History]:
    history, _ = await open_history(file)
    history._wall = wall or Wall()
    try:
        yield history
    finally:
        await history.aclose()


def rows(file: Path) -> int:
    with sqlite3.connect(file) as connection:
        count = connection.execute("SELECT count(*) FROM evox_samples").fetchone()[0]
    connection.close()
    return int(count)


def asides(folder: Path) -> list[Path]:
    return list(folder.glob("*.unreadable-*"))


def put(file: Path, *samples: tuple[float, str]) -> None:
    with sqlite3.connect(file) as connection:
        connection.executemany("INSERT INTO evox_samples VALUES (?, 'one', ?)", samples)
    connection.close()


async def test_what_was_kept_is_read_by_the_next_dashboard(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "h.sqlite", wall) as history:
        await history.add([("one", BUSY), ("two", Sample())])
    async with opened(tmp_path / "h.sqlite", wall) as history:
        assert await history.all(60) == [(wall.now, [BUSY, Sample()])]


async def test_its_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "a" / "b" / "h.sqlite"):
        assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0


async def test_what_is_too_old_is_removed(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "h.sqlite", wall) as history:
        await history.add([("one", BUSY)])
        wall.now += AGE + 1
        for _ in range(EVERY):
            await history.add([("one", Sample())])
        assert rows(tmp_path / "h.sqlite") == EVERY
        assert len(await history.all(60)) == 1


async def test_no_more_rows_are_kept_than_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 50)
    async with opened(tmp_path / "h.sqlite") as history:
        for _ in range(EVERY + 1):
            await history.add([("one", BUSY)])
        assert rows(tmp_path / "h.sqlite") == 50


async def test_what_lies_in_the_future_is_not_shown_and_is_removed(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "h.sqlite", wall) as history:
        await history.add([("one", BUSY)])
        wall.now -= 7_200  # the clock was put back
        assert await history.all(86_400) == []
        for _ in range(EVERY):
            await history.add([("one", Sample())])
        assert rows(tmp_path / "h.sqlite") == EVERY


async def test_a_chart_of_a_day_is_thinned(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "h.sqlite", wall) as history:
        sample = json.dumps(asdict(BUSY))
        put(tmp_path / "h.sqlite", *((wall.now - second, sample) for second in range(86_000)))
        assert 250 <= len(await history.all(86_400)) <= 350


async def test_nothing_to_keep_is_not_written(tmp_path: Path) -> None:
    async with opened(tmp_path / "h.sqlite") as history:
        await history.add([])
        assert rows(tmp_path / "h.sqlite") == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        "{}",
        '{"levels": 7}',
        '{"levels": [{}]}',
        '{"levels": [], "more": 1}',
        '{"levels": [], "rate": null}',
        '{"levels": [], "rate": "5"}',
        '{"levels": [], "rate": NaN}',
        '{"levels": [], "rate": Infinity}',
        '{"levels": [], "rate": 1' + "0" * 400 + "}",
        '{"levels": ' + "[" * 100_000,
        json.dumps({"levels": [asdict(BUSY.levels[0]) | {"level": ["high"]}]}),
    ],
    ids=range(16),
)
async def test_a_row_that_cannot_be_read_is_skipped(tmp_path: Path, text: str) -> None:
    async with opened(tmp_path / "h.sqlite") as history:
        put(tmp_path / "h.sqlite", (999_999.0, text), (999_999.0, json.dumps(asdict(BUSY))))
        assert await history.all(60) == [(999_999.0, [BUSY])]


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000, bytes(4096)])
async def test_a_damaged_file_is_moved_aside_and_another_begun(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "h.sqlite"
    file.write_bytes(content)
    history, notice = await open_history(file)
    try:
        (aside,) = asides(tmp_path)
        assert aside.read_bytes() == content
        assert aside.name in notice
        assert str(file) in notice
        await history.add([("one", BUSY)])
        assert (history.failures, history.trouble) == (0, "")
    finally:
        await history.aclose()


async def test_a_new_and_an_empty_file_are_no_reason_to_say_anything(tmp_path: Path) -> None:
    (tmp_path / "empty.sqlite").touch()
    for name in ("new.sqlite", "empty.sqlite"):
        history, notice = await open_history(tmp_path / name)
        await history.aclose()
        assert notice == ""


async def test_a_file_that_somebody_else_uses_is_not_taken_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "h.sqlite") as history:
        await history.add([("one", BUSY)])

    async def busy(_: Path) -> History:
        raise BackendUnavailable("the history", "another process has it locked")

    monkeypatch.setattr(module, "_opened", busy)
    with pytest.raises(BackendUnavailable):
        await open_history(tmp_path / "h.sqlite")
    assert not asides(tmp_path)


async def test_a_folder_that_cannot_be_made_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidOption, match="--history"):
        await open_history(tmp_path / "file" / "below" / "h.sqlite")


async def test_a_folder_in_place_of_the_file_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(EvoxError, match="folder"):
        await open_history(tmp_path)


async def test_that_it_cannot_be_written_is_noted_and_over_when_it_can(tmp_path: Path) -> None:
    async with opened(tmp_path / "h.sqlite") as history:
        with sqlite3.connect(tmp_path / "h.sqlite") as connection:
            connection.execute("ALTER TABLE evox_samples RENAME TO other")
        connection.close()
        await history.add([("one", BUSY)])
        assert history.failures == 1
        assert history.trouble
        await history.open()
        await history.add([("one", BUSY)])
        assert (history.failures, history.trouble) == (1, "")
        assert "2 writes, 1 failed" in repr(history)


async def test_two_dashboards_keep_one_file(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "h.sqlite", wall) as one, opened(tmp_path / "h.sqlite", wall) as other:
        for _ in range(5):
            await one.add([("one", BUSY)])
            wall.now += 0.5
            await other.add([("one", BUSY)])
            wall.now += 0.5
        assert await one.all(60) == await other.all(60)
        assert len(await one.all(60)) == 10
        assert one.failures == other.failures == 0
