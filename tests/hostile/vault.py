"""A service whose endpoints are for some callers only, and what it says of those it refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.hostile.forge import AUDIENCE, INTERNAL, ISSUER, Ring, ring_of, text_of
from tests.lanes import running

from evox import ServiceBuilder
from evox.core import auth
from evox.testing import Env

__all__ = ["NAME", "Vault", "guarded"]

NAME = "vault"


class Vault:
    """The running service.

    Attributes:
        url: Where it listens.
        entered: Which endpoints were reached, one entry a time.
    """

    def __init__(self, env: Env, entered: list[str]) -> None:
        self.url = env.url(NAME)
        self.entered = entered
        self._env = env

    def statistics(self) -> Any:
        """Return what is known of callers."""
        return self._env.service(NAME).authority.statistics()


def declared(entered: list[str]) -> ServiceBuilder:
    """Return the service: an endpoint for admins, one for other services, and one for everybody."""
    svc = ServiceBuilder(NAME)

    @svc.get("/gold")
    @auth.require_roles("admin")
    async def gold() -> str:
        entered.append("gold")
        return "let in"

    @svc.post("/gold")
    @auth.require_roles("admin")
    async def more() -> str:
        entered.append("more")
        return "let in"

    @svc.get("/inner", private=True)
    async def inner() -> str:
        entered.append("inner")
        return "let in"

    @svc.get("/open")
    @auth.public
    async def everybody() -> str:
        entered.append("everybody")
        return "let in"

    return svc


@asynccontextmanager
async def guarded(folder: Path, ring: Ring = "secret") -> AsyncIterator[Vault]:
    """Run the service on a real socket, with one of the rings of keys."""
    (folder / "keys.json").write_text(ring_of(ring))
    (folder / "internal.json").write_bytes(text_of(dict(INTERNAL.jwk)))
    keys = {
        "keys": ["keys.json"],
        "internal_keys": ["internal.json"],
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "leeway": 60,
    }
    entered: list[str] = []
    async with running(declared(entered), sockets=True, settings={"auth": keys}, root=folder) as env:
        yield Vault(env, entered)
