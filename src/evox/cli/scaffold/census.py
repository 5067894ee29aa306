"""Census: which services a project's code makes, and on which ports, read from its text. Nothing is imported."""

import ast
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

from evox.config import in_code
from evox.searched import MAKERS, python_files

__all__ = ["Census", "take_census"]

_LAST: Final = 65_535
_FIRST: Final = 1024  # what an ordinary user may listen on


@dataclass(slots=True)
class Census:
    """What was found.

    Attributes:
        services: Where each is made, ``file:line``, by name with underscores.
        ports: Ports that are written in the code.
    """

    services: dict[str, str] = field(default_factory=dict)
    ports: set[int] = field(default_factory=set)

    def free_port(self, first: int) -> int:
        """Return the first port from ``first`` on that no service has."""
        wanted = chain(range(first, _LAST + 1), range(_FIRST, first))
        return next(port for port in wanted if port not in self.ports)


def take_census(root: Path) -> Census:
    """Read all Python files of a project but tests. One that cannot be read is skipped."""
    found = Census()
    for file in python_files(root):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
            tree = ast.parse(text if "evox" in text else "")
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                _count(node, f"{file.relative_to(root)}:{node.lineno}", found)
    return found


def _count(node: ast.Call, place: str, found: Census) -> None:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = [*node.args[:1], *(one.value for one in node.keywords if one.arg in ("name", "number"))]
    for value in (one.value for one in given if isinstance(one, ast.Constant)):
        if called in MAKERS and isinstance(value, str):
            found.services.setdefault(in_code(value), place)
        elif called == "port" and isinstance(value, int):
            found.ports.add(value)
