"""Machine: what a measurement was made on, in one line, without which its figures say nothing."""

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Machine", "machine"]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured.

    Attributes:
        cores: How many this process may use.
        cpu: The model.
        system: The kernel and its version.
        python: The implementation and its version.
        load: How many processes wanted a core in the last minute before it began; None where nobody knows.
    """

    cores: int
    cpu: str
    system: str
    python: str
    load: float | None

    def __str__(self) -> str:
        busy = "" if self.load is None else f", load before {self.load:.1f}"
        return f"{self.cores} cores of {self.cpu}, {self.system}, {self.python}{busy}"

    def facts(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def machine() -> Machine:
    """Return this one, as it is now."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        load = os.getloadavg()[0]
    except OSError:
        load = None
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return Machine(cores, _cpu(), system, f"{platform.python_implementation()} {platform.python_version()}", load)


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    names = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
