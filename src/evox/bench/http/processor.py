"""Processor: how much of it a process has used, and how a core is kept from falling asleep.

What a process has used tells what an answer costs though others use the machine too. And a server pays for waking the
core that its answer goes to: on virtual machines that takes longer than many an answer, and varies from minute to
minute. Under a load that is never idle it would not be asleep.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["kept_awake", "spent"]

# It gives way to everything else, and ends with who has begun it.
_AWAKE: Final = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


def spent(process: int) -> float | None:
    """Return the seconds of processor that all threads of a process have used; None where the system does not say."""
    total = 0
    try:
        for thread in Path(f"/proc/{process}/task").iterdir():
            total += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return total / 1e9


@contextmanager
def kept_awake(core: int | None) -> Iterator[None]:
    """Keep a core from sleeping meanwhile, by what gives way to everything else; where Linux can do that."""
    if core is None or not hasattr(os, "SCHED_IDLE"):
        yield
        return
    keeper = subprocess.Popen([sys.executable, "-c", _AWAKE, str(core)])  # noqa: S603  our own words
    try:
        yield
    finally:
        keeper.kill()
        keeper.wait()
