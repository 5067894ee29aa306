"""Processor: how much of it a process has used, which tells what an answer costs though others use the machine too."""

from pathlib import Path

__all__ = ["spent"]


def spent(process: int) -> float | None:
    """Return the seconds of processor that all threads of a process have used; None where the system does not say."""
    total = 0
    try:
        for thread in Path(f"/proc/{process}/task").iterdir():
            total += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return total / 1e9
