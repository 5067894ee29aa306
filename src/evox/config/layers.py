"""Layers: the sources of a configuration one by one, and where in them an option was written."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from evox.errors import Place

__all__ = ["Layer", "Origin", "line_of"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an option was written.

    Attributes:
        table: The table and its file, or the variable, as errors name it.
        place: The line, if it is one of a file.
    """

    table: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of a configuration.

    Attributes:
        name: What it is called.
        values: What it says, nested.
        file: The file that it is, if it is one.
        variables: The names of the environment, if it is that.
    """

    name: str
    values: Mapping[str, Any] = field(repr=False)
    file: Path | None = None
    variables: Collection[str] = ()

    def says(self, keys: Sequence[str]) -> bool:
        """Whether an option or a table stands here."""
        found: Any = self.values
        for key in keys:
            found = found.get(key, _MISSING) if isinstance(found, Mapping) else _MISSING
        return found is not _MISSING

    def source(self, keys: Sequence[str]) -> str:
        """Return what it is called where an option of it is wrong; a variable by its name."""
        variable = self._variable(keys)
        return self.name if variable is None else f"{self.name} ({variable})"

    def origin(self, keys: Sequence[str]) -> Origin:
        """Return where an option of a table was written."""
        variable = self._variable(keys)
        if variable is not None:
            return Origin(f"{variable} in {self.name}")
        if self.file is None:
            return Origin(f"{'.'.join(keys[:-1])} in {self.name}")
        root = ["tool", "evox"] if self.file.name == _PYPROJECT else []
        return Origin(f"[{'.'.join([*root, *keys[:-1]])}] in {self.file.name}", self.place(keys))

    def place(self, keys: Sequence[str]) -> Place | None:
        """Return the line that sets an option."""
        return line_of(self.file, keys) if self.file is not None else None

    def _variable(self, keys: Sequence[str]) -> str | None:
        """Return the variables that set an option or table: its own, those below it, or one with a table around it."""
        known = {name.upper(): name for name in self.variables}
        names = [f"EVOX_{'__'.join(keys[:length])}".upper() for length in range(len(keys), 0, -1)]
        below = [known[one] for one in sorted(known) if one.startswith(f"{names[0]}__")]
        if below and names[0] not in known:
            return " and ".join(below)
        return next((known[name] for name in names if name in known), None)


_MISSING: Final = object()
_PYPROJECT: Final = "pyproject.toml"


def line_of(file: Path, keys: Sequence[str]) -> Place:
    """Find the line that sets an option, in whatever way TOML lets it be written; else the nearest table around it."""
    target = ["tool", "evox", *keys] if file.name == _PYPROJECT else list(keys)
    table: list[str] = []
    best, nearest = 0, 0
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        header, entry = _HEADER.match(text), _ENTRY.match(text)
        if header:
            table = _parts(header[1])
        elif not entry:
            continue
        here = table + (_parts(entry[1]) if entry else [])
        if here == target[: len(here)] and len(here) > nearest:
            best, nearest = number, len(here)
    return Place(str(file), best)


_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_HEADER = re.compile(rf"\s*\[\[?\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*\]")
_ENTRY = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_KEY, dotted)]
