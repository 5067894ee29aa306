"""Live: services under load, the dashboard, and a page of Chromium that watches them. Nothing here asserts anything.

All of it is real: processes, sockets, a browser. Each test has its own runtime directory, so tests run side by side.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from tests.support import EvoxProcess, command, environment, evox_process

if TYPE_CHECKING:  # where it is not installed, tests are skipped
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request

__all__ = ["CHROMIUM", "LIVENESS", "Live", "Watched", "launched", "live"]

LIVENESS = 10.0  # seconds for whatever has to come; a test has 20

SERVICES = """
import anyio
from evox import Body, ServiceBuilder
from evox.core import proxy

state = {"source": True, "task": True}
users = ServiceBuilder("users").port(0).concurrency(total=4, high=4, medium=3, low=1, queue=2)
orders = ServiceBuilder("orders").port(0)


@users.get("/users/{i}", priority="high")
async def get_user(i: int) -> dict:
    await anyio.sleep(0.002)
    return {"id": i}


@users.get("/reports", priority="low")
async def reports() -> dict:
    await anyio.sleep(0.1)
    return {}


@users.get("/rates", cache=0.2, fallback="aggressive", max_stale="1h")
async def rates() -> dict:
    if not state["source"]:
        raise ConnectionError("the rate server does not answer")
    return {"eur": 1}


@users.put("/state", priority="high")
async def put(source: bool = Body(), task: bool = Body()) -> dict:
    state.update(source=source, task=task)
    return state


@users.background_task(interval=0.2, on_error="log")
async def tidy() -> None:
    if not state["task"]:
        raise RuntimeError("the disk is full")


@orders.get("/orders/{i}")
async def order(i: int) -> dict:
    return {"order": i, "user": await proxy.users.get_user(i)}
"""
CONFIGURATION = """
[data]
throttle = 0.3
"""
SHOWN = """
([where, texts]) => {
  const all = [...document.querySelectorAll(where)].map((one) => one.innerText).join("\\n");
  return texts.every((text) => all.includes(text));
}
"""
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def _found() -> str | None:
    named = os.environ.get("CHROMIUM")
    return shutil.which(named) if named else next((path for name in _NAMES if (path := shutil.which(name))), None)


CHROMIUM = _found()
"""The browser: what CHROMIUM names, or one on PATH; None without one."""


@dataclass
class Watched:
    """A page, and all that it asked for and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type != "log" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.context.on("request", self._note)

    def _note(self, request: Request) -> None:
        self.requests.append(request.url)

    def shows(self, *texts: str, within: float = LIVENESS, where: str = "main") -> float:
        """Wait until a part of the page has all these texts; return how long that took."""
        began = time.monotonic()
        self.page.wait_for_function(
            SHOWN,
            arg=[where, list(texts)],
            timeout=within * 1000,
            polling=50,
        )
        return time.monotonic() - began

    def until(self, check: Callable[[], object], what: str = "") -> None:
        """Wait until a check holds. The browser is listened to meanwhile."""
        end = time.monotonic() + LIVENESS
        while not check():
            assert time.monotonic() < end, what
            self.page.wait_for_timeout(30)

    def requests_come(self, count: int) -> None:
        """Wait until the page has asked for so many more things."""
        before = len(self.requests)
        self.until(lambda: len(self.requests) >= before + count, self.page.url)

    def number(self, selector: str) -> float:
        """Return the number that an element shows."""
        return float(self.page.locator(selector).first.inner_text().replace(",", "").split()[0])


class Live:
    """Services, a dashboard and a browser.

    Attributes:
        url: Of the dashboard, without its code.
        entrance: The URL that lets a browser in.
        services: The process of the services.
        dashboard: The process of the dashboard.
    """

    def __init__(self, browser: Browser, folder: Path, runtime: Path, start: Callable[..., EvoxProcess]) -> None:
        self._browser, self._folder, self._runtime, self._start = browser, folder, runtime, start
        self._load: list[threading.Thread] = []
        self._over = threading.Event()
        self.lag = 0.0
        self._tick(0.02, self._measure_lag)
        self._run_dashboard("--port", "0")
        self.start_services()
        self._await_dashboard()

    def start_services(self) -> None:
        """Start the services, or start them again."""
        files = {"services.py": SERVICES, "evox.toml": CONFIGURATION}
        self.services = self._start("services.py", "--json", files=files, subcommand="run")
        self.services.event("started")

    def report(self, file: Path) -> None:
        """Have ``evox health`` write its page."""
        done = subprocess.run(
            command("health", "--output", str(file)),
            env=environment({"XDG_RUNTIME_DIR": str(self._runtime)}),
            capture_output=True,
            check=False,
            timeout=LIVENESS,
        )
        assert file.exists(), done.stderr

    def start_dashboard(self, port: str) -> None:
        """Start the dashboard again."""
        self._run_dashboard("--port", port)
        self._await_dashboard()

    def _run_dashboard(self, *arguments: str) -> None:
        self.dashboard = self._start("--json", *arguments, files={}, subcommand="dashboard")

    def _await_dashboard(self) -> None:
        self.entrance = self.dashboard.event("dashboard")["url"]
        self.url = self.entrance.partition("/enter")[0]
        self._known: Any = None

    def put(self, *, source: bool = True, task: bool = True) -> None:
        """Say whether the source and the background task of ``users`` work."""
        url = f"{self.services.url('users')}/state"
        httpx2.put(url, json={"source": source, "task": task}, trust_env=False, timeout=LIVENESS).raise_for_status()

    def load(self, service: str, path: str, *, every: float = 0.02, clients: int = 1) -> Callable[[], None]:
        """Send requests until the test ends, or what is returned is called."""
        enough = threading.Event()
        url = f"{self.services.url(service)}{path}"

        def send(client: httpx2.Client) -> None:
            try:
                client.get(url)
            except httpx2.HTTPError:
                enough.wait(0.1)

        for _ in range(clients):
            client = httpx2.Client(trust_env=False, timeout=LIVENESS)
            self._tick(every, partial(send, client), enough, client.close)
        return enough.set

    def page(self, path: str = "/", **options: Any) -> Watched:
        """Open a page in a browser that the dashboard has let in."""
        watched = Watched(self.context(is_known=True, **options).new_page())
        watched.page.goto(f"{self.url}{path}")
        return watched

    def context(self, *, is_known: bool, **options: Any) -> BrowserContext:
        """Return a browser of its own, of any size and scheme of colours; one that was let in, or one that was not."""
        options = {"viewport": {"width": 1280, "height": 900}} | options
        if is_known and self._known is None:
            self._known = self._let_in()
        context = self._browser.new_context(storage_state=self._known if is_known else None, **options)
        context.set_default_timeout(LIVENESS * 1000)
        return context

    def _let_in(self) -> Any:
        """Bring the code that the dashboard has printed, and return the cookie that comes of it, for browsers."""
        with httpx2.Client(trust_env=False, timeout=LIVENESS) as client:
            client.get(self.entrance).raise_for_status()
            ((name, value),) = client.cookies.items()
        rest = {"expires": -1, "httpOnly": True, "secure": False, "sameSite": "Strict"}
        return {"cookies": [{"name": name, "value": value, "domain": "127.0.0.1", "path": "/"} | rest], "origins": []}

    def close(self) -> None:
        """End all load."""
        self._over.set()
        for thread in self._load:
            thread.join(LIVENESS)

    def _measure_lag(self) -> None:
        began = time.monotonic()
        self._over.wait(0.01)
        self.lag = max(self.lag, time.monotonic() - began - 0.01)

    def _tick(
        self,
        every: float,
        act: Callable[[], None],
        enough: threading.Event | None = None,
        at_the_end: Callable[[], None] = lambda: None,
    ) -> None:
        def run() -> None:
            while not self._over.wait(every) and not (enough is not None and enough.is_set()):
                act()
            at_the_end()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._load.append(thread)


@contextmanager
def launched(playwright: Playwright, arguments: Sequence[str] = ()) -> Iterator[Browser]:
    """Start the browser."""
    browser = playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb", *arguments],
    )
    try:
        yield browser
    finally:
        browser.close()


@contextmanager
def live(browser: Browser, folder: Path, runtime: Path, processes: Any) -> Iterator[Live]:
    """Start services and a dashboard in folders of their own."""
    env = {"XDG_RUNTIME_DIR": str(runtime), "XDG_STATE_HOME": str(runtime)}

    def start(*arguments: str, files: dict[str, str], subcommand: str) -> EvoxProcess:
        made: EvoxProcess = processes.enter_context(
            evox_process(folder, files, *arguments, env=env, subcommand=subcommand)
        )
        return made

    made = Live(browser, folder, runtime, start)
    try:
        yield made
    finally:
        made.close()
