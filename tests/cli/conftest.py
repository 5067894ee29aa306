"""What tests of commands share: a user of whom nothing else runs, and commands that end by themselves."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from tests.forked import ended

Evox = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def place() -> Iterator[dict[str, str]]:
    """Return the environment of a user of whom nothing else runs."""
    folder = mkdtemp(prefix="evox-", dir="/tmp")  # short enough for the paths of sockets
    yield {"XDG_RUNTIME_DIR": folder, "NO_COLOR": "1"}
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def evox(tmp_path: Path, place: dict[str, str]) -> Evox:
    """Return a function that runs a command of that user in the test's folder, or in ``cwd``."""

    def run(
        *arguments: str, cwd: Path = tmp_path, env: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return ended(*arguments, cwd=cwd, env=place | (env or {}))

    return run
