"""The pytest plugin: a factory fixture, so that a test needs no import. It changes nothing else."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from evox.testing.harness import Env

__all__ = ["evox_running"]


@pytest.fixture
def evox_running() -> "Callable[..., AbstractAsyncContextManager[Env]]":
    """Give ``evox.testing.running`` to a test, which enters it itself."""
    from evox.testing.harness import (
        running,
    )  # imported when asked for: the plugin is loaded into every pytest run

    return running
