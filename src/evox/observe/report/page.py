"""Page: a report as one HTML file that needs nothing else: no script, no font, no address but the services' own.

Everything in it came from other processes, so everything is escaped, and only what is an address of the web becomes a
link. How it looks is in ``templates``.
"""

from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evox import __version__
from evox.observe.durations import BUCKETS
from evox.observe.report import wording
from evox.observe.report.dependencies import dependencies
from evox.observe.report.drawing import histogram, proportions
from evox.observe.report.gathering import Report
from evox.observe.report.services import rows
from evox.observe.report.troubles import recoveries, troubles
from evox.scheduling import WAITS

__all__ = ["page"]

SHOWN: Final = 100  # rows of a table of what may be without end; the rest is in the JSON


def page(report: Report) -> str:
    """Return a report as HTML."""
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        rows=rows(report),
        troubles=troubles(report),
        recoveries=recoveries(report),
        dependencies=dependencies(report),
        version=__version__,
    )


def link(url: str | None) -> str | None:
    """Return an address of the web that may be a link, or None for anything else."""
    if not url or not url.isprintable() or any(one in url for one in " \"'<>\\"):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc else None


def address(url: str | None) -> str:
    """Return a URL as it is read: without its scheme where that is HTTP."""
    return (url or "").removeprefix("http://")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("evox.observe.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    environment.filters |= {
        "address": address,
        "count": wording.count,
        "link": link,
        "moment": wording.moment,
        "size": wording.size,
        "span": wording.span,
        "word": wording.word,
    }
    environment.globals |= {
        "BUCKETS": BUCKETS,
        "SHOWN": SHOWN,
        "WAITS": WAITS,
        "ago": wording.ago,
        "histogram": histogram,
        "proportions": proportions,
    }
    return environment


def _shown(value: Any) -> Any:
    """Return what is to stand in the page: texts of others without what turns round or hides what follows."""
    return wording.plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value
