"""Group connection: whether what the project needs outside of its own code is there: storage, and other services."""

from collections.abc import Iterator

from evox.testing.selftest.calls import call_checks
from evox.testing.selftest.project import Check, Project
from evox.testing.selftest.reaching import reaching_checks
from evox.testing.selftest.storage import storage_checks

__all__ = ["connection_checks"]


def connection_checks(project: Project) -> Iterator[Check]:
    """Yield what must hold of what the project is connected to."""
    yield from storage_checks(project)
    yield from reaching_checks(project)
    yield from call_checks(project)
