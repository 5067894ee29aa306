"""The dashboard as a service: routes are only looked at, answers guarded, pages made of whatever there is."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from starlette.routing import Mount, Route
from tests.unit.observe.manager.snapshots import call, said

from evox import Service
from evox.observe.asking import CannotSee, Source
from evox.observe.forms import Snapshot
from evox.observe.manager import Sessions, dashboard_service
from evox.observe.manager.writing import PAGES
from evox.testing import running

LIVENESS = 10.0
PATHS = [path for path, _ in PAGES]
PARTS = [f"/parts/{name.lower()}" for _, name in PAGES]


class Told(Source):
    """A process whose answers a test tells; a text is why it cannot be asked."""

    def __init__(self, answer: Any, tree: Any = None) -> None:
        super().__init__("told", url="http://127.0.0.1:1")
        self.answer, self.tree = answer, tree

    async def snapshot(self) -> Snapshot:
        if isinstance(self.answer, str):
            raise CannotSee(self.answer)
        return Snapshot.model_validate(self.answer)

    async def view(self, service: str, view: str) -> Any:
        if isinstance(self.tree, Exception):
            raise self.tree
        return self.tree


@asynccontextmanager
async def looking(*sources: Source, history: Path | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """Run a dashboard that asks these, and give a browser that it has let in, once all were asked."""
    sessions = Sessions()
    made: Sequence[Source] = sources
    service = dashboard_service(sessions, sources=lambda: made, history=history, look=None, every=0.02)
    async with running(service) as env:
        client = env.client(service, base_url="http://127.0.0.1:8100", raise_errors=False)
        await client.get(f"/enter?code={sessions.code}")
        if sources:
            await wait_for(client, "/", lambda page: "is being asked" not in page)
        yield client


async def wait_for(client: httpx2.AsyncClient, path: str, good: Callable[[str], bool]) -> None:
    """Ask for a page until it is good."""
    with anyio.fail_after(LIVENESS):
        while not good((await client.get(path)).text):
            pass


def routes(service: Service) -> list[Route | Mount]:
    return [one for one in service.app.routes if isinstance(one, Route | Mount)]


def test_all_routes_of_the_dashboard_are_only_to_be_looked_at() -> None:
    """Nothing can be changed through it, because there is nothing that changes anything."""
    service = dashboard_service(Sessions(), look=None)
    found = routes(service)
    assert len(found) == len(service.app.routes)
    assert {one.path for one in found} >= {*PATHS, *PARTS, "/series", "/static"}
    methods = set().union(*(one.methods or set() for one in found if isinstance(one, Route)))
    assert methods == {"GET", "HEAD"}
    assert [one.path for one in found if isinstance(one, Mount)] == ["/static"]
    assert not service.endpoints


@pytest.mark.parametrize("path", [*PATHS, *PARTS])
async def test_every_page_can_be_made_without_any_process(path: str) -> None:
    async with looking() as client:
        answer = await client.get(path)
        assert answer.status_code == 200
        assert "no process" in answer.text.lower() or path.endswith(("graph", "errors"))


@pytest.mark.parametrize("path", [*PATHS, *PARTS])
async def test_every_page_says_what_is_wrong_with_a_process_or_leaves_it_out(path: str) -> None:
    async with looking(Told("it cannot be reached: refused")) as client:
        answer = await client.get(path)
        assert answer.status_code == 200
        if path in ("/", "/parts/services"):
            assert "it cannot be reached: refused" in answer.text
            assert "Something is failing" in answer.text


@pytest.mark.parametrize("path", [*PATHS, *PARTS])
async def test_every_page_can_be_made_of_the_least_that_a_process_says(path: str) -> None:
    async with looking(Told(said(), {"count": 0, "roots": []})) as client:
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize(
    "path", [*PATHS, *PARTS, "/series", "/static/dashboard.js", "/static/nothing", "/nowhere", "/docs"]
)
async def test_every_answer_has_its_headers_and_head_is_answered(path: str) -> None:
    async with looking() as client:
        for method in ("GET", "HEAD"):
            answer = await client.request(method, path)
            assert answer.status_code == (404 if path in ("/static/nothing", "/nowhere", "/docs") else 200)
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert method == "GET" or not answer.content


async def test_an_error_of_the_dashboard_itself_has_its_headers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with looking() as client:
        monkeypatch.setattr("evox.observe.manager.service.write", lambda *_: 1 / 0)
        answer = await client.get("/queues")
        assert answer.status_code == 500
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "division" not in answer.text


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/redoc", "/.well-known/evox"])
async def test_nothing_that_other_services_have_is_there(path: str) -> None:
    async with looking() as client:
        assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize(
    "path", ["/static/../service.py", "/static/%2e%2e/service.py", "/static//etc/passwd", "/static/"]
)
async def test_nothing_but_static_files_is_given_out(path: str) -> None:
    async with looking() as client:
        assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("seconds", ["", "x", "nan", "-nan", "inf", "-inf", "-1", "0", "1e400", "86401", "1x"])
async def test_no_chart_is_made_of_what_is_no_time(seconds: str) -> None:
    """Not a number was an error of the dashboard itself."""
    async with looking() as client:
        assert (await client.get("/series", params={"seconds": seconds})).status_code == 422


async def test_series_are_what_the_history_holds(tmp_path: Path) -> None:
    async with looking(Told(said()), history=tmp_path / "h.sqlite") as client:
        answer = await client.get("/series?seconds=300")
        found = answer.json()
        assert set(found) == {"at", "series"}
        assert all(len(one) == len(found["at"]) for one in found["series"].values())
        assert {"rate", "errors", "p50", "p95", "wait.high", "queued.medium", "rejected.low"} <= set(found["series"])


async def test_a_history_that_was_moved_aside_is_said_on_every_page(tmp_path: Path) -> None:
    file = tmp_path / "h.sqlite"
    file.write_bytes(b"no database" * 1000)
    async with looking(history=file) as client:
        for path in (*PATHS, *PARTS):
            assert "could not be read, and is now h.sqlite.unreadable-" in (await client.get(path)).text, path


async def test_a_history_that_cannot_be_written_is_said_and_nothing_else_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the log told of it; and a full disk ended the poller."""
    import sqlite3

    from evox.observe.manager.history import History

    async def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(History, "_write", full)
    clock = iter(range(10**9))

    class Busy(Told):
        async def snapshot(self) -> Snapshot:
            return Snapshot.model_validate(said(uptime=next(clock)))

    async with looking(Busy(None), history=tmp_path / "h.sqlite") as client:
        await wait_for(client, "/parts/queues", lambda page: "the history cannot be written" in page)
        assert (await client.get("/series")).status_code == 200


async def test_a_process_that_is_asked_in_two_ways_is_shown_once() -> None:
    async with looking(Told(said()), Told(said()), Told("it cannot be reached")) as client:
        page = (await client.get("/parts/services")).text
        assert page.count("box · pid 7") == 1
        assert page.count("it cannot be reached") == 2  # among what wants a look, and of the process


async def test_what_a_process_that_is_gone_has_said_is_not_so_now() -> None:
    """After each reload, what the code before had failed with was wrong now for ten minutes more."""
    incident: dict[str, Any] = {"kind": "endpoint", "subject": "x", "severity": "warn", "service": "users"}
    incident |= {"reason": "the old bug", "since": 1.0, "last": 2.0, "count": 3, "until": None}
    clock = iter(range(10**9))
    instance = "one"

    class Reloaded(Told):
        async def snapshot(self) -> Snapshot:
            incidents = [incident] if instance == "one" else []
            calls = [call((at := next(clock)) * 7)]
            return Snapshot.model_validate(said(instance, uptime=at, incidents=incidents, calls=calls))

    async with looking(Reloaded(None)) as client:
        await wait_for(client, "/parts/services", lambda page: '<td class="n">7.0</td>' in page)
        assert "the old bug" in (await client.get("/parts/errors")).text.partition("Recovered")[0]
        instance = "two"
        await wait_for(client, "/parts/services", lambda page: "✕ gone" in page and '<td class="n">7.0</td>' in page)
        services = (await client.get("/parts/services")).text
        assert services.count('<td class="n">7.0</td>') == 1
        assert services.rindex("✓ up") < services.rindex("✕ gone")
        now, _, ended = (await client.get("/parts/errors")).text.partition("Until the process ended")
        assert ("Nothing is wrong that is known." in now, "the old bug" in now) == (True, False)
        assert "the old bug" in ended
        assert "pid 7 · gone" in (await client.get("/parts/calls")).text


async def test_a_process_that_does_not_answer_stands_among_what_wants_a_look() -> None:
    """The page said that something is failing, and not what."""
    async with looking(Told("it gave no answer within 2 s")) as client:
        page = (await client.get("/parts/services")).text
        findings = page.partition('id="findings"')[2].partition("</ul>")[0]
        assert "it cannot be seen" in findings
        assert "it gave no answer within 2 s" in findings
        assert "see whether it runs and hangs" in findings


async def test_a_tree_that_cannot_be_seen_is_one_sentence() -> None:
    for tree in (CannotSee("it gave no answer within 2 s"), None):
        async with looking(Told(said(), tree)) as client:
            text = (await client.get("/tasks")).text
            assert ("it gave no answer" if tree else "no tree of tasks") in text


async def test_a_deep_tree_is_a_page() -> None:
    task: dict[str, Any] = {"name": "leaf", "count": 0, "children": []}
    for _ in range(300):
        task = {"name": "task", "count": 1, "children": [task]}
    async with looking(Told(said(), {"count": 301, "roots": [task]})) as client:
        answer = await client.get("/tasks")
        assert answer.status_code == 200
        assert "240 more are not shown" in answer.text


def test_templates_and_static_files_are_part_of_the_package() -> None:
    """So they are in the wheel, which takes the whole folder."""
    package = files("evox.observe.manager")
    templates = {one.name for one in package.joinpath("templates").iterdir()}
    assert templates >= {f"{name.lower()}.html.j2" for _, name in PAGES} | {
        "base.html.j2",
        "part.html.j2",
        "macros.html.j2",
    }
    static = {one.name: one.read_bytes() for one in package.joinpath("static").iterdir()}
    base = package.joinpath("templates", "base.html.j2").read_text(encoding="utf-8")
    named = {part.split('"')[0] for part in base.split("/static/")[1:]}
    assert named <= set(static)
    assert all(static.values())


def test_every_vendored_file_has_its_version_and_its_licence_told() -> None:
    static = files("evox.observe.manager").joinpath("static")
    about = static.joinpath("README.md").read_text(encoding="utf-8")
    for one in static.iterdir():
        assert one.name in about, one.name
    assert "sourceMappingURL" not in static.joinpath("htmx-4.0.1.min.js").read_text(encoding="utf-8")


def test_no_page_names_another_host() -> None:
    for folder in ("templates", "static"):
        for one in files("evox.observe.manager").joinpath(folder).iterdir():
            if one.name.startswith(("dashboard", "base")) or one.name.endswith(".j2"):
                text = one.read_text(encoding="utf-8").replace("https://host:8443", "")
                assert 'src="http' not in text
                assert 'href="http' not in text
                assert "@import" not in text
