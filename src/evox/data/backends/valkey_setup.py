"""Valkey setup: what a server's own account of itself means for what is kept there. The backend asks."""

import re
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from coredis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ExecAbortError,
    ReadOnlyError,
    RedisError,
)

from evox.data.backends.valkey_pool import NotOpened
from evox.data.policy import Facts
from evox.errors import BackendRefused

__all__ = ["ASKED", "Setup", "database_of", "is_full", "is_passing", "nothing_was_done", "refusal", "setup_of"]

ASKED: Final = ("appendonly", "appendfsync", "maxmemory-policy", "cluster-enabled", "replica-read-only")
_LATER: Final = (BusyLoadingError, ClusterDownError, ExecAbortError, ReadOnlyError)
# coredis takes the code away where it has a class for it, and leaves it where it has none. Old servers have it after
# "Error running script ...: -".
_STATES: Final = re.compile(r"(.*: ?-)?(READONLY|NOREPLICAS|MISCONF|MASTERDOWN|LOADING|BUSY|CLUSTERDOWN)\b", re.DOTALL)
_FULL: Final = re.compile(r"(.*: ?-)?OOM\b", re.DOTALL)
_USER: Final = (
    'what Evox needs: ACL SETUSER <user> on ><password> ~evox:* "&evox:*" +@all -@admin -@dangerous +info +config|get'
)


class Setup(NamedTuple):
    """How a server is set up: what it can do, whether it takes writes, and its policy if that may evict keys."""

    facts: Facts
    is_primary: bool
    evicts: str


def setup_of(info: bytes, config: Any) -> Setup:
    """Work out how a server is set up.

    Args:
        info: What it answers to INFO.
        config: What it answers to CONFIG GET of ``ASKED``, or its error: not everybody who lets servers allows it.
    """
    told = dict(line.split(":", 1) for line in info.decode("utf-8", "replace").split("\r\n") if ":" in line)
    is_primary = told.get("role") == "master"
    policy = told.get("maxmemory_policy", "noeviction")
    if isinstance(config, RedisError):
        why = f"it does not say how it is set up: {config}"
        return Setup(Facts("valkey", shared=True, linearizable=False, why_not=why), is_primary, _evicting(policy))
    options = _pairs(config)
    policy = options.get("maxmemory-policy", policy)
    missing = [
        why
        for holds, why in (
            (is_primary, "it is a replica"),
            (options.get("replica-read-only", "yes") == "yes", "it would take writes as a replica"),
            (options.get("appendonly") == "yes", "appendonly is not on"),
            (options.get("appendfsync") == "always", 'appendfsync is not "always"'),
            (policy == "noeviction", "it may evict keys"),
            (options.get("cluster-enabled", "no") == "no", "it is a cluster"),
        )
        if not holds
    ]
    facts = Facts("valkey", shared=True, linearizable=not missing, why_not=", ".join(missing))
    return Setup(facts, is_primary, _evicting(policy))


def refusal(name: str, error: RedisError, *, db: object = None) -> BackendRefused:
    """Return what to say at the start of a server that does not let us. Its own words name no secret.

    Args:
        name: The server, as it may be shown.
        error: What it answered.
        db: The number of the database that was asked for.
    """
    said = str(error)
    if "DB index" in said:
        fix = "name one that it has in backend = ..., .../0 first of all, or raise databases in its configuration"
        return BackendRefused(name, f"it has no database {db}", fix=fix)
    if "must be called with the client already authenticated" in said or said.startswith("Authentication required"):
        fix = "put it into the URL, in the environment: EVOX_DATA__BACKEND=valkey://:<password>@host:6379/0"
        return BackendRefused(name, "it asks for a password, and the URL has none", fix=fix)
    if isinstance(error, AuthenticationError):
        fix = "correct user and password in the URL, valkey://<user>:<password>@host, and quote @ : / ? # % in them"
        return BackendRefused(name, f"it does not take the user or password: {said}", fix=fix)
    if isinstance(error, AuthorizationError) or said.startswith("ACL failure"):
        return BackendRefused(name, f"its user may not do what is needed: {said}", fix=f"give the user {_USER}")
    return BackendRefused(name, said)


def database_of(url: str, name: str) -> str:
    """Return the number of the database in a URL.

    Raises:
        BackendRefused: if it is none: the driver would take the first one instead.
    """
    found = urlsplit(url)
    number = parse_qs(found.query).get("db", [found.path.strip("/") or "0"])[0]
    if not (number.isascii() and number.isdigit()):
        fix = "databases have numbers: valkey://host:6379/0"
        raise BackendRefused(name, f"{number!r} is no number of a database", fix=fix)
    return number


def is_full(error: Exception) -> bool:
    """Return whether a server has no memory left."""
    return _FULL.match(str(error)) is not None


def is_passing(error: Exception) -> bool:
    """Return whether a server said that it cannot now, and may later."""
    return isinstance(error, _LATER) or _STATES.match(str(error)) is not None


def nothing_was_done(error: Exception) -> bool:
    """Return whether a command was refused before it began, or never sent. Of other errors in a script who knows."""
    return is_passing(error) or isinstance(error, (NotOpened, AuthenticationError, AuthorizationError))


def _evicting(policy: str) -> str:
    return "" if policy == "noeviction" else policy


def _pairs(found: Any) -> dict[str, str]:
    items = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    return {name.decode(): value.decode() for name, value in items}
