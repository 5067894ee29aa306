"""URLs of backends: which backend one names, whether it can be read, and how it may be shown."""

import re
from typing import Final
from urllib.parse import urlsplit

__all__ = ["KNOWN", "scheme_of", "without_secrets"]

SCHEMES: Final = {
    "memory": "memory",
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "valkey": "valkey",
    "redis": "valkey",
    "valkeys": "valkey",
    "rediss": "valkey",
}
KNOWN: Final = "memory, sqlite:///path, postgresql://... and valkey://... (or redis://...)"


def scheme_of(url: str) -> str:
    """Return which backend a URL names: ``"memory"``, ``"sqlite"``, ``"postgresql"`` or ``"valkey"``.

    Raises:
        ValueError: if there is no such backend, or the rest cannot be read; what libraries would say of that may hold
            its password.
    """
    scheme = url.partition(":")[0].lower()
    if scheme not in SCHEMES or (scheme != "memory" and "://" not in url):
        raise ValueError(f"{without_secrets(url)!r} names no backend; there are {KNOWN}")
    kind = SCHEMES[scheme]
    if kind == "sqlite" and not re.fullmatch(r"sqlite:///[^?]+", url, re.IGNORECASE):
        raise ValueError("write sqlite:///file.db for a file beside the project, sqlite:////var/file.db for any other")
    if kind in ("postgresql", "valkey"):
        _check_server(url, kind)
    return kind


def without_secrets(url: str) -> str:
    """Return a URL as it may be shown: without its password, and without parameters that may hold one."""
    # Up to the last @, as people forget to quote theirs, and without the slashes, as they forget those too. Valkey
    # knows no user without a password, so what stands there alone is one.
    shown = re.sub(r"(?i)\b((?:valkey|redis)s?:(?://)?)[^/@:\s]+@", r"\1***@", url)
    shown = re.sub(r"(\w:(?://)?[^/@:\s]*):\S*@", r"\1:***@", shown)
    return re.sub(r"(?i)([?&][^=&]*(?:pass|secret|token|key)[^=&]*=)[^&]*", r"\1***", shown)


def _check_server(url: str, kind: str) -> None:
    before = re.split(r"\?\w+=", url, maxsplit=1)[0]
    authority = re.split(r"[/?#]", before.partition("://")[2], maxsplit=1)[0]
    if before.count("@") > 1 or ("@" in before and "@" not in authority):
        raise ValueError("quote what the password has of @ : / ? # and %, e.g. %40 for @")
    try:
        found = urlsplit(url)
        _ = found.port if kind == "valkey" else None  # PostgreSQL takes a list of hosts
    except ValueError:
        raise ValueError(f"the host or port of {without_secrets(url)!r} cannot be read") from None
