"""Group framework: whether Evox does here what it promises, and each service of the project is one that it can run."""

from collections.abc import Iterator
from functools import partial

from evox.testing.selftest.injecting import injection_checks
from evox.testing.selftest.priorities import priority_checks
from evox.testing.selftest.project import Check, Project, limit_of
from evox.testing.selftest.routes import answers_methods, compiles, documents, reaches_its_own
from evox.testing.selftest.syntaxes import both_syntaxes, many_methods, many_methods_by_proxy

__all__ = ["framework_checks"]


def framework_checks(project: Project) -> Iterator[Check]:
    """Yield what must hold of the framework and of what is built with it."""
    yield from injection_checks(project)
    yield from priority_checks(project)
    yield Check("framework", "syntax: functions and classes give equal endpoints and answers", both_syntaxes)
    yield Check("framework", "methods: each method of a path reaches its own handler by HTTP", many_methods)
    yield Check("framework", "methods: each method of a path reaches its own handler by proxy", many_methods_by_proxy)
    for one in project.services:
        for name, run in (
            ("compiles", partial(compiles, one)),
            ("has an OpenAPI document", partial(documents, one)),
            ("reaches each of its endpoints", partial(reaches_its_own, one)),
            ("answers 405 where a path has no such method", partial(answers_methods, project, one)),
        ):
            yield Check("framework", f"service {one.name}: {name}", run, limit=limit_of(one))
