"""History: samples of processes in a bounded SQLite file, so that charts have a past when the dashboard is started.

The file may be thrown away at any time: one that cannot be read is moved aside, and a new one is begun. How old and how
many samples may be is bounded. Times are the dashboard's own, so clocks of other machines do not matter; its own
may jump, and what lies in the future then is dropped.
"""

import json
import logging
import math
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from evox.config import DataSettings
from evox.data import Database, make_database
from evox.errors import BackendRefused, BackendUnavailable, EvoxError, InvalidOption
from evox.observe.manager.series import LevelSample, Sample

__all__ = ["History", "open_history"]

AGE: Final = 24 * 3_600.0  # seconds
ROWS: Final = 500_000
CLOSING: Final = 2.0  # seconds
EVERY: Final = 200  # writes between two looks at how many there are
AHEAD: Final = 5.0  # seconds that a sample may lie in the future before it is dropped
_TEXTS: Final = frozenset({"levels", "level", "queue"})
_log = logging.getLogger("evox.dashboard")
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS evox_samples (at REAL NOT NULL, instance TEXT NOT NULL, sample TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS evox_samples_by_time ON evox_samples (at)",
)


class History:
    """The past of processes.

    Args:
        database: Where it is kept.
        wall: Wall clock in seconds.
    """

    def __init__(self, database: Database, wall: Callable[[], float] = time.time) -> None:
        self._database = database
        self._wall = wall
        self._writes = 0
        self.failures = 0
        self.trouble = ""

    def __repr__(self) -> str:
        return f"<History, {self._writes} writes, {self.failures} failed>"

    async def open(self) -> None:
        """Make the table if it is not there.

        Raises:
            EvoxError: if the file cannot be used.
        """
        with _refusing():
            for statement in _TABLE:
                await self._database.execute(statement)

    async def add(self, samples: Iterable[tuple[str, Sample]]) -> None:
        """Keep samples of processes, by instance, as of now. That it cannot is noted, and nothing else stops."""
        now = self._wall()
        rows = [(now, instance, json.dumps(asdict(sample))) for instance, sample in samples]
        if not rows:
            return
        try:
            with _refusing():
                await self._write(rows, now)
            self.trouble = ""
        except EvoxError as error:
            self.failures += 1
            if not self.trouble:
                _log.warning("history cannot be written: %s", error)
            self.trouble = error.what
        self._writes += 1

    async def all(self, seconds: float, most: int = 300) -> list[tuple[float, list[Sample]]]:
        """Return what processes did, those of one moment together, the earliest first, thinned to about ``most``.

        Args:
            seconds: How far back.
            most: How many points a chart needs.

        Raises:
            EvoxError: if the file cannot be read.
        """
        now = self._wall()
        step = max(1, int(seconds // most))
        with _refusing():
            rows = await self._database.fetch_all(
                "SELECT at, sample FROM evox_samples "
                "WHERE at > ? AND at <= ? AND CAST(at AS INTEGER) % ? = 0 ORDER BY at",
                *(now - seconds, now + AHEAD, step),
            )
        found: dict[float, list[Sample]] = {}
        for row in rows:
            sample = _sample(row["sample"])
            if sample is not None:
                found.setdefault(float(row["at"]), []).append(sample)
        return list(found.items())

    async def aclose(self) -> None:
        """Close the file."""
        await self._database.close()

    async def _write(self, rows: Iterable[tuple[float, str, str]], now: float) -> None:
        async with self._database.transaction():
            for row in rows:
                await self._database.execute("INSERT INTO evox_samples VALUES (?, ?, ?)", *row)
            if self._writes % EVERY == 0:
                await self._prune(now)

    async def _prune(self, now: float) -> None:
        await self._database.execute("DELETE FROM evox_samples WHERE at < ? OR at > ?", now - AGE, now + AHEAD)
        await self._database.execute(
            "DELETE FROM evox_samples WHERE rowid <= (SELECT max(rowid) FROM evox_samples) - ?", ROWS
        )


@contextmanager
def _refusing() -> Iterator[None]:
    """Make one kind of error of what SQLite says, such as that the disk is full or the file was damaged meanwhile."""
    try:
        yield
    except sqlite3.Error as error:
        fix = "make room, or remove the file: it holds nothing but the past of charts"
        raise BackendRefused("the history of the dashboard", str(error), fix=fix) from error


def _sample(text: Any) -> Sample | None:
    """Read a sample; None for what is none, or one of another version of Evox."""
    try:
        said: dict[str, Any] = json.loads(text)
        levels = tuple(LevelSample(**one) for one in said["levels"])
        read = Sample(**said | {"levels": levels})
        all_: tuple[Any, ...] = (read, *levels)
        numbers = [getattr(one, name) for one in all_ for name in one.__slots__ if name not in _TEXTS]
        has_texts = all(isinstance(one, str) for level in levels for one in (level.queue, level.level))
        return read if has_texts and all(math.isfinite(one) for one in numbers) else None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


async def open_history(file: Path) -> tuple[History, str]:
    """Open the history in a file, moving aside one that cannot be read.

    Args:
        file: The file, as an absolute path; its folder is made if it is not there.

    Returns:
        The history, and what had to be done, for people; empty if nothing had.

    Raises:
        EvoxError: if a new one cannot be made there either.
    """
    try:
        await anyio.to_thread.run_sync(partial(file.parent.mkdir, mode=0o700, parents=True, exist_ok=True))
    except OSError as error:
        raise InvalidOption("--history", source="the command line", why=f"{file.parent}: {error.strerror}") from None
    try:
        return await _opened(file), ""
    except EvoxError as error:
        if isinstance(error, BackendUnavailable):  # somebody else uses it
            raise
        aside = await anyio.to_thread.run_sync(_put_aside, file)
        if aside is None:
            raise
        said = f"the history in {file} could not be read, and is now {aside.name}; a new one is begun: {error.why}"
        _log.warning("%s", said)
        return await _opened(file), said


def _put_aside(file: Path) -> Path | None:
    """Give a file another name, and return that; None if there is none, or it cannot be done."""
    if not file.is_file():
        return None
    aside = file.with_name(f"{file.name}.unreadable-{time.time_ns()}")
    try:
        file.rename(aside)
        for beside in ("-wal", "-shm"):
            file.with_name(file.name + beside).unlink(missing_ok=True)
    except OSError:
        return None
    return aside


async def _opened(file: Path) -> History:
    database = make_database("evox-dashboard", DataSettings(database=f"sqlite:///{file}"), file.parent)
    history = History(database)
    try:
        await history.open()
    except BaseException:
        with anyio.move_on_after(CLOSING, shield=True):
            await history.aclose()
        raise
    return history
