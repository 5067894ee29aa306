"""O2: a process is the same whether it is looked at or not, however badly whoever looks behaves."""

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.support import EvoxProcess, Run, command, environment

from evox.observe.asking import CannotSee, Source
from evox.observe.directory import Note, notes
from evox.observe.forms import Snapshot

SVC = """
from evox import ServiceBuilder
svc = ServiceBuilder("shop").port(0)

@svc.get("/items/{item_id}")
async def get_item(item_id: int) -> int:
    return item_id
"""


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Return a runtime directory of the test's own; a socket's path has to be short."""
    with tempfile.TemporaryDirectory(prefix="evox-", dir="/tmp") as folder:
        yield Path(folder)


def started(evox_run: Run, runtime: Path, *arguments: str) -> EvoxProcess:
    process = evox_run({"shop.py": SVC}, "--json", *arguments, env={"XDG_RUNTIME_DIR": str(runtime)})
    process.event("started")
    return process


def looked(note: Note) -> Snapshot:
    async def look() -> Snapshot:
        source = Source.of(note)
        try:
            return await source.snapshot()
        finally:
            await source.aclose()

    return anyio.run(look)


class Load(threading.Thread):
    """Asks for items until it is told to stop; what is not answered is counted."""

    def __init__(self, process: EvoxProcess) -> None:
        super().__init__(daemon=True)
        self._process, self._over = process, threading.Event()
        self.answered = self.failed = 0

    def run(self) -> None:
        with self._process.client("shop") as client:
            while not self._over.is_set():
                if client.get(f"/items/{self.answered}").text == str(self.answered):
                    self.answered += 1
                else:
                    self.failed += 1

    def stop(self) -> None:
        self._over.set()
        self.join()


def test_a_process_is_found_while_it_runs_and_leaves_nothing_behind(evox_run: Run, runtime: Path, backend: str) -> None:
    process = started(evox_run, runtime, "--backend", backend)
    (note,) = notes(runtime / "evox")
    assert (note.pid, note.services) == (process.process.pid, {"shop": process.url("shop")})
    assert process.get("/items/7").status_code == 200
    found = looked(note)
    assert (found.process.loop, found.level) == (backend, "pass")
    assert [(one.endpoint, one.count) for one in found.calls] == [("get_item", 1)]
    assert found.services[0].url == process.url("shop")
    assert process.end() == 0
    assert list((runtime / "evox").iterdir()) == []


def test_each_worker_is_found_by_itself(evox_run: Run, runtime: Path) -> None:
    process = started(evox_run, runtime, "--workers", "2")
    found = notes(runtime / "evox")
    assert len({note.pid for note in found}) == len(found) == 2
    assert {looked(note).process.pid for note in found} == {note.pid for note in found}
    assert process.end() == 0


def test_behind_a_gateway_each_service_has_its_own_address_and_views(evox_run: Run, runtime: Path) -> None:
    process = started(evox_run, runtime, "--gateway", "--port", "0", "--dev")
    (note,) = notes(runtime / "evox")
    assert note.services == {"shop": process.url("shop")}
    with process.client("shop") as client:
        assert client.get(f"{process.url('shop')}/_evox/info").json()["service"] == "shop"
        assert client.get(f"{process.url('shop')}/capabilities").json()["service"] == "shop"
    assert process.end() == 0


def test_without_a_runtime_directory_it_runs_all_the_same_and_says_so(evox_run: Run, runtime: Path) -> None:
    (runtime / "evox").mkdir(mode=0o755)
    process = started(evox_run, runtime)
    assert process.get("/items/1").status_code == 200
    assert process.end() == 0
    assert "will not find this process by themselves" in process.err


def test_it_can_be_switched_off(evox_run: Run, runtime: Path) -> None:
    env = {"XDG_RUNTIME_DIR": str(runtime), "EVOX_OBSERVE__SOCKET": "false"}
    process = evox_run({"shop.py": SVC}, "--json", env=env)
    assert process.get("/items/1").status_code == 200
    assert list(runtime.iterdir()) == []
    assert process.end() == 0


def test_O2_many_who_look_and_never_read_are_not_noticed(evox_run: Run, runtime: Path, backend: str) -> None:
    process = started(evox_run, runtime, "--backend", backend)
    (note,) = notes(runtime / "evox")
    silent = []
    load = Load(process)
    load.start()
    for number in range(60):
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(5)
        silent.append(one)
        one.connect(note.socket)
        one.sendall(b"GET /snapshot HTTP/1.1\r\nhost: localhost\r\n\r\n" if number % 2 else b"\x00" * 1000)
    _wait(lambda: load.answered > 200)
    load.stop()
    assert load.failed == 0
    assert process.end() == 0
    for one in silent:
        one.close()


def test_O2_a_dashboard_that_dies_is_not_noticed(evox_run: Run, runtime: Path, backend: str) -> None:
    process = started(evox_run, runtime, "--backend", backend)
    load = Load(process)
    load.start()
    arguments = command("dashboard", "--port", "0", "--json", "--history", str(runtime / "history.sqlite"))
    env = environment({"XDG_RUNTIME_DIR": str(runtime)})
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env) as dashboard:
        assert dashboard.stdout is not None
        dashboard.stdout.readline()
        (note,) = notes(runtime / "evox")  # it is none of those that are found
        _wait(lambda: looked(note).process.uptime > 1)
        before = load.answered
        dashboard.send_signal(signal.SIGSTOP)
        _wait(lambda: load.answered > before + 100)
        dashboard.kill()
    before = load.answered
    _wait(lambda: load.answered > before + 100)
    load.stop()
    assert (load.failed, looked(note).level) == (0, "pass")
    assert process.end() == 0


def test_a_process_that_was_killed_is_forgotten(evox_run: Run, runtime: Path) -> None:
    process = started(evox_run, runtime)
    (note,) = notes(runtime / "evox")
    os.kill(process.process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(CannotSee, match="cannot be reached"):
        looked(note)
    assert (notes(runtime / "evox"), list((runtime / "evox").iterdir())) == ([], [])


def _wait(until: Any) -> None:
    end = time.monotonic() + 10
    while not until():
        assert time.monotonic() < end
        time.sleep(0.01)
