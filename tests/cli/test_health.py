"""``evox health`` beside ``evox run``: it finds what runs, says how that is, and ends with a code for scripts."""

import json
import os
import pty
import select
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.forked import ended
from tests.support import LIVENESS, Run, command, environment

from evox.cli.health import may_open

SHOP = """
from evox import service

svc = service("shop").port(0)


@svc.get("/")
async def root() -> str:
    return "here"
"""
TOKEN = "observe-" + "x" * 32


def health(folder: Path, env: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return ended("health", *arguments, cwd=folder, env=env)


def said(folder: Path, env: dict[str, str], *arguments: str) -> dict[str, Any]:
    done = health(folder, env, "--json", *arguments)
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_without_anything_that_runs_it_says_how_to_start_or_name_something(
    tmp_path: Path, place: dict[str, str]
) -> None:
    done = health(tmp_path, place)
    assert (done.returncode, done.stdout) == (1, "")
    assert "EVX-303" in done.stderr
    assert "evox run" in done.stderr
    assert "--url" in done.stderr


def test_O3_what_runs_is_found_and_shown_as_a_table_and_as_json(
    evox_run: Run, place: dict[str, str], backend: str
) -> None:
    process = evox_run({"shop.py": SHOP}, "shop.py", "--json", "--backend", backend, env=place)
    assert process.get("/").status_code == 200
    done = health(process.folder, place)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("evox health: green: all is well\n1 service in 1 process, ")
    assert f"{process.url().removeprefix('http://')}/docs" in done.stdout
    assert "\x1b" not in done.stdout
    found = said(process.folder, place)
    assert (found["schema"], found["level"]) == (1, "pass")
    [one] = found["processes"]
    assert one["snapshot"]["process"]["loop"] == backend
    assert one["snapshot"]["services"][0]["name"] == "shop"
    assert process.end() == 0
    assert health(process.folder, place).returncode == 1


def test_a_process_that_hangs_is_red_with_its_reason_and_others_are_shown(evox_run: Run, place: dict[str, str]) -> None:
    hanging = evox_run({"shop.py": SHOP}, "shop.py", "--json", env=place)
    hanging.event("started")
    other = evox_run({"mail.py": SHOP.replace("shop", "mail")}, "mail.py", "--json", env=place)
    other.event("started")
    os.kill(hanging.process.pid, 19)  # SIGSTOP
    done = health(other.folder, place)
    assert done.returncode == 1
    assert "it cannot be seen" in done.stdout
    assert "it gave no answer within 2 s" in done.stdout
    assert "ok      mail" in done.stdout


def test_the_page_is_written_whole_and_for_its_owner_alone(evox_run: Run, place: dict[str, str]) -> None:
    process = evox_run({"shop.py": SHOP}, "shop.py", "--json", env=place)
    process.event("started")
    target = process.folder / "page.html"
    target.write_text("old", encoding="utf-8")
    target.chmod(0o644)
    done = health(process.folder, place, "--output", "page.html")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "written to page.html\n")
    html = target.read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    assert html.endswith("</html>\n")
    assert f'<a href="{process.url()}/docs"' in html
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [one.name for one in process.folder.iterdir() if "page.html" in one.name] == ["page.html"]
    assert health(process.folder, place, "--json", "--output", "page.json").stdout == ""
    assert json.loads((process.folder / "page.json").read_text(encoding="utf-8"))["level"] == "pass"
    refused = health(process.folder, place, "--output", ".")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "it is a folder" in refused.stderr


def test_where_a_token_is_asked_for_it_is_shown_from_its_source_and_never_from_the_command_line(
    evox_run: Run, place: dict[str, str]
) -> None:
    files = {"evox.toml": '[observe]\naccess = "token"\ntokens = ["env:LOOK"]\n', "shop.py": SHOP, "token": TOKEN}
    process = evox_run(files, "shop.py", "--json", env=place | {"LOOK": TOKEN})
    url = process.url()
    for source in ("env:MINE", "token"):
        done = health(process.folder, place | {"MINE": TOKEN}, "--url", url, "--token-from", source)
        assert (done.returncode, done.stderr) == (0, "")
        assert "1 service in 1 process" in done.stdout
    without = health(process.folder, place, "--url", url)
    assert without.returncode == 1
    assert "it does not let us look (401)" in without.stdout
    itself = health(process.folder, place, "--url", url, "--token-from", TOKEN)
    assert itself.returncode == 78
    assert TOKEN not in itself.stderr + itself.stdout


def test_a_token_does_not_go_over_plain_http_to_other_machines(tmp_path: Path, place: dict[str, str]) -> None:
    done = health(tmp_path, place | {"T": TOKEN}, "--url", "http://192.0.2.1:8001", "--token-from", "env:T")
    assert done.returncode == 78
    assert "a token goes over https only" in done.stderr
    assert TOKEN not in done.stderr


def test_a_token_without_a_url_is_a_usage_error(tmp_path: Path, place: dict[str, str]) -> None:
    done = health(tmp_path, place, "--token-from", "env:T")
    assert done.returncode == 2
    assert "--url" in done.stderr


def test_a_service_with_tls_is_asked_with_the_certificates_that_are_named(
    evox_run: Run, place: dict[str, str], tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    files = {"evox.toml": '[observe]\naccess = "loopback"\n', "shop.py": SHOP}
    process = evox_run(files, "shop.py", "--json", "--certfile", "server.pem", env=place)
    url = process.url()
    assert url.startswith("https://")
    done = health(process.folder, place, "--url", url, "--cafile", "ca.pem")
    assert (done.returncode, done.stderr) == (0, "")
    strange = health(process.folder, place, "--url", url)
    assert strange.returncode == 1
    assert "it cannot be reached" in strange.stdout


@pytest.mark.parametrize(
    ("environ", "platform", "opens"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ":0", "CI": "true"}, "linux", False),
        ({"DISPLAY": ":0", "CI": "false"}, "linux", True),
        ({}, "darwin", True),
        ({"CI": "1"}, "darwin", False),
    ],
)
def test_a_browser_is_opened_where_somebody_looks(environ: dict[str, str], platform: str, opens: bool) -> None:
    assert may_open(environ, platform) is opens


def on_terminal(folder: Path, env: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Run it on a terminal of its own; return its exit code and what it wrote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("health", *arguments), cwd=folder, env=environment(env), stdin=theirs, stdout=theirs, stderr=theirs
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
    return process.wait(LIVENESS), written.decode()


def test_C1_on_a_terminal_the_page_is_opened_and_is_its_owners_alone(
    evox_run: Run, place: dict[str, str], tmp_path: Path
) -> None:
    process = evox_run({"shop.py": SHOP}, "shop.py", "--json", env=place)
    process.event("started")
    browser, temporary = tmp_path / "browser", tmp_path / "temporary"
    temporary.mkdir()
    browser.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/opened\n', encoding="utf-8")
    browser.chmod(0o755)
    looks = {"BROWSER": f"{browser} %s", "DISPLAY": ":0", "CI": "", "TMPDIR": str(temporary), "TERM": "xterm"}
    env = {**place, **looks, "NO_COLOR": ""}
    code, text = on_terminal(process.folder, env)
    assert code == 0
    assert "\x1b[32m" in text
    [file] = temporary.glob("evox-health-*.html")
    assert (tmp_path / "opened").read_text(encoding="utf-8") == f"{file.as_uri()}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    file.unlink()
    for arguments, changes in [(["--no-open"], {}), ([], {"CI": "1"})]:
        code, text = on_terminal(process.folder, env | changes | {"NO_COLOR": "1"}, *arguments)
        assert (code, "\x1b" in text) == (0, False)
    health(process.folder, env)  # into a pipe
    assert list(temporary.iterdir()) == []
    assert (tmp_path / "opened").read_text(encoding="utf-8").count("\n") == 1
