"""``evox run --workers N``: one banner, one address, several processes; what cannot start says so once."""

import socket
import ssl
import time
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
import trustme
from tests.support import EvoxProcess, HttpSocket, Run, pids_of

QUICK = {"EVOX_SERVING__DRAIN_DELAY": "0.1s", "EVOX_SERVING__STREAM_GRACE": "0.5s", "EVOX_SERVING__DRAIN_TIMEOUT": "1s"}
ONE_SCREEN = 25
CLIENTS = 20
SHOP = """
import os

import anyio

from evox import service

svc = service("shop").port(0)


@svc.get("/pid")
async def pid() -> int:
    await anyio.sleep(0.02)
    return os.getpid()
"""
TASK = """

@svc.background_task(interval=60)
async def sweep() -> None:
    pass
"""


def start(run: Run, *arguments: str, text: str = SHOP, env: dict[str, str] | None = None) -> EvoxProcess:
    return run({"shop.py": text}, "--workers", "2", "--json", *arguments, env={**QUICK, **(env or {})})


def workers(process: EvoxProcess) -> list[int]:
    return list(process.event("started")["workers"])


def answering(process: EvoxProcess, path: str = "/pid") -> set[int]:
    """Return the processes that answer on connections made at the same time; asks again until two have been seen."""
    seen: set[int] = set()
    end = time.monotonic() + 5
    while len(seen) < 2 and time.monotonic() < end:
        with ExitStack() as stack:
            connections = [stack.enter_context(HttpSocket(process.address())) for _ in range(CLIENTS)]
            for one in connections:
                one.send(path)
            seen |= {int(one.answer().body) for one in connections}
    return seen


def test_one_banner_names_both_pids_and_what_they_do_not_share(evox_run: Run) -> None:
    process = evox_run({"shop.py": SHOP + TASK}, "--workers", "2")
    process.wait_line("Ctrl-C drains")
    assert process.out.count("evox 0") == process.out.count("Ctrl-C") == process.out.count("http://127") // 2 == 1
    found = set(pids_of(process.mark)) - {process.process.pid}
    assert len(found) == 2
    note = process.wait_line("2 workers")
    assert all(str(pid) in note for pid in found)
    assert "share the sockets and nothing else" in note
    assert "sweep of shop" in process.wait_line("background tasks run in every worker")


def test_json_is_one_started_event_with_the_workers(evox_run: Run) -> None:
    process = start(evox_run, text=SHOP + TASK)
    started = process.event("started")
    assert {started["pid"], *started["workers"]} == set(pids_of(process.mark))
    assert started["pid"] == process.process.pid
    assert any("sweep of shop" in note for note in started["notes"])
    assert process.end() == 0
    assert [event["event"] for event in process.events] == ["started", "draining", "stopped"]


def test_every_worker_answers_on_the_one_address(evox_run: Run, backend: str) -> None:
    process = start(evox_run, "--backend", backend)
    assert answering(process) == set(workers(process))


def test_workers_share_the_port_of_the_gateway(evox_run: Run) -> None:
    process = start(evox_run, "--gateway", "--port", "0")
    assert process.url().endswith("/shop")
    assert answering(process, "/shop/pid") == set(workers(process))


def test_V7_workers_speak_tls_on_the_one_port(tmp_path: Path, evox_run: Run) -> None:
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    process = start(evox_run, "--certfile", "cert.pem")
    seen: set[int] = set()
    end = time.monotonic() + 5
    while len(seen) < 2 and time.monotonic() < end:
        with ExitStack() as stack:
            for _ in range(6):  # all are open at a time
                client = stack.enter_context(httpx2.Client(verify=trusted, trust_env=False))
                seen.add(client.get(process.url() + "/pid").json())
    assert seen == set(workers(process))


@pytest.mark.parametrize(
    "files", [{}, {"evox.toml": "workers = 2\n"}, {"pyproject.toml": "[tool.evox]\nworkers = 2\n"}]
)
def test_the_environment_and_the_configuration_say_it_as_the_option_does(evox_run: Run, files: dict[str, str]) -> None:
    process = evox_run({"shop.py": SHOP, **files}, "--json", env=QUICK if files else {**QUICK, "EVOX_WORKERS": "2"})
    assert len(workers(process)) == 2


def test_the_option_wins_over_the_environment(evox_run: Run) -> None:
    process = evox_run({"shop.py": SHOP}, "--json", "--workers", "1", env={**QUICK, "EVOX_WORKERS": "2"})
    assert workers(process) == []
    assert pids_of(process.mark) == [process.process.pid]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--workers", "0"), "--workers"),
        (("--workers", "-1"), "--workers"),
        (("--workers", "x"), "--workers"),
        (("--dev", "--workers", "2"), "--dev runs one process: leave out --workers"),
    ],
)
def test_a_use_that_makes_no_sense_exits_2_and_says_why(evox_run: Run, arguments: tuple[str, ...], said: str) -> None:
    process = evox_run({"shop.py": SHOP}, *arguments)
    assert process.wait() == 2
    assert said in process.err
    assert process.out == ""


@pytest.mark.parametrize(
    ("code", "files", "env", "said"),
    [
        (78, {}, {"EVOX_SERVING__BACKLOG": "0"}, "serving.backlog"),
        (78, {"shop.py": "from evox import service\nimport no_such_module\n"}, {}, "no_such_module"),
        (
            1,
            {"shop.py": f"{SHOP}\n\n@svc.on_startup\nasync def up() -> None:\n    raise OSError('no disk')\n"},
            {},
            "no disk",
        ),
        (69, {}, {}, "in use"),
    ],
    ids=["an option out of range", "an import that fails", "a hook that raises", "a port in use"],
)
def test_what_cannot_start_is_one_screen_its_own_exit_code_and_no_process(
    evox_run: Run, code: int, files: dict[str, str], env: dict[str, str], said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1]) if code == 69 else "0"
        process = evox_run(
            {"shop.py": SHOP, **files}, "shop.py", "--workers", "2", "--port", port, env={**QUICK, **env}
        )
        assert process.wait() == code
    assert said in process.err
    assert process.err.count("EVX-") <= 1
    assert len(process.err.splitlines()) <= ONE_SCREEN
    assert process.out == ""
    assert pids_of(process.mark) == []


def test_no_workers_in_the_configuration_is_an_error_that_names_the_line(evox_run: Run) -> None:
    process = evox_run({"shop.py": SHOP, "pyproject.toml": "[tool.evox]\nworkers = 0\n"})
    assert process.wait() == 78
    assert "workers" in process.err
    assert "pyproject.toml:2" in process.err
