"""Completing: the names of services for the shell, which waits: nothing of the project, and no FastAPI, is imported."""

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import asyncclick as click

from evox.searched import python_files

__all__ = ["service_names", "services_option"]

F = TypeVar("F", bound=Callable[..., Any])

MOST_FILES = 500
_NAME = r"[\"']([\w.-]+)[\"']"
_MADE = re.compile(rf"\b(?:service|ServiceBuilder|Service)\(\s*(?:name=)?{_NAME}|from_fastapi\([^)]*name={_NAME}")


def service_names(ctx: Any, param: Any, incomplete: str) -> list[str]:
    """Return the names of services that the project's files make, as far as they begin so; for ``shell_complete=``."""
    del ctx, param
    files = islice((one for one in python_files(Path()) if not one.name.startswith("test_")), MOST_FILES)
    found = {name for file in files for name in _names_in(file)}
    return sorted(name for name in found if name.startswith(incomplete))


def services_option(text: str) -> Callable[[F], F]:
    """Return the option ``--service``, which may be repeated, with its help."""
    return click.option("--service", "services", multiple=True, metavar="NAME", shell_complete=service_names, help=text)


def _names_in(file: Path) -> Iterator[str]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    if "evox" in text:
        for found in _MADE.finditer(text):
            yield found[1] or found[2]
