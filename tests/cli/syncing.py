"""What tests of `evox sync db` share: a run of it, and fake programs on PATH. It asserts nothing."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.forked import ended

__all__ = ["DATABASE", "FOREVER", "PEOPLE", "calls", "fake", "sync_db"]

DATABASE = '[data]\ndatabase = "sqlite:///shop.db"\n'
PEOPLE = "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT);\n"
_NUMBERS = "WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c LIMIT 1000000000000) SELECT n FROM c"
FOREVER = f"INSERT INTO person (id) SELECT max(n) FROM ({_NUMBERS});\n"


def sync_db(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run it to its end. PATH holds the fake programs of the folder, and no other."""
    return ended(
        *("sync", "db", *arguments), cwd=folder, env={"PATH": str(folder / "programs"), **(env or {})}, timeout=18
    )


def fake(folder: Path, name: str, script: str) -> None:
    """Put a program on PATH; each call of it is noted in ``calls``, then it does what the script says."""
    path = folder / "programs" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n{script}\n', encoding="utf-8")
    path.chmod(0o755)


def calls(folder: Path) -> list[str]:
    """Return how fake programs were called, in order."""
    path = folder / "calls"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
