"""Groups: the checks by what they are about."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from evox.testing.selftest.connection import connection_checks
from evox.testing.selftest.framework import framework_checks
from evox.testing.selftest.project import Check, Project
from evox.testing.selftest.services import services_checks

__all__ = ["GROUPS", "checks_of"]

GROUPS: Final[Mapping[str, Callable[[Project], Iterator[Check]]]] = MappingProxyType(
    {"connection": connection_checks, "framework": framework_checks, "services": services_checks}
)


def checks_of(group: str, project: Project) -> list[Check]:
    """Return the checks of a group, or of ``"all"``.

    Args:
        group: One of ``GROUPS``, or ``"all"``.
        project: What is tested.
    """
    wanted = GROUPS.values() if group == "all" else (GROUPS[group],)
    return [check for make in wanted for check in make(project)]
