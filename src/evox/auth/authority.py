"""Authority: what one runtime knows about tokens: its keys, who verifies and who issues, and what was refused.

    production     keys are configured, or nothing that asks who calls starts
    development    a key is made and kept in .evox/, where `evox token` finds it too; on this machine only
    test           a key is made for the time of the test

Services of one runtime share one. It is opened when the first of them starts that needs it.
"""

import logging
import os
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import anyio
import anyio.to_thread

from evox.auth.credentials import Headers, claims_internal, credentials_of
from evox.auth.development import INTERNAL_FILE, KEY_FILE, development_key
from evox.auth.internal import Internal, InternalTokens
from evox.auth.issuing import Issuer
from evox.auth.jwks import FetchedKeys, Spawn, fetcher
from evox.auth.keyfiles import files_of, read_keys
from evox.auth.keys import Key
from evox.auth.keysets import Keys, KeySet
from evox.auth.principal import ANONYMOUS, Principal
from evox.auth.refusals import Refusal, Refusals
from evox.auth.verifier import TokenVerifier
from evox.config import AuthSettings, find_root, is_loopback
from evox.durations import Duration
from evox.errors import (
    CannotIssue,
    KeysUnavailable,
    MissingKeys,
    TokenRefused,
    UnknownKey,
    UnusableKey,
)

__all__ = ["Authority", "AuthorityStatistics", "Caller", "Mode"]

Mode: TypeAlias = Literal["production", "development", "test"]
Stamp: TypeAlias = tuple[int, int, int]
NAME: Final = "evox"
POLL: Final = 1.0  # seconds between two looks at the files of keys
_log = logging.getLogger("evox.auth")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from; ``internal`` where another service makes it."""

    principal: Principal
    internal: Internal | None = None


@dataclass(frozen=True, slots=True)
class AuthorityStatistics:
    """An authority from outside. Counts are since its start."""

    mode: Mode
    keys: tuple[str, ...]
    accepted: int
    refused: int
    recent: tuple[Refusal, ...]


NOBODY: Final = Caller(ANONYMOUS)


class Authority:
    """What one runtime knows about tokens.

    Args:
        settings: ``[tool.evox.auth]``.
        root: The project's folder.
        mode: Where keys may come from.
        host: The address that is listened on; a generated key is for this machine alone.
        clock: Gives seconds since 1970.
        environ: Where ``env:NAME`` is looked up.
    """

    def __init__(
        self,
        settings: AuthSettings,
        root: Path,
        *,
        mode: Mode = "production",
        host: str = "127.0.0.1",
        clock: Callable[[], float] = time.time,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._settings, self._root, self._clock, self._environ = settings, root, clock, environ
        self.mode: Mode = mode
        self._host = host
        self._keys: Keys | None = None
        self._verifier: TokenVerifier | None = None
        self._internal: InternalTokens | None = None
        self._internal_keys: KeySet | None = None
        self._seen: dict[Path, Stamp] = {}
        self.refusals = Refusals(clock)
        self._accepted = 0

    def __repr__(self) -> str:
        return f"<Authority in {self.mode}: {self._keys or 'not opened'}>"

    @property
    def is_open(self) -> bool:
        """Whether it has keys."""
        return self._verifier is not None

    def open(self, needed_by: Iterable[str] = ()) -> None:
        """Read the keys, unless that was done.

        Args:
            needed_by: What asks who calls; with nothing in it, keys need not be there.

        Raises:
            UnusableKey: if one cannot be used.
            MissingKeys: if none is configured, and something needs one.
        """
        settings = self._settings
        if settings.internal_keys and self._internal is None:
            self._internal_keys = self._read(settings.internal_keys)
            self._internal = InternalTokens(self._internal_keys, self._clock)
        if self._verifier is not None:
            return
        needed = list(needed_by)
        keys = self._find(needed)
        if keys is None:
            return
        self._keys = keys
        self._verifier = TokenVerifier(
            keys,
            issuer=settings.issuer or NAME,
            audience=settings.audience or NAME,
            clock=self._clock,
            algorithms=settings.algorithms or None,
            roles_claim=settings.roles_claim,
            leeway=settings.leeway,
            max_lifetime=settings.max_lifetime,
        )

    async def prepare(self, spawn: Spawn) -> None:
        """Fetch keys that are published elsewhere, and keep all fresh from then on.

        Args:
            spawn: Starts what runs beside the service.
        """
        if isinstance(self._keys, FetchedKeys):
            await self._keys.refresh(spawn)
            spawn(self._keys.tend, spawn, name="auth:jwks")
        if files_of((*self._settings.keys, *self._settings.internal_keys), self._root):
            spawn(self._watch, name="auth:keys")

    async def identify(
        self, headers: Headers, *, service: str, operation: str | None, optional: bool, spawn: Spawn | None
    ) -> Caller:
        """Return who a request comes from; nobody, if it brings no credentials.

        Args:
            headers: Of the request, as in an ASGI scope.
            service: Which service is called.
            operation: Which of its endpoints; None for what is no endpoint of ours.
            optional: Whether a bad token is no reason to refuse: its bearer is nobody then.
            spawn: Starts the fetch of keys that are not known; None where there is nothing to start it in.

        Raises:
            TokenRefused: if its credentials prove nothing.
            KeysUnavailable: if that cannot be found out now.
        """
        try:
            return await self._identify(headers, service, operation, spawn)
        except (TokenRefused, KeysUnavailable):
            if optional and not claims_internal(headers):
                return NOBODY
            raise

    async def _identify(self, headers: Headers, service: str, operation: str | None, spawn: Spawn | None) -> Caller:
        given = credentials_of(headers)
        if given is None:
            return NOBODY
        if given.scheme == "internal":
            tokens = self.internal_tokens()
            if tokens is None:
                raise UnknownKey(None)
            internal = tokens.verify(given.token, audience=service, operation=operation)
            caller = Caller(internal.principal, internal)
        else:
            caller = Caller(await self._verified(given.token, spawn))
        self._accepted += 1
        return caller

    def issue(
        self, subject: str, *, roles: Iterable[str] = (), ttl: Duration = "15m", claims: Mapping[str, Any] | None = None
    ) -> str:
        """Return a new token; see ``Issuer.issue``.

        Raises:
            CannotIssue: if no key here can sign.
        """
        self.open([f"a token for {subject!r}"])
        settings = self._settings
        issuer = Issuer(
            lambda: self._keys.signing if isinstance(self._keys, KeySet) else None,
            issuer=settings.issuer or NAME,
            audience=settings.audience or NAME,
            clock=self._clock,
            roles_claim=settings.roles_claim,
            max_lifetime=settings.max_lifetime,
        )
        return issuer.issue(subject, roles=roles, ttl=ttl, claims=claims)

    def public_jwks(self) -> dict[str, Any]:
        """Return its public keys as a JWKS.

        Raises:
            CannotIssue: if they are secrets, or another issuer's.
        """
        self.open(["auth.public_jwks()"])
        if not isinstance(self._keys, KeySet) or any(key.kind == "oct" for key in self._keys):
            raise CannotIssue("the keys are secrets, or another issuer's", "sign with a private key: ES256 or EdDSA")
        return self._keys.public_jwks()

    def notes(self) -> list[str]:
        """Return what whoever starts the services should know."""
        settings = self._settings
        is_made = self.mode == "development" and self.is_open and not (settings.keys or settings.jwks_url)
        how = f"evox token --role admin --sub ada{_named(self._root)}"
        return [f"tokens are signed with a key made for development, {KEY_FILE}; get one: {how}"] if is_made else []

    def internal_tokens(self) -> InternalTokens | None:
        """Return what signs calls to services of other processes; None without ``internal_keys``.

        Where keys may be made, for the time of a test or on this machine, one is.

        Raises:
            UnusableKey: if the one for development cannot be used.
        """
        if self._internal is None and not self._settings.internal_keys:
            if self.mode == "test":
                self._internal = InternalTokens(KeySet([_test_key()]), self._clock)
            elif self.mode == "development" and is_loopback(self._host):
                key = development_key(self._root, INTERNAL_FILE)
                self._internal = InternalTokens(KeySet([key]), self._clock)
        return self._internal

    def statistics(self) -> AuthorityStatistics:
        """Return its keys, by name only, and how many callers were accepted and refused."""
        held = self._keys
        keys = tuple(map(repr, held)) if isinstance(held, KeySet) else () if held is None else (repr(held),)
        return AuthorityStatistics(self.mode, keys, self._accepted, self.refusals.count, self.refusals.recent)

    async def _verified(self, token: str, spawn: Spawn | None) -> Principal:
        if self._verifier is None:
            raise UnknownKey(None)
        try:
            return self._verifier.verify(token)
        except (UnknownKey, KeysUnavailable):
            if not isinstance(self._keys, FetchedKeys) or spawn is None:
                raise
            await self._keys.refresh(spawn)
        return self._verifier.verify(token)

    def _find(self, needed: list[str]) -> Keys | None:
        settings = self._settings
        if settings.jwks_url is not None:
            cafile = None if settings.jwks_cafile is None else str(self._root / settings.jwks_cafile)
            fetch = fetcher(settings.jwks_url, cafile)
            return FetchedKeys(
                settings.jwks_url, fetch, max_age=settings.jwks_max_age, max_stale=settings.jwks_max_stale
            )
        if settings.keys:
            return self._read(settings.keys)
        if not needed:
            return None
        if self.mode == "development":
            self._check_loopback()
            return KeySet([development_key(self._root)])
        if self.mode == "test":
            return KeySet([Key.generate(kid="test")])
        raise MissingKeys(needed)

    def _check_loopback(self) -> None:
        if not is_loopback(self._host):
            why = f"it is for this machine alone, and {self._host} is listened on"
            fix = "listen on 127.0.0.1, or name keys of your own in [tool.evox.auth]"
            raise UnusableKey(KEY_FILE, why, fix=fix)

    def _read(self, sources: tuple[str, ...]) -> KeySet:
        algorithms = self._settings.algorithms if sources is self._settings.keys else ()
        self._seen |= {file: _stamp(file) for file in files_of(sources, self._root)}  # before they are read
        keys = KeySet(read_keys(sources, self._root, self._environ, algorithms=algorithms), source=", ".join(sources))
        for key in keys:
            if algorithms and key.algorithm not in algorithms:
                why = f"{key!r} is for none of algorithms = {list(algorithms)}"
                raise UnusableKey(", ".join(sources), why)
        return keys

    async def _watch(self) -> None:
        """Take keys from files that have changed, at once for tokens to come; what is wrong leaves all as it was."""
        while True:
            await anyio.sleep(POLL)
            if await anyio.to_thread.run_sync(self._has_changed) and self._has_changed():  # no other service was first
                self._reread()

    def _has_changed(self) -> bool:
        return any(_stamp(file) != seen for file, seen in self._seen.items())

    def _reread(self) -> None:
        settings = self._settings
        for keys, sources in ((self._keys, settings.keys), (self._internal_keys, settings.internal_keys)):
            if not (isinstance(keys, KeySet) and sources):
                continue
            try:
                keys.replace(self._read(sources))
            except UnusableKey as error:
                _log.error("keys have changed and cannot be used; the old ones stay\n%s", error)
            else:
                _log.info("keys were read anew: %r", keys)


@cache
def _test_key() -> Key:
    """Return the key between services in tests: the runtimes of one test stand for processes of one system."""
    return Key.generate(kid="test-internal")


def _named(root: Path) -> str:
    """Return how a command names a project; nothing if it is the one of the folder that it is given in."""
    here, root = Path.cwd(), root.resolve()
    if find_root(here) == root:
        return ""
    return f" {shlex.quote(str(root.relative_to(here) if root.is_relative_to(here) else root))}"


def _stamp(file: Path) -> Stamp:
    """Return what is another one when a file has been written, or another one put in its place."""
    try:
        found = file.stat()
    except OSError:
        return (0, 0, 0)
    return max(found.st_mtime_ns, found.st_ctime_ns), found.st_ino, found.st_size
