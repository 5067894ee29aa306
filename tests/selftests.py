"""What the tests of ``evox health --test`` share: running checks on services of a test. It asserts nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evox import Service
from evox.config import Loaded, settings_of
from evox.runtime import choose
from evox.testing.selftest import Project, Result, checks_of, run_checks

__all__ = ["failing", "project_of", "results_of"]


def project_of(
    *services: Service, loop: Any = "trio", root: Path | None = None, settings: Mapping[str, Any] | None = None
) -> Project:
    """Return a project of these services and options."""
    loaded = Loaded(settings_of(settings or {}, "a test"), root or Path.cwd())
    return Project(loaded, services, choose(loop))


def results_of(group: str, project: Project, *, only: str = "") -> dict[str, Result]:
    """Run the checks of a group whose names begin so, and return what became of them by name."""
    checks = [one for one in checks_of(group, project) if one.name.startswith(only)]
    return {one.name: one for one in run_checks(checks, project.loop)}


def failing(results: Mapping[str, Result]) -> set[str]:
    """Return the names of the checks that do not hold."""
    return {name for name, one in results.items() if not one.ok}
