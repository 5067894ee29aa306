"""Migrations: plain SQL files, applied in order to what ``inject.db()`` gives. ``evox sync db`` calls it."""

from evox.data.migrations.applying import WAIT, look, migrate, resolve
from evox.data.migrations.files import Migration, read_folder
from evox.data.migrations.plan import Applied, Plan, compare
from evox.data.migrations.sites import Site, sites_of
from evox.data.migrations.statements import Statement, statements_of
from evox.data.migrations.suitability import checked_statements
from evox.data.migrations.target import Target, Writer

__all__ = [
    "WAIT",
    "Applied",
    "Migration",
    "Plan",
    "Site",
    "Statement",
    "Target",
    "Writer",
    "checked_statements",
    "compare",
    "look",
    "migrate",
    "read_folder",
    "resolve",
    "sites_of",
    "statements_of",
]
