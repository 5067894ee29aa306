"""Fixtures for tests that run the command."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support import EvoxProcess, Run, evox_process


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> str:
    """Return the loop that the process is to run on: both, one after the other."""
    return str(request.param)


@pytest.fixture
def evox_run(tmp_path: Path) -> Iterator[Run]:
    """Return a function that starts ``evox run``: files, arguments, ``env=``. All of it is gone after the test."""
    with ExitStack() as stack:

        def start(files: Mapping[str, str], *arguments: str, env: Mapping[str, str] | None = None) -> EvoxProcess:
            return stack.enter_context(evox_process(tmp_path, files, *arguments, env=env))

        yield start
