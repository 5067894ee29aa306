"""The pictures of docs/dashboard.md and docs/health.md: ``UPDATE_SCREENSHOTS=1 pytest tests/browser``."""

import os
import struct
from pathlib import Path

import pytest
from tests.browser.live import Live
from tests.docs.pages import ROOT

PICTURES = {"dashboard-services": "/", "dashboard-queues": "/queues", "dashboard-errors": "/errors"}
REPORT = "health-report"  # of docs/health.md
LARGEST = 150_000  # bytes
FOLDER = ROOT / "docs" / "images"


@pytest.mark.parametrize("name", [*PICTURES, REPORT])
def test_a_picture_of_the_docs_is_small_and_1280_wide(name: str) -> None:
    data = (FOLDER / f"{name}.png").read_bytes()
    assert len(data) < LARGEST
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", data[16:20]) == (1280,)


@pytest.mark.skipif("UPDATE_SCREENSHOTS" not in os.environ, reason="pictures are taken with UPDATE_SCREENSHOTS=1")
@pytest.mark.timeout(120)
def test_pictures_are_taken_again(live: Live, tmp_path: Path) -> None:
    for service, path, clients in (("orders", "/orders/1", 1), ("users", "/rates", 1), ("users", "/users/1", 2)):
        live.load(service, path, clients=clients)
    live.load("users", "/reports", every=0.05, clients=5)
    watched = live.page()
    live.put(source=False)
    watched.page.wait_for_timeout(4_000)
    live.put()
    watched.page.wait_for_timeout(4_000)
    live.put(task=False)
    watched.page.wait_for_timeout(12_000)  # so that the charts have something to show
    for name, path in PICTURES.items():
        watched.page.goto(f"{live.url}{path}")
        watched.shows("users")
        watched.page.wait_for_timeout(1_500)
        height = watched.page.evaluate("document.querySelector('main').getBoundingClientRect().bottom")
        watched.page.set_viewport_size({"width": 1280, "height": min(int(height), 1_000)})
        watched.page.screenshot(path=FOLDER / f"{name}.png")
    live.report(tmp_path / "report.html")
    watched.page.goto((tmp_path / "report.html").as_uri())
    watched.page.set_viewport_size({"width": 1280, "height": 1_100})
    watched.page.screenshot(path=FOLDER / f"{REPORT}.png")
