"""Fixtures for tests with a browser, which are skipped where there is none."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from tests.browser.live import CHROMIUM, Live, launched
from tests.browser.live import live as running_live


@pytest.fixture(scope="module")  # it holds a running loop, which no other module could run its own beside
def browser() -> Iterator[Any]:
    """Return the browser of a module; each test has windows of its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip(
            "there is no Chromium: chromium, chromium-browser and google-chrome are not on PATH, nor in CHROMIUM"
        )
    with playwright.sync_playwright() as started, launched(started) as made:
        yield made


@contextmanager
def ran(browser: Any, folder: Path) -> Iterator[Live]:
    runtime = Path(mkdtemp(prefix="evox-", dir="/tmp"))
    try:
        with ExitStack() as processes, running_live(browser, folder, runtime, processes) as made:
            yield made
    finally:
        shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture(autouse=True)
def closed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Close the windows of a test, if it has any."""
    browser: Any = request.getfixturevalue("browser") if "browser" in request.fixturenames else None
    yield
    for context in [] if browser is None else list(browser.contexts):
        context.close()


@pytest.fixture
def live(browser: Any, tmp_path: Path) -> Iterator[Live]:
    """Return services and a dashboard that run, for a test that stops them or breaks something."""
    with ran(browser, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def steady(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Return services under some load and a dashboard, for all tests of a module that only look."""
    with ran(browser, tmp_path_factory.mktemp("steady")) as made:
        made.load("orders", "/orders/1")
        made.load("users", "/rates", every=0.05)
        yield made
