"""Contestants start on a core of their own with none of our settings, and one that does not start says why."""

import os
import signal
import socket
from collections.abc import Sequence

import jwt
import pytest

from evox.bench.http.contestants import Contestant
from evox.bench.http.measuring import Plan, measure
from evox.bench.http.processor import spent
from evox.bench.http.questions import named
from evox.bench.http.servers import Cores, cores, pinned, serving, token_of

SECRET = "a secret of at least thirty-two bytes"
LISTEN = """
import http.server, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = repr((sorted(os.sched_getaffinity(0)), [n for n in os.environ if n.startswith("EVOX_")])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no processes")


def contestant(code: str, name: str = "peer") -> Contestant:
    def started(port: int) -> Sequence[str]:
        return ("-c", code, str(port))

    return Contestant(name, name.title(), (), started)


def asked(address: tuple[str, int]) -> str:
    with socket.create_connection(address, 5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: connection.recv(4096), b"")).partition(b"\r\n\r\n")[2].decode()


def test_a_server_has_its_core_none_of_our_settings_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOX_WORKERS", "7")
    core = max(os.sched_getaffinity(0))
    with serving([contestant(LISTEN)], core, SECRET, guarded=False) as fleet:
        (server,) = fleet.servers
        assert asked(server.address) == repr(([core], []))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.address, 1)


def test_who_is_asked_to_end_leaves_no_server_behind() -> None:
    with pytest.raises(SystemExit) as ended, serving([contestant(LISTEN)], None, SECRET, guarded=False) as fleet:
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 143
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(fleet.servers[0].address, 1)


def test_one_that_ends_says_its_last_line() -> None:
    ending = contestant("import sys; sys.exit('there is no such thing')")
    with serving([ending], None, SECRET, guarded=True) as fleet:
        assert (fleet.servers, fleet.failures) == ([], {"peer": "did not start: there is no such thing"})


def test_one_that_does_not_start_takes_nobody_with_it() -> None:
    there, gone = contestant(LISTEN, "there"), contestant("raise SystemExit('oh')", "gone")
    plan = Plan([gone, there], named(["path-parameter"]), 2, 0.05, "shipped", Cores(None, None), 2)
    (table,) = measure(plan)
    first, second = table.rows
    assert first.failed == "did not start: oh"
    assert second.failed is not None
    assert second.failed.startswith("this is no JSON")


def test_what_a_process_has_used_grows_and_is_not_known_of_one_that_is_gone() -> None:
    before = spent(os.getpid())
    if before is None:
        pytest.skip("this system does not say")
    sum(range(300_000))
    after = spent(os.getpid())
    assert after is not None
    assert after > before
    assert spent(2**22 + 1) is None


def test_this_process_is_pinned_meanwhile_and_not_longer() -> None:
    before = os.sched_getaffinity(0)
    with pinned(min(before)):
        assert os.sched_getaffinity(0) == {min(before)}
        assert cores() == Cores(None, None)
    assert os.sched_getaffinity(0) == before
    with pinned(None):
        assert os.sched_getaffinity(0) == before


def test_the_token_is_one_that_any_verifier_takes() -> None:
    claims = jwt.decode(token_of(SECRET), SECRET, algorithms=["HS256"], audience="evox", issuer="evox")
    assert claims["roles"] == ["admin"]
    assert claims["exp"] - claims["iat"] == 3600
