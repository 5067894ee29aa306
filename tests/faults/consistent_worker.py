"""One of several processes that read and write the same keys, and write down what they saw. Run as a module.

``python -m tests.faults.consistent_worker NAME FILE OPERATIONS SECONDS CONSISTENCY DATA BACKEND``, where SECONDS is the
time over which its operations are spread at least, and DATA is ``[tool.evox.data]`` as JSON. It says that it has begun,
waits for a line, opens the store, and says that it is ready.
"""

import json
import random
import sys
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import anyio

from evox import ServiceBuilder, data_intent, data_io
from evox.errors import BackendUnavailable, WriteOutcomeUnknown
from evox.testing import running
from evox.testing.consistency import Operation, line

KEYS = {"strong": 20, "eventual": 100}  # what is seldom written is what may be old
TASKS = 6
strong = data_intent.define("strong_value", consistency="strong")
eventual = data_intent.define("eventual_value", consistency="eventual")


async def work(name: str, out: TextIO, count: int, seconds: float, consistency: str) -> None:
    rand = random.Random(name)
    intent = strong if consistency == "strong" else eventual
    left = iter(range(count))

    async def one_task() -> None:
        for number in left:
            key = f"k{rand.randrange(KEYS[consistency])}"
            kind = rand.choices(["read", "write", "delete"], [10, 5, 1])[0]
            value = f"{name}-{number}"
            asked = Operation(name, key, kind, value if kind == "write" else None, time.monotonic(), outcome="unknown")  # type: ignore[arg-type]
            out.write(line(asked) + "\n")
            out.flush()
            try:
                if kind == "read":
                    asked = replace(asked, value=await data_io.read(intent, key))
                elif kind == "write":
                    await data_io.write(intent, key, value)
                else:
                    await data_io.delete(intent, key)
            except WriteOutcomeUnknown:
                continue
            except BackendUnavailable:
                asked = replace(asked, outcome="failed")
            else:
                asked = replace(asked, outcome="ok")
            out.write(line(replace(asked, ended=time.monotonic())) + "\n")
            out.flush()
            if seconds:  # how old a value may be shows only in a run that takes longer than that
                await anyio.sleep(seconds * TASKS / count)

    async with anyio.create_task_group() as group:
        for _ in range(TASKS):
            group.start_soon(one_task)


async def main(name: str, file: str, count: str, seconds: str, consistency: str, data: str) -> None:
    settings: dict[str, Any] = {"data": json.loads(data)}
    service: AbstractAsyncContextManager[Any] = running(ServiceBuilder("shared"), settings=settings)
    with Path(file).open("a", encoding="utf-8") as out:  # noqa: ASYNC230  a line must be out before it goes on
        async with service:
            print("ready", flush=True)  # noqa: T201  whoever started it waits for this
            await work(name, out, int(count), float(seconds), consistency)


if __name__ == "__main__":
    *given, backend = sys.argv[1:]
    print("begun", flush=True)  # noqa: T201  as above
    sys.stdin.readline()
    anyio.run(main, given[0], given[1], given[2], given[3], given[4], given[5], backend=backend)
