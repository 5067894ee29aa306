"""Every async test runs on both loops. Time is virtual where a test asks for it; only bounds on liveness are real."""

import gc
import signal
import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from evox.errors.masking import remembering

# What runs in the background of a shell is told to ignore Ctrl-C, and so are all processes that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Return the loop: both, one after the other. Modules with virtual time override it with ``virtual_trio()``."""
    return request.param


def pytest_collection_finish() -> None:
    """Have the garbage collector look no more at what is there for the whole run: that is most of all that there is."""
    gc.collect()
    gc.freeze()
    gc.collect()  # so that it is no measure of when to look again


@pytest.fixture(autouse=True)
def own_secrets() -> Iterator[None]:
    """Let what one test has loaded as a secret be an ordinary word in the next."""
    with remembering():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Replace halves of characters in what a test has logged or written: a worker could not send its report."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report
