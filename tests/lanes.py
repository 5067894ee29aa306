"""Who serves plain HTTP/1.1 while a test runs: Evox itself ("fast") or hypercorn.

A module whose tests are about HTTP/1.1 connections says ``pytestmark = pytest.mark.usefixtures("http1")``, and each of
them runs with both. Processes started by ``tests.support`` are told by their environment; services inside the test by
``running`` from here, which is Evox's own where no test has chosen.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Final, Literal, TypeAlias

import pytest

from evox import Service
from evox.testing import Env
from evox.testing import running as run

__all__ = ["LANES", "ONE_WAY", "Lane", "running", "said", "served_by"]

Lane: TypeAlias = Literal["fast", "hypercorn"]
LANES: Final[tuple[Lane, ...]] = ("fast", "hypercorn")
ONE_WAY: Final = pytest.mark.parametrize("http1", ["fast"], indirect=True)
"""For a test of such a module that has nothing to do with it: it runs once."""
_chosen: list[Lane] = []  # one a process: tests run one after the other


@contextmanager
def served_by(lane: Lane) -> Iterator[None]:
    """Let plain HTTP/1.1 be served like this for the time of a ``with`` block."""
    _chosen.append(lane)
    try:
        yield
    finally:
        _chosen.pop()


def said() -> dict[str, str]:
    """Return the choice as an option of ``[tool.evox.serving]``; nothing if there is none."""
    return {"http1": _chosen[-1]} if _chosen else {}


def running(
    *services: Service, settings: Mapping[str, Any] | None = None, **options: Any
) -> AbstractAsyncContextManager[Env]:
    """Run services as ``evox.testing.running`` does, served as was chosen."""
    serving = {**said(), **(settings or {}).get("serving", {})}
    return run(*services, settings={**(settings or {}), "serving": serving}, **options)
