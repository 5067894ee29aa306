"""Server: the service that the measurement over real sockets runs against. ``evox run`` starts it in a process.

Its handlers wait, as handlers do that ask a database, and its seats are few, so that what is measured is the waiting
for a seat and not how fast the server is.
"""

import os

import anyio

from evox import service

SEATS = int(os.environ.get("BENCH_SEATS", "10"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "0.05"))
LEVELS = os.environ.get("BENCH_LEVELS", "yes") == "yes"

svc = service("bench")
if LEVELS:
    svc.concurrency(total=SEATS, high=SEATS, medium=SEATS, low=SEATS, queue=2 * SEATS)
else:
    svc.concurrency(total=SEATS, medium=SEATS, queue=100_000, max_wait="1h")


@svc.get("/high", priority="high" if LEVELS else "medium")
async def high() -> str:
    """Wait."""
    await anyio.sleep(SECONDS)
    return "done"


@svc.get("/medium", priority="medium")
async def medium() -> str:
    """Wait."""
    await anyio.sleep(SECONDS)
    return "done"


@svc.get("/low", priority="low" if LEVELS else "medium")
async def low() -> str:
    """Wait."""
    await anyio.sleep(SECONDS)
    return "done"
