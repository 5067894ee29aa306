"""Completing: the names of services for the shell, which waits: nothing of the project, and no FastAPI, is imported."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["service_names"]

MOST_FILES = 500
SKIPPED = {"tests", "node_modules", "__pycache__", "build", "dist", "venv", "site-packages"}
_NAME = r"[\"']([\w.-]+)[\"']"
_MADE = re.compile(rf"\b(?:service|ServiceBuilder|Service)\(\s*(?:name=)?{_NAME}|from_fastapi\([^)]*name={_NAME}")


def service_names(ctx: Any, param: Any, incomplete: str) -> list[str]:
    """Return the names of services that the project's files make, as far as they begin so; for ``shell_complete=``."""
    del ctx, param
    found = {name for file in _files(Path()) for name in _names_in(file)}
    return sorted(name for name in found if name.startswith(incomplete))


def _files(root: Path) -> Iterator[Path]:
    count = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(one for one in folders if not one.startswith(".") and one not in SKIPPED)
        for name in sorted(names):
            if name.endswith(".py") and not name.startswith("test_"):
                count += 1
                if count > MOST_FILES:
                    return
                yield Path(folder, name)


def _names_in(file: Path) -> Iterator[str]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    if "evox" in text:
        for found in _MADE.finditer(text):
            yield found[1] or found[2]
