"""``evox dashboard`` as a process beside others: what it finds, what it says, and what it leaves behind: nothing."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp

import httpx2
import pytest
from tests.support import LIVENESS, EvoxProcess, command, environment, evox_process

SHOP = """
from evox import service

svc = service("shop").port(0)


@svc.get("/")
async def root() -> str:
    return "shop"
"""
Start = Callable[..., EvoxProcess]


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Return a runtime directory of this test, short enough for the paths of sockets."""
    folder = Path(mkdtemp(prefix="evox-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start(tmp_path: Path, runtime: Path) -> Iterator[Start]:
    """Return a function that starts ``evox dashboard``, or another command that serves, in the test's own folders."""
    with ExitStack() as stack:

        def started(
            *arguments: str, files: Mapping[str, str] | None = None, subcommand: str = "dashboard"
        ) -> EvoxProcess:
            env = {"XDG_RUNTIME_DIR": str(runtime), "XDG_STATE_HOME": str(tmp_path / "state")}
            process = evox_process(tmp_path, files or {}, *arguments, env=env, subcommand=subcommand)
            return stack.enter_context(process)

        yield started


def ended(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``evox dashboard`` to its end."""
    return subprocess.run(
        command("dashboard", *arguments),
        capture_output=True,
        text=True,
        timeout=LIVENESS,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        check=False,
    )


@contextmanager
def browser(dashboard: EvoxProcess) -> Iterator[httpx2.Client]:
    """Give a client that the dashboard has let in."""
    url = dashboard.event("dashboard")["url"]
    with httpx2.Client(base_url=url.partition("/enter")[0], timeout=LIVENESS, trust_env=False) as client:
        assert client.get(url).status_code == 200
        yield client


def wait_for(client: httpx2.Client, path: str, *texts: str) -> str:
    """Ask for a page until it has these texts."""
    end = time.monotonic() + LIVENESS
    while not all(text in (page := client.get(path).text) for text in texts):
        assert time.monotonic() < end, page
        time.sleep(0.05)
    return page


def test_it_finds_what_runs_on_either_loop_and_leaves_nothing_behind(
    start: Start, backend: str, runtime: Path, tmp_path: Path
) -> None:
    shop = start("--json", "--backend", backend, files={"shop.py": SHOP}, subcommand="run")
    shop.event("started")
    before = sorted((runtime / "evox").iterdir())
    dashboard = start("--port", "0", "--json", "--backend", backend)
    with browser(dashboard) as client:
        page = wait_for(client, "/", "shop", f"pid {shop.process.pid}", "✓ up")
        assert "evox-dashboard" not in page
        wait_for(client, "/tasks", "svc:shop")
        assert client.get("/_evox/snapshot").status_code in (401, 404)  # it is not looked into itself
    assert sorted((runtime / "evox").iterdir()) == before
    assert dashboard.end() == 0
    assert dashboard.err == ""
    assert sorted((runtime / "evox").iterdir()) == before
    assert [one.name for one in (tmp_path / "state").rglob("*") if one.is_file()] == ["dashboard.sqlite"]
    assert shop.end() == 0
    assert list((runtime / "evox").iterdir()) == []


def test_it_ends_while_a_browser_is_connected_and_while_a_process_hangs(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        dashboard = start("--port", "0", "--json", "--url", f"http://127.0.0.1:{hanging.getsockname()[1]}")
        with browser(dashboard) as client:
            wait_for(client, "/", "it gave no answer within 2 s")
            began = time.monotonic()
            assert dashboard.end() == 0
            assert time.monotonic() - began < 5


def test_a_second_dashboard_of_the_same_user_shares_the_history(start: Start) -> None:
    one, two = start("--port", "0", "--json"), start("--port", "0", "--json")
    with browser(one) as first, browser(two) as second:
        assert first.get("/series").status_code == second.get("/series").status_code == 200
    assert one.end() == two.end() == 0
    assert one.err == two.err == ""


def test_a_process_that_leaves_is_shown_as_gone_and_found_again_when_it_is_back(start: Start) -> None:
    shop = start("--json", files={"shop.py": SHOP}, subcommand="run")
    dashboard = start("--port", "0", "--json")
    with browser(dashboard) as client:
        wait_for(client, "/", "✓ up")
        assert shop.end() == 0
        wait_for(client, "/", "✕ gone")
        again = start("--json", files={"shop.py": SHOP}, subcommand="run")
        wait_for(client, "/", f"pid {again.process.pid}", "✓ up", "✕ gone")


def test_without_json_it_says_in_words_where_it_is_opened(start: Start) -> None:
    dashboard = start("--port", "0")
    line = dashboard.wait_line("/enter?code=")
    assert httpx2.get(line.strip(), trust_env=False).status_code == 200
    assert "/docs" not in dashboard.out  # the banner named documentation that is not there
    assert dashboard.end() == 0


def test_a_busy_port_is_one_screen_and_its_own_exit_code() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ended("--port", str(port))
    assert done.returncode == 69
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("url", ["http://shop.example:8080", "http://10.0.0.1", "http://[2001:db8::1]:80"])
def test_a_token_is_not_sent_over_plain_http_to_another_machine(url: str) -> None:
    done = ended("--port", "0", "--url", url, "--token-from", "env:LOOK", LOOK="t" * 40)
    assert done.returncode == 78
    assert "https only" in done.stderr
    assert "t" * 40 not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "url", ["", "shop", "ftp://shop", "http://", "http://a:b", "http://u:p@shop", "file:///etc/passwd"]
)
def test_what_is_no_url_of_a_service_is_refused(url: str) -> None:
    done = ended("--port", "0", "--url", url)
    assert done.returncode == 78
    assert "--url" in done.stderr


def test_a_token_that_is_not_there_is_refused() -> None:
    done = ended("--port", "0", "--url", "https://shop.example", "--token-from", "env:NOT_SET")
    assert done.returncode == 78
    assert "NOT_SET" in done.stderr


def test_a_token_is_shown_over_plain_http_on_this_machine(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("LOOK", "t" * 40)
        start(
            "--port", "0", "--json", "--url", f"http://127.0.0.1:{server.getsockname()[1]}", "--token-from", "env:LOOK"
        )
        server.settimeout(LIVENESS)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(LIVENESS)
            asked = connection.recv(65_536).decode()
    assert asked.startswith("GET /_evox/snapshot HTTP/1.1")
    assert f"authorization: bearer {'t' * 40}" in asked.lower()


@pytest.mark.parametrize("place", ["file/below/h.sqlite", "folder"])
def test_a_history_that_cannot_be_made_is_one_screen(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    done = ended("--port", "0", "--history", str(tmp_path / place))
    assert done.returncode == 78
    assert done.stderr.startswith("error EVX-")
    assert len(done.stderr.splitlines()) <= 5


def test_a_damaged_history_is_moved_aside_and_it_runs(start: Start, tmp_path: Path) -> None:
    (tmp_path / "h.sqlite").write_bytes(b"no database" * 1000)
    dashboard = start("--port", "0", "--json", "--history", "h.sqlite")
    with browser(dashboard) as client:
        wait_for(client, "/", "could not be read, and is now h.sqlite.unreadable-")
    assert dashboard.end() == 0


def test_no_browser_is_opened_where_nobody_looks(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a pipe; and not in CI, whatever a terminal there is."""
    opener = tmp_path / "opener"
    opener.write_text(f"#!/bin/sh\ntouch {tmp_path}/opened\n")
    opener.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(opener))
    dashboard = start("--port", "0", "--json")
    with browser(dashboard):
        pass
    assert dashboard.end() == 0
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("ci", [False, True])
def test_a_browser_is_opened_in_a_terminal_unless_it_is_ci_or_not_wanted(
    tmp_path: Path, runtime: Path, ci: bool
) -> None:
    opener = tmp_path / "opener"
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opening\nmv {tmp_path}/opening {tmp_path}/opened\n')
    opener.chmod(0o755)
    env = environment({"BROWSER": f"{opener} %s", "XDG_RUNTIME_DIR": str(runtime), "XDG_STATE_HOME": str(tmp_path)})
    env = {**{name: value for name, value in env.items() if name != "CI"}, **({"CI": "1"} if ci else {})}
    ours, theirs = os.openpty()
    process = subprocess.Popen(command("dashboard", "--port", "0"), stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    try:
        said = b""
        while b"/enter?code=" not in said:
            said += os.read(ours, 4096)
        end = time.monotonic() + LIVENESS
        while not ci and not (tmp_path / "opened").exists():
            assert time.monotonic() < end, said
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIVENESS) == 0
        assert (tmp_path / "opened").exists() != ci
        assert ci or "/enter?code=" in (tmp_path / "opened").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
        os.close(theirs)


def test_help_is_there_at_once_and_imports_no_server() -> None:
    program = """
import sys
from evox.cli import main
print(main(["dashboard", "--help"]), sorted({"fastapi", "jinja2", "httpx2"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=LIVENESS,
        env=environment(),
        check=False,
    )
    assert "Nothing can be changed" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 []"
