"""Commands: the command line and the environment of an ``evox`` that tests start."""

import atexit
import os
import shutil
import sys
from collections.abc import Mapping
from tempfile import mkdtemp

from tests.lanes import said

__all__ = ["LIVENESS", "command", "environment"]

LIVENESS = 15.0
RUNTIME = mkdtemp(prefix="evox-", dir="/tmp")  # short enough for the paths of sockets
"""Where processes of this test run note how they are found."""
atexit.register(shutil.rmtree, RUNTIME, ignore_errors=True)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a child: ours without any setting of Evox, who is to serve HTTP/1.1, and ``extra``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EVOX_")}
    own = {"PYTHONFAULTHANDLER": "1", "XDG_RUNTIME_DIR": RUNTIME}
    own |= {f"EVOX_SERVING__{name.upper()}": value for name, value in said().items()}
    return {**inherited, **own, **(extra or {})}


def command(*arguments: str) -> list[str]:
    """Return the command line of ``evox`` with these arguments."""
    return [sys.executable, "-m", "evox", *arguments]
