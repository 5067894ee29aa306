"""``evox health --test``: what is printed and written, exit codes, and that nothing is started or left behind."""

import json
import os
import pty
import select
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from tests.forked import ended
from tests.support import LIVENESS, command, environment, free_port, write_files

SHOP = """
from pathlib import Path

from evox import auth, service

svc = service("shop").port(0)
print("shop is imported")


@svc.on_startup
def started() -> None:
    Path("started").touch()


@svc.background_task(interval=1)
def works() -> None:
    Path("worked").touch()


@svc.get("/orders/{order_id}", cache=60, fallback="aggressive", max_stale="1h")
@auth.require_roles("clerk")
async def read_order(order_id: int) -> str:
    Path("called").touch()
    return "an order"


@svc.delete("/orders/{order_id}")
@auth.require_roles("admin")
async def drop_order(order_id: int) -> None:
    Path("called").touch()
"""


def health(
    folder: Path, *arguments: str, loop: str = "trio", limit: float = LIVENESS, **env: str
) -> "subprocess.CompletedProcess[str]":
    return ended("health", *arguments, cwd=folder, env={"EVOX_BACKEND": loop, **env}, timeout=limit)


def names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


def test_a_project_in_order_ends_with_0_and_a_line_for_each_check(tmp_path: Path, backend: str) -> None:
    write_files(tmp_path, {"shop.py": SHOP})
    began = time.monotonic()
    done = health(tmp_path, "--test", "all", loop=backend)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 10
    lines = done.stdout.splitlines()
    *each, empty, last = lines
    assert empty == ""
    assert " 0 failed in " in last
    assert last.endswith(f" on {backend}")
    assert all(line.startswith(("ok    ", "skip  ")) for line in each)
    assert any(line.startswith("ok    framework   priority: a HIGH waiting behind 200 LOW is next  ") for line in each)
    assert "ok    services    auth: a call without a token is 401  2 operations of 1 service  " in done.stdout
    assert "skip  connection  proxy: services elsewhere  no peers and no registry are configured  " in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == "shop is imported\n"
    assert names(tmp_path) == {"shop.py"}


def test_json_has_a_version_and_a_list_of_results(tmp_path: Path, backend: str) -> None:
    write_files(tmp_path, {"shop.py": SHOP})
    done = health(tmp_path, "--test", "services", "--json", "shop.py", loop=backend)
    assert done.returncode == 0
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["schema"], found["group"], found["loop"], found["ok"]) == (1, "services", backend, True)
    assert {tuple(one) for one in found["results"]} == {("group", "name", "ok", "skipped", "why", "seconds")}
    assert {one["group"] for one in found["results"]} == {"services"}


def test_a_failure_ends_with_1_and_says_what_was_seen_what_was_expected_and_what_to_do(
    tmp_path: Path, backend: str
) -> None:
    port = free_port()
    toml = f'[peers]\nuser-svc = "http://127.0.0.1:{port}"\n'
    write_files(tmp_path, {"shop.py": SHOP, "evox.toml": toml})
    done = health(tmp_path, "--test", "connection", loop=backend)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("FAIL"))
    assert lines[at].startswith(f"FAIL  connection  proxy: peer user_svc at http://127.0.0.1:{port}  ")
    assert lines[at + 1].startswith(f"      saw       nobody answers at 127.0.0.1 (127.0.0.1) port {port}: ")
    assert lines[at + 2] == "      expected  a connection"
    assert lines[at + 3] == "      do        start user_svc, or correct peers.user_svc.url in [tool.evox]"
    assert ", 1 failed in " in lines[-1]
    found = json.loads(health(tmp_path, "--test", "connection", "--json", loop=backend).stdout)
    assert found["ok"] is False
    [failed] = [one for one in found["results"] if not one["ok"]]
    assert failed["why"].splitlines()[1] == "expected a connection"


def test_junit_and_output_are_written_to_files(tmp_path: Path) -> None:
    write_files(tmp_path, {"shop.py": SHOP})
    done = health(tmp_path, "--test", "framework", "--junit", "report.xml", "--output", "report.txt")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith("written to report.txt\nwritten to report.xml\n")
    root = ET.fromstring((tmp_path / "report.xml").read_text(encoding="utf-8"))
    assert [one.get("name") for one in root] == ["evox.framework"]
    text = (tmp_path / "report.txt").read_text(encoding="utf-8")
    assert text.count("\nok    ") + text.count("\nskip  ") + 1 == int(root.get("tests", "0"))
    written = health(tmp_path, "--test", "connection", "--json", "--output", "report.json")
    assert (written.returncode, written.stdout) == (0, "")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["ok"] is True
    refused = health(tmp_path, "--test", "connection", "--junit", ".")
    assert refused.returncode == 1
    assert "EVX-304" in refused.stderr


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"shop.py": "from evox import service\nsvc = service('shop')\n1 / 0\n"}, "EVX-302"),
        ({"shop.py": "answer = 42\n"}, "EVX-203"),
        ({"evox.toml": "port = 'many'\n", "shop.py": SHOP}, "EVX-102"),
        ({"shop.py": SHOP + "\nsvc.get('/a', cache='soon')(print)\n"}, "EVX-207"),
    ],
)
def test_a_project_that_does_not_load_ends_with_78_and_its_own_error(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    write_files(tmp_path, files)
    done = health(tmp_path, "--test", "all")
    assert (done.returncode, done.stdout) == (78, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 25
    as_json = health(tmp_path, "--test", "all", "--json")
    assert as_json.returncode == 78
    assert json.loads(as_json.stdout)["event"] == "error"


@pytest.mark.parametrize(
    "arguments",
    [
        ("shop.py",),
        ("--junit", "report.xml"),
        ("--test", "all", "--url", "http://127.0.0.1:1"),
        ("--test", "all", "--strict"),
        ("--test", "some"),
    ],
)
def test_options_that_do_not_belong_together_are_a_usage_error(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = health(tmp_path, *arguments)
    assert done.returncode == 2
    assert "--test" in done.stderr


def test_a_password_in_a_url_is_not_shown(tmp_path: Path) -> None:
    toml = f'[data]\nbackend = "valkey://me:hidden-word@127.0.0.1:{free_port()}/0"\ntimeout = 1\n'
    write_files(tmp_path, {"shop.py": SHOP, "evox.toml": toml})
    done = health(tmp_path, "--test", "connection", "--junit", "report.xml")
    assert done.returncode == 1
    assert "storage: valkey://me:***@127.0.0.1" in done.stdout
    assert "hidden-word" not in done.stdout + done.stderr + (tmp_path / "report.xml").read_text(encoding="utf-8")


def test_code_that_blocks_ends_the_process_with_1_and_names_the_check(tmp_path: Path) -> None:
    blocks = """
        import time

        from evox import service

        svc = service("shop")


        @svc.get("/")
        async def root() -> None: ...


        def openapi():
            while True:
                time.sleep(0.1)


        svc.app.openapi = openapi
    """
    write_files(tmp_path, {"shop.py": blocks})
    done = health(tmp_path, "--test", "framework", limit=18)
    assert done.returncode == 1
    assert "FAIL  framework   service shop: has an OpenAPI document" in done.stdout
    assert "saw       it holds the loop for 8 s" in done.stdout


def test_no_port_is_opened_beyond_loopback(tmp_path: Path, backend: str) -> None:
    write_files(tmp_path, {"shop.py": SHOP, "evox.toml": 'host = "0.0.0.0"\n'})
    watched = """
        import sys

        def watch(event, args):
            if event == "socket.bind":
                print("bound", args[1], file=sys.stderr)

        sys.addaudithook(watch)
        from evox.cli import main

        sys.exit(main(["health", "--test", "all"]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(watched)],
        cwd=tmp_path,
        env=environment({"EVOX_BACKEND": backend}),
        capture_output=True,
        text=True,
        timeout=LIVENESS,
        check=True,
    )
    bound = [line for line in done.stderr.splitlines() if line.startswith("bound ")]
    assert bound
    assert all(line.startswith("bound ('127.0.0.1', ") for line in bound)


def on_terminal(folder: Path, *arguments: str, **env: str) -> str:
    """Run it on a terminal of its own, and return what it wrote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("health", *arguments),
        cwd=folder,
        env=environment({"TERM": "xterm", "NO_COLOR": "", **env}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written, end = b"", time.monotonic() + LIVENESS
    while time.monotonic() < end and select.select([ours], [], [], LIVENESS)[0]:
        try:
            part = os.read(ours, 65_536)
        except OSError:
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait(LIVENESS) == 0
    return written.decode()


def test_C1_colours_are_for_terminals_that_want_them(tmp_path: Path) -> None:
    write_files(tmp_path, {"shop.py": SHOP})
    assert "\x1b[32mok  \x1b[0m  services" in on_terminal(tmp_path, "--test", "services")
    assert "\x1b" not in on_terminal(tmp_path, "--test", "services", NO_COLOR="1")
    assert "\x1b" not in on_terminal(tmp_path, "--test", "services", TERM="dumb")
