"""Directory: how a process is found by commands of the same user: a note and a socket in the runtime directory.

The directory and all in it are for its owner alone, so whoever can open the socket may look, without a token. A note
whose process is gone is taken away by whoever finds it, also where another process has its number by now, as the first
one of a container does after each restart.
"""

import contextlib
import json
import logging
import os
import secrets
import socket
import stat
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import platformdirs

__all__ = ["Note", "Place", "notes", "runtime_directory"]

SCHEMA: Final = 1
LARGEST: Final = 262_144  # bytes of a note
CONTROL: Final = ".ctl"  # the socket of an operator
OPERATOR: Final = ".operator"  # his token
OWNER_ONLY: Final = 0o700
LONGEST: Final = 100  # bytes of a socket's path; the kernel takes some 104
_log = logging.getLogger("evox.observe")


@dataclass(frozen=True, slots=True)
class Note:
    """What a process tells of itself to those who look for it.

    Attributes:
        pid: The process.
        socket: Path of the socket on which it is seen.
        root: The project's folder.
        started: Wall-clock seconds.
        services: URLs by name.
        version: Of Evox.
        control: Path of the socket on which an operator may change something; empty without one.
        operator: Path of the file with the token for it; empty if the configuration names another.
    """

    pid: int
    socket: str
    root: str
    started: float
    services: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    control: str = ""
    operator: str = ""


def runtime_directory() -> Path:
    """Return where notes are: ``evox`` in the user's runtime directory, such as ``/run/user/1000``."""
    with warnings.catch_warnings():  # of a fallback below /tmp, which is as good: see _check_owner
        warnings.simplefilter("ignore")  # of whatever class it is in this version
        return Path(platformdirs.user_runtime_dir("evox", appauthor=False))


class Place:
    """The place of this process in the directory: a bound socket, and a note once it answers.

    Raises:
        OSError: if the directory cannot be made, or is not this user's alone.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = runtime_directory() if directory is None else directory
        self._directory.parent.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        self._directory.mkdir(mode=OWNER_ONLY, exist_ok=True)
        _check_owner(self._directory)
        self._pid = os.getpid()
        name = f"{self._pid}-{secrets.token_hex(4)}"
        self.path = self._directory / f"{name}.sock"
        self._note = self._directory / f"{name}.json"
        self._sockets: list[socket.socket] = []
        self._is_controlled = self._has_token = False
        self.socket = self._listening(self.path)

    def __repr__(self) -> str:
        return f"<Place {self.path}>"

    def controlled(self, token: str | None) -> socket.socket:
        """Return a second socket, on which an operator may change something.

        Args:
            token: What he has to show, left for commands of the same user; None if he has it from elsewhere.

        Raises:
            OSError: if it cannot be made.
        """
        bound = self._listening(self._note.with_suffix(CONTROL))
        self._is_controlled = True
        if token is not None:
            self._write(self._note.with_suffix(OPERATOR), token)
            self._has_token = True
        return bound

    def publish(self, *, root: Path, services: Mapping[str, str], version: str) -> None:
        """Write the note: from now on it is found."""
        control = str(self._note.with_suffix(CONTROL)) if self._is_controlled else ""
        operator = str(self._note.with_suffix(OPERATOR)) if self._has_token else ""
        seen = (str(self.path), str(root), time.time(), dict(services), version, control, operator)
        note = Note(os.getpid(), *seen)
        self._write(self._note, json.dumps({"schema": SCHEMA} | asdict(note)))

    def close(self) -> None:
        """Take the note and the socket away; in a child that was forked off, only let go of them."""
        for one in self._sockets:
            one.close()
        if os.getpid() == self._pid:
            _remove(self._note)

    def _listening(self, path: Path) -> socket.socket:
        if len(os.fsencode(path)) > LONGEST:
            raise OSError(f"{path} is too long for the path of a socket; set XDG_RUNTIME_DIR to a shorter one")
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sockets.append(made)
        try:
            made.bind(str(path))
            path.chmod(0o600)
            made.listen(128)
            made.setblocking(False)
        except BaseException:
            self.close()
            raise
        return made

    def _write(self, path: Path, text: str) -> None:
        """Write a file that nobody else may read, and that is there as a whole or not at all."""
        draft = path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)


def notes(directory: Path | None = None) -> list[Note]:
    """Return the notes of running processes, the one that started first first.

    Notes of processes that are gone are removed; what cannot be read is left out, and said in the log.
    """
    directory = runtime_directory() if directory is None else directory
    try:
        _check_owner(directory)
        files = sorted(directory.glob("*.json"))
    except FileNotFoundError:
        return []
    except OSError as error:
        _log.warning("running processes cannot be looked up: %s", error)
        return []
    found = [note for file in files if (note := _read(file)) is not None]
    return sorted(found, key=lambda one: one.started)


def _check_owner(directory: Path) -> None:
    """Refuse a directory in which somebody else could leave a socket, or read one.

    Raises:
        OSError: if it is one.
    """
    seen = directory.stat(follow_symlinks=False)
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or stat.S_IMODE(seen.st_mode) & 0o077:
        raise PermissionError(f"{directory} is not a folder of this user alone (chmod 700)")
    above = directory.parent.stat()
    shared = above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX
    if above.st_uid not in (0, os.getuid()) or shared:
        raise PermissionError(f"others can replace {directory}: {directory.parent} is not this user's alone")


def _read(file: Path) -> Note | None:
    try:
        note = _parsed(file)
    except FileNotFoundError:
        return None  # it has ended meanwhile
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        _log.warning("%s is left out: %s", file, error)
        return None
    if _is_alive(note.pid) and _is_open(note.socket):
        return note
    _remove(file)
    return None


def _remove(note: Path) -> None:
    """Take away a note, and what stands beside it."""
    for suffix in (".json", ".sock", CONTROL, OPERATOR):
        with contextlib.suppress(OSError):
            note.with_suffix(suffix).unlink(missing_ok=True)


def _parsed(file: Path) -> Note:
    if file.stat().st_size > LARGEST:
        raise ValueError(f"it is larger than {LARGEST} bytes")
    said: Any = json.loads(file.read_text(encoding="utf-8"))
    if said.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {said.get('schema')!r}, not {SCHEMA}")
    services = {str(name): str(url) for name, url in dict(said["services"]).items()}
    texts = {name: str(said[name]) for name in ("socket", "root", "version")}
    texts |= {name: str(said.get(name, "")) for name in ("control", "operator")}  # a process of an older version
    return Note(pid=int(said["pid"]), started=float(said["started"]), services=services, **texts)


def _is_open(path: str) -> bool:
    """Whether somebody holds the socket, be it that he does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # too many wait to be let in
    return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError, ValueError):
        return pid > 0
    return pid > 0
