"""The fixture that starts servers."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.unit.bench.http.answering import Serve, running


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server; it is gone after the test."""
    with ExitStack() as stack:
        yield lambda pieces: stack.enter_context(running(pieces))
