"""Writes to a SQLite store and database until it is killed, and writes down what was acknowledged. Run as a module.

Each task has a few keys that it writes again and again, deletes, and writes anew, so that of each the last
acknowledged state is known; and rows of a table, each in a transaction of two statements.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
from tests.contracts.backends import Heard

from evox.config import DataSettings
from evox.data.backends.sqlite import SQLiteBackend
from evox.data.backends.sqlite_database import SQLiteDatabase
from evox.data.entries import Entry

TASKS = 20
KEYS = 3  # of each task


async def main(store: str, acknowledged: str, run: str) -> None:
    backend = SQLiteBackend(Path(store), DataSettings())
    database = SQLiteDatabase(Path(f"{store}.sql"), timeout=5)
    out = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(**said: Any) -> None:
        os.write(out, json.dumps(said).encode() + b"\n")

    async with anyio.create_task_group() as group:
        await backend.open(group, Heard())
        await database.execute("CREATE TABLE IF NOT EXISTS pair (id TEXT, half INTEGER)")

        async def write(task: int) -> None:
            number = 0
            while True:
                key, value = f"s/d:{task}:{number % KEYS}", f"{run}:{number}"
                deletes = number % 7 == 6
                note(key=key, value=None if deletes else value, done=False)
                if deletes:
                    await backend.delete(key)
                else:
                    await backend.put(key, Entry(value.encode() * 20, tags=(f"s/tag:{task}",)))
                note(key=key, value=None if deletes else value, done=True)
                number += 1

        async def pair() -> None:
            number = 0
            while True:
                name = f"{run}:{number}"
                async with database.transaction():
                    for half in (1, 2):
                        await database.execute("INSERT INTO pair VALUES (?, ?)", name, half)
                note(pair=name)
                number += 1

        for task in range(TASKS):
            group.start_soon(write, task)
        group.start_soon(pair)


if __name__ == "__main__":
    *given, loop = sys.argv[1:]
    anyio.run(main, given[0], given[1], given[2], backend=loop)
