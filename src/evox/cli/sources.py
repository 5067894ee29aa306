"""Sources: the options by which commands that look are told at what: processes of this user here, or named by URL."""

from collections.abc import Callable
from typing import Any, TypeVar

import asyncclick as click

__all__ = ["look_at", "makes_sources"]

F = TypeVar("F", bound=Callable[..., Any])


def look_at(function: F) -> F:
    """Add ``--url``, ``--token-from`` and ``--cafile`` to a command."""
    options = [
        click.option("--url", "urls", multiple=True, metavar="URL", help="A service to ask; may be repeated."),
        click.option("--token-from", metavar="SOURCE", help="Where the token for --url is: env:NAME or a file."),
        click.option("--cafile", metavar="FILE", help="Certificates in PEM that --url is trusted by."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def makes_sources(urls: tuple[str, ...], token_from: str | None, cafile: str | None) -> Callable[[], Any]:
    """Check these options, and return what makes the sources; to be called in an event loop.

    Raises:
        UsageError: if a token or certificates are named, and nothing to show them to.
    """
    if not urls and (token_from or cafile):
        raise click.UsageError("--token-from and --cafile are for --url: name one")

    def make() -> Any:
        from evox.observe.naming import found_sources, sources_of

        return sources_of(urls, token_from, cafile)() if urls else found_sources()

    return make
