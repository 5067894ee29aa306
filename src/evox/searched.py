"""Searched: where a project's services are looked for, and by which names they are made.

For all who look: what imports the files, what only reads them, and the shell that completes. So it imports nothing.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["MAKERS", "SKIPPED", "python_files"]

MAKERS: Final = frozenset({"service", "ServiceBuilder", "Service", "from_fastapi"})
SKIPPED: Final = frozenset(
    {
        "tests",
        "test",
        "node_modules",
        "__pycache__",
        "build",
        "dist",
        "venv",
        "env",
        "site-packages",
        "benchmarks",
    }
)


def python_files(root: Path) -> Iterator[Path]:
    """Yield the Python files of a project, without following links; tests among its own files are for whoever looks."""
    for folder, below, names in os.walk(root):
        here = Path(folder)
        below[:] = [
            one
            for one in sorted(below)
            if not one.startswith(".") and one not in SKIPPED and not (here / one / "pyvenv.cfg").exists()
        ]
        yield from (here / name for name in sorted(names) if name.endswith(".py"))
