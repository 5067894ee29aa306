"""The demo, run as ``make demo`` runs it."""

# ruff: noqa: S603  the only program started is our own

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

DEMO = [sys.executable, "-u", str(Path(__file__).with_name("demo.py"))]


@pytest.mark.timeout(60)  # it waits for four services on each loop, and for copies to become old
def test_the_demo_works_from_any_folder(tmp_path: Path) -> None:
    demo = subprocess.run(DEMO, cwd=tmp_path, capture_output=True, text=True, check=False)
    logged = [json.loads(line) for line in demo.stderr.splitlines()]
    assert (demo.returncode, {entry["error"]["what"] for entry in logged if "error" in entry}) == (
        0,
        {"the supplier does not answer", "the printer is jammed"},
    )
    assert demo.stdout.count("the server ended with exit code 0") == 2
    assert demo.stdout.count("detail=stale-if-error") == 2


def test_the_demo_fails_clearly_when_the_server_does_not_start(tmp_path: Path) -> None:
    env = {**os.environ, "EVOX_HOST": ""}
    demo = subprocess.run(DEMO, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert demo.returncode == 1
    assert "the demo failed: the server did not start" in demo.stderr


def test_a_demo_that_is_ended_takes_its_server_with_it(tmp_path: Path) -> None:
    with subprocess.Popen(DEMO, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        line = next(line for line in demo.stdout if " at http://" in line)
        demo.terminate()
        demo.stdout.read()
    assert demo.returncode == 143
    port = urlsplit(line.split()[-1]).port
    assert port is not None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
