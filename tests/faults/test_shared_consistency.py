"""D1, D2: several processes on one store, of which one is killed and comes back, or which do not hear of each other.

What they saw is checked afterwards.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests import postgres_server, valkey_server

from evox.testing.consistency import History, check_linearizable, check_sessions, check_staleness

SOAK = bool(os.environ.get("EVOX_SOAK"))
OPERATIONS = 10_000 if SOAK else 400
PROCESSES = 4 if SOAK else 3
SECONDS = 20.0 if SOAK else 1.5  # for which values are read that may be old
ROOT = Path(__file__).parents[2]
L1_TTL = 0.5
SLACK = 0.25  # seconds by which a busy machine may delay the begin of a read after its time was taken
OFTEN = 0.1  # seconds between two cuts

limit = pytest.mark.timeout(600 if SOAK else 60)
on_both_loops = pytest.mark.parametrize("anyio_backend", ["trio", "asyncio"])


def data_of(kind: str, folder: Path) -> dict[str, Any]:
    """Return ``[tool.evox.data]`` for a new store; ``+notify`` tells of changes where that has to be asked for."""
    data = {"l1_ttl": L1_TTL, "notify": kind.endswith("+notify")}
    if kind == "sqlite":
        return data | {"backend": f"sqlite:///{folder}/shared.db"}
    server: Any = valkey_server if kind == "valkey" else postgres_server
    server.flush()
    return data | {"backend": server.url()}


class Worker:
    """One process that waits until it is told to go."""

    def __init__(self, name: str, folder: Path, data: dict[str, Any], backend: str, consistency: str) -> None:
        self.file = folder / f"{name}.jsonl"
        # Who is to be killed must not be done before that.
        count, seconds = OPERATIONS * (1000 if name == "victim" else 1), SECONDS if consistency == "eventual" else 0
        given = [name, str(self.file), str(count), str(seconds), consistency, json.dumps(data), backend]
        command = [sys.executable, "-m", "tests.faults.consistent_worker", *given]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def go(self) -> None:
        """Let it open the store and work, once it has begun."""
        assert self.process.stdin is not None
        self.hears("begun")
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def hears(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{word}\n"

    def remove(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@contextmanager
def workers(
    kind: str, folder: Path, backend: str, consistency: str, *, more: tuple[str, ...] = ()
) -> Iterator[dict[str, Worker]]:
    """Start processes, and let them go when all have begun, but for the last of ``more``."""
    data = data_of(kind, folder)
    names = [*more, *(f"p{number}" for number in range(PROCESSES - bool(more)))]
    begun = {name: Worker(name, folder, data, backend, consistency) for name in names}
    at_once = [one for name, one in begun.items() if name not in more[1:]]
    try:
        for one in at_once:
            one.go()
        for one in at_once:
            one.hears("ready")
        yield begun
    finally:
        for one in begun.values():
            one.remove()


@limit
@on_both_loops
@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "valkey"])
def test_D1_strong_keys_are_linearizable_though_a_process_is_killed_and_comes_back(
    kind: str, tmp_path: Path, anyio_backend: str
) -> None:
    with workers(kind, tmp_path, anyio_backend, "strong", more=("victim", "successor")) as begun:
        victim, successor = begun.pop("victim"), begun["successor"]
        while victim.file.stat().st_size < 150 * OPERATIONS // 2 and victim.process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                victim.process.wait(0.001)
        victim.process.send_signal(signal.SIGKILL)
        assert victim.process.wait() == -signal.SIGKILL
        victim.remove()
        successor.go()
        successor.hears("ready")
        assert [one.process.wait() for one in begun.values()] == [0] * PROCESSES
    history = History.load(*tmp_path.glob("*.jsonl"))
    assert len(history) > OPERATIONS * PROCESSES
    assert [str(one) for one in check_linearizable(history)] == []


def cut_valkey() -> int:
    return int(valkey_server.ask("CLIENT", "KILL", "TYPE", "pubsub")[1:])


def cut_postgresql() -> int:
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        return connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"
        ).rowcount


@limit
@on_both_loops
@pytest.mark.parametrize(
    ("kind", "cut"),
    [("sqlite", None), ("postgresql", None), ("postgresql+notify", cut_postgresql), ("valkey", cut_valkey)],
)
def test_D2_eventual_keys_are_at_most_l1_ttl_behind_and_sessions_see_time_run_forwards(
    kind: str, tmp_path: Path, anyio_backend: str, cut: Callable[[], int] | None
) -> None:
    cuts = 0
    with workers(kind, tmp_path, anyio_backend, "eventual") as begun:
        for one in begun.values():
            while one.process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    one.process.wait(OFTEN)
                cuts += cut() if cut is not None else 0
        assert [one.process.wait() for one in begun.values()] == [0] * PROCESSES
    assert cuts >= (PROCESSES * 3 if cut is not None else 0)
    history = History.load(*tmp_path.glob("*.jsonl"))
    assert len(history) == OPERATIONS * PROCESSES
    assert [str(one) for one in check_staleness(history, L1_TTL + SLACK)] == []
    assert [str(one) for one in check_sessions(history)] == []
