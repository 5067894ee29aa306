"""Writes to a SQLite store until it is killed, and writes down each key when it was acknowledged. Run as a module."""

import os
import sys
from pathlib import Path

import anyio
from tests.contracts.backends import Heard

from evox.config import DataSettings
from evox.data.backends.sqlite import SQLiteBackend
from evox.data.entries import Entry

TASKS = 20


async def main(store: str, acknowledged: str, run: str) -> None:
    backend = SQLiteBackend(Path(store), DataSettings())
    out = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with anyio.create_task_group() as group:
        await backend.open(group, Heard())

        async def write(task: int) -> None:
            number = 0
            while True:
                key = f"s/d:{run}:{task}:{number}"
                await backend.put(key, Entry(key.encode() * 20, tags=(f"s/tag:{task}",)))
                os.write(out, f"{key}\n".encode())
                number += 1

        for task in range(TASKS):
            group.start_soon(write, task)


if __name__ == "__main__":
    *given, loop = sys.argv[1:]
    anyio.run(main, given[0], given[1], given[2], backend=loop)
