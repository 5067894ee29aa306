"""Naming: the processes that a command looks at: named by the URLs of their services, with a token, or found here."""

import os
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from evox.auth import read_secret
from evox.config import without_secrets
from evox.errors import InvalidOption, NothingToSee
from evox.observe.asking import Source
from evox.observe.directory import notes

__all__ = ["found_sources", "sources_of"]

LONGEST = 2_000  # characters of a URL


def found_sources(directory: Path | None = None) -> list[Source]:
    """Return the processes of this user that left a note, the one that started first first.

    Args:
        directory: Where notes are; the user's runtime directory if None.

    Raises:
        NothingToSee: if there is none.
    """
    found = [Source.of(note) for note in notes(directory)]
    if not found:
        raise NothingToSee
    return found


def sources_of(urls: Sequence[str], token_from: str | None, cafile: str | None) -> Callable[[], list[Source]]:
    """Check what is named, and return what makes a source of each; that has to be called in an event loop.

    Args:
        urls: Of services, such as ``https://shop.example:8443``.
        token_from: Where the token for them is: a file or ``env:NAME``.
        cafile: Certificates in PEM that their servers are trusted by; the system's if None.

    Raises:
        InvalidOption: if a URL is none, or the token would be sent where others can read it.
        UnusableKey: if the token cannot be read.
    """
    token = "" if token_from is None else read_secret(token_from, Path.cwd(), os.environ)
    verify: Any = True
    if cafile is not None:
        try:
            verify = ssl.create_default_context(cafile=cafile)
        except (OSError, ssl.SSLError):
            why = "it holds no certificate in PEM"
            raise InvalidOption("--cafile", source="the command line", why=why) from None
    for url in urls:
        _check(url)

    def make() -> list[Source]:
        return [Source(without_secrets(url), url=url, token=token, verify=verify) for url in dict.fromkeys(urls)]

    try:
        make()
    except (ValueError, httpx2.InvalidURL) as error:
        raise InvalidOption("--url", source="the command line", why=str(error)) from None
    return make


def _check(url: str) -> None:
    if not url.isprintable() or " " in url or len(url) > LONGEST or "?" in url or "#" in url:
        why = "it ends with the path below which the service is, and holds no blanks"
        raise InvalidOption("--url", source="the command line", why=why)
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_good = False
    if not is_good:
        why = f"{without_secrets(url)!r} is no URL of a service, such as https://shop.example:8443"
        raise InvalidOption("--url", source="the command line", why=why)
    if "@" in parts.netloc:
        raise InvalidOption("--url", source="the command line", why="a password in a URL is not sent: use --token-from")
