"""D8: ``kill -9`` while SQLite writes. What was acknowledged is there, and the files are whole."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evox.data.entries import open_envelope

SOAK = bool(os.environ.get("EVOX_SOAK"))
KILLS = 50 if SOAK else 3  # on each loop
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600 if SOAK else 60)
@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_D8_kill_at_random_points_loses_nothing_acknowledged(tmp_path: Path, loop: str) -> None:
    store, acknowledged = tmp_path / "store.db", tmp_path / "acknowledged"
    rand = random.Random(loop)
    for run in range(KILLS):
        size = acknowledged.stat().st_size if acknowledged.exists() else 0
        given = [str(store), str(acknowledged), str(run), loop]
        with subprocess.Popen([sys.executable, "-m", "tests.faults.sqlite_writer", *given], cwd=ROOT) as writer:
            while (acknowledged.stat().st_size if acknowledged.exists() else 0) <= size:
                assert writer.poll() is None
                time.sleep(0.005)  # until it writes; there is no event from another process
            time.sleep(0.1 * rand.random())  # the random point
            writer.kill()
        assert writer.returncode == -signal.SIGKILL
        lines = acknowledged.read_bytes().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):  # killed while it wrote it down
            acknowledged.write_bytes(b"".join(lines[:-1]))
        check_store(store, _noted(acknowledged))
    pairs = {one["pair"] for one in _noted(acknowledged) if "pair" in one}
    halves = Counter(name for (name,) in _rows(Path(f"{store}.sql"), "SELECT id FROM pair"))
    assert pairs <= halves.keys()
    assert set(halves.values()) == {2}
    assert len(_noted(acknowledged)) > 20 * KILLS


def check_store(store: Path, noted: list[dict[str, Any]]) -> None:
    """Check that each key holds what was acknowledged last, or what was being written when the kill came."""
    found = {
        key: None if value is None else _value(value)
        for key, value in _rows(store, "SELECT key, value FROM evox_entries")
    }
    allowed: dict[str, list[Any]] = {}
    for one in noted:
        if "key" not in one:
            continue
        if one["done"]:
            allowed[one["key"]] = [one["value"]]
        else:
            allowed.setdefault(one["key"], [None]).append(one["value"])
    for key, values in allowed.items():
        assert found.get(key) in values, key
    tagged = {key for (key,) in _rows(store, "SELECT key FROM evox_tags")}
    assert tagged == {key for key, value in found.items() if value is not None}


def _value(sealed: bytes) -> str:
    entry = open_envelope(sealed)
    assert entry is not None
    value = entry.data[: len(entry.data) // 20].decode()
    assert entry.data == value.encode() * 20
    return value


def _noted(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _rows(path: Path, sql: str) -> list[Any]:
    raw = sqlite3.connect(path)
    try:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return raw.execute(sql).fetchall()
    finally:
        raw.close()
