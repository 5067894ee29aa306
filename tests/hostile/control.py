"""Let the corpus loose on plain hypercorn on trio, or on Evox, and print what each input did.

    python tests/hostile/control.py [--server hypercorn|evox] [--backend trio|asyncio] [--only WORD] [--tls]

An input *ended* the process, *wedged* it (the next request is not answered within a second), or *leaked* (tasks or
descriptors are left two seconds after its connection is closed). What is ended or wedged is started anew.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.forked import Running  # noqa: E402
from tests.hostile.corpus import CORPUS  # noqa: E402
from tests.hostile.corpus_h2c import H2C  # noqa: E402
from tests.hostile.peer import Address, Hostile, attack, health  # noqa: E402
from tests.hostile.victim import CERTIFICATE, KEY, baseline, certify, settled, victim  # noqa: E402

ALPN = {"http1": ("http/1.1",), "http2": ("h2",), "websocket": ("http/1.1",)}


class Server:
    """A server that is started when it is needed, and again when an input ended it.

    Args:
        kind: ``"hypercorn"`` or ``"evox"``.
        backend: The loop of Evox.
        folder: For its files.
        tls: Whether it speaks TLS.
    """

    def __init__(self, kind: str, backend: str, folder: Path, *, tls: bool) -> None:
        self.kind, self.backend, self.folder, self.tls = kind, backend, folder, tls
        self.address: Address = ("", 0)
        self.process: Running | None = None
        self.before = (0, 0)
        self._stack = ExitStack()

    def start(self) -> None:
        """Start it unless it runs."""
        if self.process is not None:
            return
        maker = _hypercorn if self.kind == "hypercorn" else _evox
        self.process, self.address = self._stack.enter_context(maker(self))
        for _ in range(100):
            try:
                health(self.address, tls=self.tls)
                break
            except OSError:
                time.sleep(0.1)
        time.sleep(0.2)
        self.before = baseline(self.address, tls=self.tls)

    def stop(self) -> None:
        """End it."""
        self._stack.close()
        self.process = None

    def suffer(self, hostile: Hostile) -> str:
        """Return what an input did."""
        self.start()
        assert self.process is not None
        try:
            attack(self.address, hostile, tls=ALPN.get(hostile.protocol) if self.tls else None)
            health(self.address, tls=self.tls)
            after = settled(self.address, self.before, tls=self.tls)
        except OSError:
            try:
                self.process.wait(0.5)
            except subprocess.TimeoutExpired:
                self.stop()
                return "wedged"
            code = self.process.returncode
            self.stop()
            return f"ended ({code})"
        if after[0] > self.before[0] or after[1] > self.before[1]:
            left = f"leaked {after[0] - self.before[0]} tasks, {after[1] - self.before[1]} descriptors"
            self.stop()
            return left
        return "answered"


@contextmanager
def _hypercorn(server: Server) -> Iterator[tuple[Running, Address]]:
    files = [str(server.folder / CERTIFICATE), str(server.folder / KEY)] if server.tls else ["", ""]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        command = [sys.executable, "-m", "tests.hostile.plain", str(fd), *files]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[fd], stderr=subprocess.DEVNULL)
        address = listener.getsockname()
    try:
        yield process, address
    finally:
        process.kill()
        process.wait()


@contextmanager
def _evox(server: Server) -> Iterator[tuple[Running, Address]]:
    with victim(server.folder, server.backend, tls=server.tls) as process:
        yield process.process, process.address()


def main() -> None:
    """Run the corpus and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=["hypercorn", "evox"], default="hypercorn")
    parser.add_argument("--backend", choices=["trio", "asyncio"], default="trio")
    parser.add_argument("--only", default="", help="a part of a name or a protocol")
    parser.add_argument("--tls", action="store_true", help="send everything over TLS")
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        certify(folder)
        servers = {tls: Server(given.server, given.backend, folder, tls=tls) for tls in (False, True)}
        for server in servers.values():
            stack.callback(server.stop)
        for hostile in CORPUS:
            if (given.only in hostile.name or given.only == hostile.protocol) and not (given.tls and hostile in H2C):
                outcome = servers[given.tls or hostile.protocol == "tls"].suffer(hostile)
                counts[outcome.split(maxsplit=1)[0]] += 1
                print(f"{hostile.protocol:10} {hostile.name:36} {outcome}", flush=True)  # noqa: T201
    print(*(f"{count} {word}" for word, count in sorted(counts.items())), sep=", ")  # noqa: T201


if __name__ == "__main__":
    main()
