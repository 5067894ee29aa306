"""Operating: asks running processes of this user to change something, through their control sockets."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from evox.auth import read_secret
from evox.errors import NothingToOperate, OperatorRefused
from evox.observe.directory import Note, notes
from evox.observe.legible import legible

__all__ = ["Done", "controlled", "invalidate", "together"]

TIMEOUT: Final = 60.0  # seconds; a prefix may be looked for in millions of keys
LONGEST: Final = 300  # characters of what is wrong with a process


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it in one service of one process.

    Attributes:
        pid: The process.
        service: Its service; empty if the process could not be asked.
        count: How many copies there were.
        shared: How many of those that were only counted are in shared backends, where other processes count them too.
        error: Why it was not done; empty if it was.
        types: The names of types that the service knows, if it does not know the one that was named; else None.
    """

    pid: int
    service: str
    count: int = 0
    shared: int = 0
    error: str = ""
    types: tuple[str, ...] | None = None


def controlled(root: Path, directory: Path | None = None) -> list[Note]:
    """Return the processes of a project that can be changed.

    Args:
        root: The project's folder.
        directory: Where notes are; the user's runtime directory if None.

    Raises:
        NothingToOperate: if there is none.
    """
    found = notes(directory)
    ours = [note for note in found if Path(note.root) == root]
    able = [note for note in ours if note.control]
    if ours and not able:
        why = f"{len(ours)} of it {'runs' if len(ours) == 1 else 'run'}, with control.socket off"
        raise NothingToOperate(str(root), why=why, fix="set control.socket = true in [tool.evox.control], and restart")
    if not able:
        raise NothingToOperate(str(root), sorted({note.root for note in found}))
    return able


def invalidate(found: Sequence[Note], asked: Mapping[str, Any], token_from: str | None) -> list[Done]:
    """Have copies taken away, or counted, in each process.

    Args:
        found: The processes.
        asked: As ``control.Invalidation`` takes it.
        token_from: Where the operator token is: a file or ``env:NAME``; None for that which each process left.

    Returns:
        What came of it, process by process.

    Raises:
        OperatorRefused: if the first process does not take the token: the others were not asked.
        UnusableKey: if it cannot be read.
    """
    token = None if token_from is None else read_secret(token_from, Path.cwd(), os.environ)
    done: list[Done] = []
    for note in found:
        try:
            done += _ask(note, asked, _token_of(note) if token is None else token)
        except OperatorRefused as error:
            if not done:
                raise
            done.append(Done(note.pid, "", error=error.why))
    return done


def together(done: Sequence[Done]) -> int:
    """Return how many copies there were in all; one that several processes share is one."""
    shared: dict[str, int] = {}
    for one in done:
        shared[one.service] = max(shared.get(one.service, 0), one.shared)
    return sum(one.count - one.shared for one in done) + sum(shared.values())


def _ask(note: Note, asked: Mapping[str, Any], token: str) -> list[Done]:
    transport = httpx2.HTTPTransport(uds=note.control)
    headers = {"authorization": f"Bearer {token}"}
    try:
        with httpx2.Client(
            transport=transport, base_url="http://localhost", timeout=TIMEOUT, trust_env=False
        ) as client:
            response = client.post("/cache/invalidate", json=dict(asked), headers=headers)
    except httpx2.HTTPError as error:
        why = legible(str(error) or type(error).__name__, LONGEST)
        return [Done(note.pid, "", error=f"it gave no answer: {why}")]
    if response.status_code == 401:
        raise OperatorRefused(note.pid, "it wants another operator token")
    if response.status_code != 200:
        return [Done(note.pid, "", error=f"it answered {response.status_code}: {legible(response.text, LONGEST)}")]
    services: dict[str, Any] = response.json()["services"]
    return [
        Done(
            *(note.pid, name, int(one.get("count", 0)), int(one.get("shared", 0)), str(one.get("error", ""))),
            types=tuple(one["types"]) if "types" in one else None,
        )
        for name, one in services.items()
    ]


def _token_of(note: Note) -> str:
    if not note.operator:
        raise OperatorRefused(note.pid, "its operator token is one of the configuration, and none was shown")
    try:
        return Path(note.operator).read_text(encoding="utf-8")
    except OSError as error:
        raise OperatorRefused(note.pid, f"its operator token cannot be read: {error.strerror}") from None
