"""Every async test runs on both loops. Time is virtual where a test asks for it; only bounds on liveness are real."""

from typing import Any

import pytest


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Return the loop: both, one after the other. Modules with virtual time override it with ``virtual_trio()``."""
    return request.param
