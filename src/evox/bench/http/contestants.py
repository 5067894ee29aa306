"""Contestants: who is measured, what each needs, and how it is started.

Each is started as its own documentation says, in one process, with access logs off. Evox runs with all its defaults.
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["BASE", "CONTESTANTS", "OURS", "Contestant", "chosen", "versions"]

APPS: Final = Path(__file__).with_name("apps")
BASE: Final = "fastapi-uvicorn"
"""Whom the others are compared with."""
OURS: Final = "evox"

# Evox takes uvloop where it is installed. So that asyncio's own loop can be measured too, it is hidden.
_RUN: Final = "import sys; {hide}from evox.cli import main; sys.exit(main())"
_HIDE: Final = 'sys.modules["uvloop"] = None; '


@dataclass(frozen=True, slots=True)
class Contestant:
    """One that is measured.

    Attributes:
        name: How it is named in commands.
        title: How it is named in tables.
        needs: The modules without which it is left out.
        started: From a port to the arguments of Python. Port 0 leaves the choice to Evox, which says what it took.
        guarded: The same for the question about tokens, where another service is measured.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    started: Callable[[int], Sequence[str]]
    guarded: Callable[[int], Sequence[str]] | None = None

    @property
    def family(self) -> str:
        """The framework's name: what stands before the first ``-``."""
        return self.name.partition("-")[0]

    @property
    def missing(self) -> list[str]:
        """What it needs and is not installed."""
        return [module for module in self.needs if importlib.util.find_spec(module) is None]


def _evox(backend: str, *, uvloop: bool) -> Contestant:
    code = _RUN.format(hide="" if uvloop or backend == "trio" else _HIDE)
    name = "uvloop" if uvloop else backend

    def starting(file: str) -> Callable[[int], Sequence[str]]:
        run = ("run", str(APPS / f"{file}.py"), "--json", "--backend", backend)
        return lambda port: ("-c", code, *run, "--port", str(port))

    needs = ("uvloop",) if uvloop else ()
    return Contestant(f"{OURS}-{name}", f"Evox, {name}", needs, starting("on_evox"), starting("on_evox_guarded"))


def _uvicorn(name: str, title: str, *needs: str) -> Contestant:
    options = ("--log-level", "error", "--no-access-log", "--app-dir", str(APPS))
    return Contestant(
        f"{name}-uvicorn" if name != "nothing" else "asgi-uvicorn",
        f"{title}, uvicorn",
        ("uvicorn", "uvloop", "httptools", *needs),
        lambda port: ("-m", "uvicorn", f"on_{name}:app", "--port", str(port), *options),
    )


def _hypercorn(port: int) -> Sequence[str]:
    app = f"{APPS / 'on_fastapi.py'}:app"
    options = ("--workers", "0", "--log-level", "error")  # no workers: it serves itself, and not a process of its own
    return ("-m", "hypercorn", app, "-k", "trio", "--bind", f"127.0.0.1:{port}", *options)


def _sanic(port: int) -> Sequence[str]:
    options = ("--single-process", "--no-access-logs", "--no-motd", "--host", "127.0.0.1")
    code = f"import sys; sys.path.insert(0, {str(APPS)!r}); from sanic.__main__ import main; main()"
    return ("-c", code, "on_sanic:app", "--port", str(port), *options)


CONTESTANTS: Final = (
    _evox("trio", uvloop=False),
    _evox("asyncio", uvloop=False),
    _evox("asyncio", uvloop=True),
    _uvicorn("fastapi", "FastAPI"),
    Contestant("fastapi-hypercorn-trio", "FastAPI, hypercorn, trio", (), _hypercorn),
    _uvicorn("starlette", "Starlette"),
    _uvicorn("nothing", "raw ASGI"),
    _uvicorn("litestar", "Litestar", "litestar"),
    _uvicorn("blacksheep", "BlackSheep", "blacksheep"),
    Contestant("sanic", "Sanic", ("sanic",), _sanic),
)


def chosen(names: Sequence[str]) -> list[Contestant]:
    """Return Evox and the peers named, all of them where none is.

    Args:
        names: Names, or families: ``evox`` is Evox on all loops, ``fastapi`` is FastAPI on all servers. Where none is
            of Evox, Evox is measured on all loops.
    """
    if not names:
        return list(CONTESTANTS)
    asked = {*names} if any(name.partition("-")[0] == OURS for name in names) else {*names, OURS}
    return [one for one in CONTESTANTS if one.name in asked or one.family in asked]


_DISTRIBUTIONS: Final = (
    *("evox-framework", "fastapi", "starlette", "pydantic", "trio", "uvloop", "hypercorn", "uvicorn", "httptools"),
    *("litestar", "blacksheep", "sanic", "pyjwt"),
)


def versions() -> dict[str, str]:
    """Return the versions of what is measured and is installed."""
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
