"""Fixtures for tests of SQLAlchemy's sessions."""

from typing import Any

import pytest
from tests.integration.alchemy import KINDS


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, anyio_backend_name: str) -> Any:
    """Return how sessions are used: in a worker thread, or by await, which SQLAlchemy can on asyncio only."""
    if request.param == "async" and anyio_backend_name != "asyncio":
        pytest.skip("SQLAlchemy's async sessions are asyncio's")
    return request.param
