"""Folders of user code, imported and forgotten again."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support import write_files

Project = Callable[[dict[str, str]], Path]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Return a function that writes files and gives their folder; what was imported from there is forgotten after."""
    path, modules = list(sys.path), set(sys.modules)

    def write(files: dict[str, str]) -> Path:
        write_files(tmp_path, files)
        return tmp_path

    yield write
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)) or not file:
            del sys.modules[name]
    sys.path_importer_cache.clear()
