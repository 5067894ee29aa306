"""Self-tests of a project on its own machine: what `evox health --test` runs."""

from evox.testing.selftest.groups import GROUPS, checks_of
from evox.testing.selftest.junit import junit
from evox.testing.selftest.project import Check, Project
from evox.testing.selftest.results import Failed, Result, Skipped
from evox.testing.selftest.running import run_checks

__all__ = ["GROUPS", "Check", "Failed", "Project", "Result", "Skipped", "checks_of", "junit", "run_checks"]
