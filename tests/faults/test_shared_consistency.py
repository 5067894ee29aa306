"""D1, D2: several processes on one store, one of which is killed. What they saw is checked afterwards."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests import postgres_server, valkey_server

from evox.testing.consistency import History, check_linearizable, check_sessions, check_staleness

SOAK = bool(os.environ.get("EVOX_SOAK"))
OPERATIONS = 10_000 if SOAK else 400
PROCESSES = 4 if SOAK else 3
ROOT = Path(__file__).parents[2]
L1_TTL = 0.5
SLACK = 0.25  # seconds by which a busy machine may delay the begin of a read after its time was taken

shared = pytest.mark.parametrize("kind", ["sqlite", "postgresql", "valkey"])
limit = pytest.mark.timeout(600 if SOAK else 60)


def url_of(kind: str, folder: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{folder}/shared.db"
    if kind == "postgresql":
        postgres_server.flush()
        return postgres_server.url()
    valkey_server.flush()
    return valkey_server.url()


@contextmanager
def workers(kind: str, folder: Path, backend: str, consistency: str) -> Iterator[dict[str, subprocess.Popen[str]]]:
    url, begun = url_of(kind, folder), {}
    for number in range(PROCESSES):
        begun[f"p{number}"] = worker(f"p{number}", url, folder, backend, consistency)
    try:
        for one in begun.values():
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        yield begun
    finally:
        for one in begun.values():
            one.kill()
            one.wait()
            assert one.stdout is not None
            one.stdout.close()


def worker(name: str, url: str, folder: Path, backend: str, consistency: str) -> subprocess.Popen[str]:
    given = [name, url, str(folder / f"{name}.jsonl"), str(OPERATIONS), consistency, backend]
    command = [sys.executable, "-m", "tests.faults.consistent_worker", *given]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@shared
@limit
@pytest.mark.parametrize("anyio_backend", ["trio", "asyncio"])
def test_D1_strong_keys_are_linearizable_though_a_process_is_killed(
    kind: str, tmp_path: Path, anyio_backend: str
) -> None:
    with workers(kind, tmp_path, anyio_backend, "strong") as begun:
        victim = tmp_path / "p0.jsonl"
        while victim.stat().st_size < 150 * OPERATIONS // 2 and begun["p0"].poll() is None:
            begun["p1"].poll()
        begun["p0"].send_signal(signal.SIGKILL)
        codes = [one.wait() for name, one in begun.items() if name != "p0"]
    assert codes == [0] * (PROCESSES - 1)
    history = History.load(*tmp_path.glob("*.jsonl"))
    assert len(history) > OPERATIONS * (PROCESSES - 1)
    assert [str(one) for one in check_linearizable(history)] == []


@shared
@limit
@pytest.mark.parametrize("anyio_backend", ["trio", "asyncio"])
def test_D2_eventual_keys_are_at_most_l1_ttl_behind_and_sessions_see_time_run_forwards(
    kind: str, tmp_path: Path, anyio_backend: str
) -> None:
    with workers(kind, tmp_path, anyio_backend, "eventual") as begun:
        assert [one.wait() for one in begun.values()] == [0] * PROCESSES
    history = History.load(*tmp_path.glob("*.jsonl"))
    assert len(history) == OPERATIONS * PROCESSES
    assert [str(one) for one in check_staleness(history, L1_TTL + SLACK)] == []
    assert [str(one) for one in check_sessions(history)] == []
