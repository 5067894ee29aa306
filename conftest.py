"""Every async test runs on both loops. Time is virtual where a test asks for it; only bounds on liveness are real."""

from collections.abc import Generator
from typing import Any

import pytest


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Return the loop: both, one after the other. Modules with virtual time override it with ``virtual_trio()``."""
    return request.param


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Replace halves of characters in what a test has logged or written: a worker could not send its report."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report
