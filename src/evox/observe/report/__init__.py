"""Report: how running processes are, asked from outside: as a page, as a table in a terminal, and as JSON."""

from evox.observe.report.gathering import Report, Seen, gather
from evox.observe.report.listing import listing
from evox.observe.report.page import page
from evox.observe.report.terminal import table

__all__ = ["Report", "Seen", "gather", "listing", "page", "table"]
