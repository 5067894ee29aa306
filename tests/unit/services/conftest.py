"""What tests of services share: modules of a user's, written and imported for one test."""

import importlib.util
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeAlias
from uuid import uuid4

import pytest

Load: TypeAlias = Callable[[str], ModuleType]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Return a function that writes a module and imports it; all of them are forgotten after the test."""
    names: list[str] = []

    def load_module(source: str) -> ModuleType:
        name = f"user_module_{uuid4().hex}"
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(source).lstrip("\n"), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        names.append(name)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    yield load_module
    for name in names:
        sys.modules.pop(name, None)
