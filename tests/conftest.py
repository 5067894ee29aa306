"""Fixtures for tests that run the command, or that are about who serves HTTP/1.1."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.lanes import LANES, said, served_by
from tests.support import EvoxProcess, Run, evox_process


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> str:
    """Return the loop that the process is to run on: both, one after the other."""
    return str(request.param)


@pytest.fixture(params=LANES)
def http1(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return who serves plain HTTP/1.1: both, one after the other. See ``tests.lanes``."""
    with served_by(request.param):
        yield str(request.param)


@pytest.fixture
def evox_run(tmp_path: Path) -> Iterator[Run]:
    """Return a function that starts ``evox run``: files, arguments, ``env=``. All of it is gone after the test."""
    with ExitStack() as stack:

        def start(files: Mapping[str, str], *arguments: str, env: Mapping[str, str] | None = None) -> EvoxProcess:
            return stack.enter_context(evox_process(tmp_path, files, *arguments, env=env))

        yield start


@pytest.fixture(scope="module")
def shared_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Return a function as ``evox_run``, that returns what a test of the module has started like this if it goes on."""
    running: dict[tuple[object, ...], EvoxProcess] = {}
    with ExitStack() as stack:

        def start(files: Mapping[str, str], *arguments: str, env: Mapping[str, str] | None = None) -> EvoxProcess:
            kind = (*files.items(), arguments, *(env or {}).items(), *said().items())
            if kind not in running or running[kind].process.poll() is not None:
                folder = tmp_path_factory.mktemp("shared")
                running[kind] = stack.enter_context(evox_process(folder, files, *arguments, env=env))
            return running[kind]

        yield start
