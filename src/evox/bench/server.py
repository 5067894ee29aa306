"""Server: the service that the measurement over real sockets runs against. ``evox run`` starts it in a process.

Its handlers wait, as handlers do that ask a database, and its seats are few, so that what is measured is the waiting
for a seat and not how fast the server is.
"""

import os
import random

import anyio

from evox import service

SEATS = int(os.environ.get("BENCH_SEATS", "10"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "0.05"))
LEVELS = os.environ.get("BENCH_LEVELS", "yes") == "yes"


async def work() -> str:
    """Wait about as long as asked for. If it were the same each time, seats would come free all at once."""
    await anyio.sleep(SECONDS * random.uniform(0.5, 1.5))  # noqa: S311  a load
    return "done"


svc = service("bench")
if LEVELS:
    svc.concurrency(total=SEATS, high=SEATS, medium=SEATS, low=SEATS, queue=2 * SEATS)
else:
    svc.concurrency(total=SEATS, medium=SEATS, queue=100_000, max_wait="1h")


@svc.get("/high", priority="high" if LEVELS else "medium")
async def high() -> str:
    """Wait."""
    return await work()


@svc.get("/medium", priority="medium")
async def medium() -> str:
    """Wait."""
    return await work()


@svc.get("/low", priority="low" if LEVELS else "medium")
async def low() -> str:
    """Wait."""
    return await work()
