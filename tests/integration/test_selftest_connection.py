"""``evox health --test connection``: real files, servers and peers, there and not there; and nothing is left behind."""

import gc
import os
import sqlite3
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests import postgres_server, valkey_server
from tests.selftests import failing, project_of, results_of
from tests.support import free_port

from evox import Intent, data_intent, service
from evox.data.backends.sqlite import SQLiteBackend

pytestmark = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")  # of coredis


@pytest.fixture(params=["trio", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    """Return the loop of the project: both, one after the other."""
    return str(request.param)


@contextmanager
def peer(status: int = 200, *, wait: threading.Event | None = None, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Run something that answers every GET with a status, and yield its URL."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if wait is not None:
                wait.wait(10)
            self.send_response(status if self.path == "/health/live" else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    finally:
        if wait is not None:
            wait.set()
        server.shutdown()
        thread.join()
        server.server_close()


def of_peer(loop: str, **said: Any) -> Any:
    """Return what became of the check of one peer."""
    found = results_of("connection", project_of(loop=loop, settings={"peers": {"user_svc": said}}), only="proxy: peer")
    [one] = found.values()
    return one


def test_a_peer_that_is_there_is_told_with_its_round_trip(loop: str) -> None:
    with peer() as url:
        one = of_peer(loop, url=url)
    assert (one.ok, one.name) == (True, f"proxy: peer user_svc at {url}")
    assert one.why.startswith("200 in ")


def test_a_peer_that_is_down_is_a_failure_that_says_what_to_do(loop: str) -> None:
    port = free_port()
    one = of_peer(loop, url=f"http://127.0.0.1:{port}")
    assert not one.ok
    assert f"nobody answers at 127.0.0.1 (127.0.0.1) port {port}" in one.why
    assert "do start user_svc, or correct peers.user_svc.url in [tool.evox]" in one.why


def test_a_peer_without_an_address_is_a_failure(loop: str) -> None:
    one = of_peer(loop, url="https://user-svc.invalid")
    assert not one.ok
    assert "'user-svc.invalid' has no address" in one.why


def test_a_peer_that_hangs_is_a_failure_within_its_timeout(loop: str) -> None:
    with peer(wait=threading.Event()) as url:
        one = of_peer(loop, url=url, timeout=0.2)
    assert not one.ok
    assert "gave no answer within 0.2 s" in one.why
    assert one.seconds < 3


@pytest.mark.parametrize(("status", "trust", "ok"), [(503, "internal", False), (404, "external", True)])
def test_a_peer_is_judged_by_what_it_answers(loop: str, status: int, trust: str, ok: bool) -> None:
    with peer(status) as url:
        assert of_peer(loop, url=url, trust=trust).ok is ok


def test_a_peer_with_a_certificate_that_is_not_believed_is_a_failure(loop: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with peer(tls=context) as url:
        assert of_peer(loop, url=url, cafile=str(tmp_path / "ca.pem")).ok
        one = of_peer(loop, url=url)
    assert not one.ok
    assert "do see its certificate, and peers.user_svc.cafile" in one.why


def test_a_file_that_is_not_there_is_not_made_and_nothing_is_left_beside_it(loop: str, tmp_path: Path) -> None:
    settings = {"data": {"backend": "sqlite:///data/shop.db", "database": "sqlite:///data/sql.db"}}
    found = results_of("connection", project_of(loop=loop, root=tmp_path, settings=settings), only="storage")
    assert failing(found) == set()
    assert all("one beside it was tried" in one.why or "undone" in one.why for one in found.values())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_tried_itself_and_keeps_what_is_in_it(loop: str, tmp_path: Path) -> None:
    settings = {"data": {"backend": "sqlite:///shop.db"}}
    with sqlite3.connect(tmp_path / "shop.db") as made:
        made.execute("CREATE TABLE own (value TEXT)")
        made.execute("INSERT INTO own VALUES ('mine')")
    made.close()
    found = results_of("connection", project_of(loop=loop, root=tmp_path, settings=settings), only="storage")
    assert failing(found) == set()
    assert [one.name for one in tmp_path.iterdir()] == ["shop.db"]
    with sqlite3.connect(tmp_path / "shop.db") as looked:
        assert looked.execute("SELECT value FROM own").fetchall() == [("mine",)]
        left = looked.execute("SELECT count(*) FROM evox_entries WHERE value IS NOT NULL").fetchall()
        assert left == [(0,)]
    looked.close()


def test_what_was_written_is_removed_where_it_cannot_be_read_back(
    loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fault(self: Any, key: str, guards: Any = ()) -> Any:
        raise OSError("it is not read")

    (tmp_path / "shop.db").touch()
    monkeypatch.setattr(SQLiteBackend, "get", fault)
    settings = {"data": {"backend": "sqlite:///shop.db"}}
    found = results_of("connection", project_of(loop=loop, root=tmp_path, settings=settings), only="storage")
    assert len(failing(found)) == 1
    with sqlite3.connect(tmp_path / "shop.db") as looked:
        assert looked.execute("SELECT count(*) FROM evox_entries WHERE value IS NOT NULL").fetchall() == [(0,)]
    looked.close()


def test_a_file_that_is_no_database_is_a_failure(loop: str, tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_text("this is no database, and long enough to be looked at " * 30)
    settings = {"data": {"backend": "sqlite:///shop.db"}}
    found = results_of("connection", project_of(loop=loop, root=tmp_path, settings=settings), only="storage")
    [one] = found.values()
    assert not one.ok
    assert "saw EVX-" in one.why


def test_every_backend_that_is_named_anywhere_is_tried_once(loop: str, tmp_path: Path) -> None:
    @data_intent.cacheable(ttl=60, backend="sqlite:///types.db")
    class Profile:
        def __init__(self, name: str) -> None:
            self.name = name

    svc = service("shop")

    @svc.get("/prices")
    @Intent(cacheable=True, ttl=60, backend="sqlite:///answers.db")
    async def prices() -> None: ...

    settings = {
        "data": {
            "services": {"shop": "sqlite:///shop.db", "mail": "sqlite:///shop.db"},
            "intents": {"basket": {"backend": "sqlite:///baskets.db"}},
        }
    }
    found = results_of("connection", project_of(svc, loop=loop, root=tmp_path, settings=settings), only="storage")
    named = {
        "storage: memory (data.backend)",
        "storage: sqlite:///shop.db (service shop, service mail)",
        "storage: sqlite:///baskets.db (intent basket)",
        "storage: sqlite:///types.db (type Profile)",
        "storage: sqlite:///answers.db (endpoint prices of shop)",
    }
    assert {name for name in named if name in found and found[name].ok} == named


@pytest.mark.parametrize("url", [valkey_server.url, postgres_server.url], ids=["valkey", "postgresql"])
def test_a_server_that_is_there_is_tried_and_one_that_is_not_is_a_failure(
    loop: str, url: Callable[[], str], tmp_path: Path
) -> None:
    def tried(url: str) -> Any:
        settings = {"data": {"backend": url, "timeout": 1}}
        project = project_of(loop=loop, root=tmp_path, settings=settings)
        [one] = results_of("connection", project, only="storage").values()
        return one

    one = tried(url())
    assert one.ok
    assert one.why.startswith("round trip ")
    assert not tried(f"{url().partition(':')[0]}://127.0.0.1:{free_port()}/0").ok
    gc.collect()  # what coredis has left, here where that is no error


@pytest.mark.parametrize("url", [None, postgres_server.url], ids=["sqlite", "postgresql"])
def test_a_sql_database_is_tried_in_a_transaction_of_which_nothing_stays(
    loop: str, url: Callable[[], str] | None, tmp_path: Path
) -> None:
    (tmp_path / "sql.db").touch()
    settings = {"data": {"database": "sqlite:///sql.db" if url is None else url()}}
    project = project_of(loop=loop, root=tmp_path, settings=settings)
    one = next(one for name, one in results_of("connection", project, only="storage").items() if "inject.db" in name)
    assert one.ok
    assert one.why.startswith("a transaction that was undone, ")
    assert [one.name for one in tmp_path.iterdir()] == ["sql.db"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_a_failure(loop: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    settings = {"data": {"backend": "sqlite:///shop.db"}}
    [one] = results_of("connection", project_of(loop=loop, root=tmp_path, settings=settings), only="storage").values()
    tmp_path.chmod(0o700)
    assert not one.ok
    assert f"{tmp_path} cannot be written" in one.why


def test_the_registry_is_announced_to_and_asked_and_nothing_stays_there(loop: str) -> None:
    def tried(url: str) -> Any:
        settings = {"proxy": {"registry": url}}
        [one] = results_of("connection", project_of(loop=loop, settings=settings), only="proxy: registry").values()
        return one

    assert tried(valkey_server.url()).ok
    assert valkey_server.ask("KEYS", "evox:services:~*") == "*0\r\n"
    one = tried(f"valkey://127.0.0.1:{free_port()}/0")
    assert not one.ok
    assert "correct proxy.registry" in one.why
    gc.collect()


def test_services_are_called_by_others_without_running_their_handlers(loop: str) -> None:
    svc = service("user-svc")

    @svc.get("/users/{user_id}")
    async def get_user(user_id: int, verbose: bool) -> None:
        raise AssertionError

    other = service("mail-svc").depends_on("user-svc")

    @other.endpoint("/mails/{mail_id}", methods=["PUT", "DELETE"])
    async def mail(mail_id: int) -> None:
        raise AssertionError

    found = results_of("connection", project_of(svc, other, loop=loop), only="proxy: services are")
    assert failing(found) == set()
    assert [one.why for one in found.values()] == ["2 operations of 2 services"] * 2
