"""The pytest plugin: a factory fixture, so that a test needs no import, and ``--evox-backend``. No more than that."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from evox.testing.harness import Env

__all__ = ["evox_running", "pytest_addoption", "pytest_collection_modifyitems"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--evox-backend``."""
    parser.addoption(
        "--evox-backend",
        choices=["trio", "asyncio"],
        help="leave out tests that are parametrised by anyio_backend for the other event loop (evox test --backend)",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of the other loop, if one was named; those that name none stay."""
    wanted = config.getoption("--evox-backend")
    if wanted is None:
        return
    kept = [item for item in items if _backend_of(item) in (None, wanted)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


def _backend_of(item: pytest.Item) -> str | None:
    params: Any = getattr(getattr(item, "callspec", None), "params", {})
    chosen = params.get("anyio_backend")
    return str(chosen[0]) if isinstance(chosen, tuple) else chosen if isinstance(chosen, str) else None


@pytest.fixture
def evox_running() -> "Callable[..., AbstractAsyncContextManager[Env]]":
    """Give ``evox.testing.running`` to a test, which enters it itself."""
    from evox.testing.harness import (
        running,
    )  # imported when asked for: the plugin is loaded into every pytest run

    return running
