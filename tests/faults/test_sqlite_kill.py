"""D8: ``kill -9`` while SQLite writes. What was acknowledged is there, and the file is whole."""

import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

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
    lines = acknowledged.read_text(encoding="utf-8").splitlines(keepends=True)
    keys = {line.strip() for line in lines if line.endswith("\n")}
    with sqlite3.connect(store) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = dict(raw.execute("SELECT key, value FROM evox_entries").fetchall())
        tagged = {key for (key,) in raw.execute("SELECT key FROM evox_tags")}
    raw.close()
    assert len(keys) > 20 * KILLS
    assert keys - rows.keys() == set()
    assert keys - tagged == set()
    for key, value in rows.items():
        entry = open_envelope(value)
        assert entry is not None
        assert entry.data == key.encode() * 20
