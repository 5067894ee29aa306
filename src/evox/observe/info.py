"""Info: what a process is: its name, versions, loop, and the state of the project that it was started from."""

import hashlib
import os
import platform
import socket
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from evox.observe.observation import Observation
from evox.runtime import on_trio

__all__ = ["info"]

LARGEST: Final = 5_000_000  # bytes of a lock file
_LOCKS: Final = ("uv.lock", "requirements.lock")
_SHOWN: Final = ("anyio", "trio", "fastapi", "starlette", "pydantic", "hypercorn")


def info(observation: Observation) -> dict[str, Any]:
    """Return what a process is. What does not change is looked up once."""
    if not observation.facts:
        root = observation.scope.loaded.root
        observation.facts = {
            "instance": observation.instance,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "evox": _version("evox-framework"),
            "python": platform.python_version(),
            "system": platform.system(),
            "loop": "trio" if on_trio() else "asyncio",
            "root": str(root),
            "commit": _commit(root),
            "lock": _lock(root),
            "packages": {name: _version(name) for name in _SHOWN},
            "mode": observation.scope.authority.mode,
            "workers": observation.scope.loaded.settings.workers,
            "started": observation.born,
        }
    return {**observation.facts, **observation.about, "time": observation.wall(), "uptime": observation.uptime}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit(root: Path) -> str:
    """Return the commit that is checked out, as git notes it in files; empty where there is none."""
    folder = next((one / ".git" for one in (root, *root.parents) if (one / ".git").is_dir()), None)
    if folder is None:
        return ""
    try:
        head = (folder / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head[:12]
        return (folder / head.removeprefix("ref: ")).read_text(encoding="ascii").strip()[:12]
    except (OSError, ValueError):
        return ""


def _lock(root: Path) -> str:
    """Return the name and the hash of the project's lock file; empty where there is none."""
    for name in _LOCKS:
        try:
            if (root / name).stat().st_size <= LARGEST:
                return f"{name} {hashlib.sha256((root / name).read_bytes()).hexdigest()[:12]}"
        except OSError:
            continue
    return ""
