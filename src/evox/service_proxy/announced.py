"""Announced: where a service is that has told the registry so; one of its instances after the other."""

from evox.config import is_loopback_url
from evox.errors import RegistryUnavailable
from evox.service_proxy.registry import Registry
from evox.service_proxy.registry_memory import Instance
from evox.service_proxy.streams import NoAnswer

__all__ = ["Announced"]


def _is_safe(url: str) -> bool:
    """Whether a token may be sent to a URL."""
    return url.startswith("https://") or (url.startswith("http://") and is_loopback_url(url))


class Announced:
    """Where one service is.

    Args:
        service: Its name.
        registry: Who knows.
        dns: Where it is if nobody has announced it, with ``{service}`` for its name; None if there is no such place.
    """

    def __init__(self, service: str, registry: Registry, dns: str | None) -> None:
        self._service, self._registry, self._dns = service, registry, dns
        self._turn = 0

    def __repr__(self) -> str:
        return f"<Announced {self._service!r}>"

    async def locate(self) -> str:
        """Return the URL of one instance, each time of the next one.

        Raises:
            NoAnswer: if there is none that a token may be sent to.
        """
        try:
            found = await self._registry.instances(self._service)
        except RegistryUnavailable as error:
            raise NoAnswer(f"{error.what}: {error.reason}", sent=False) from error
        safe = [one for one in found if _is_safe(one.url)]
        if safe:
            self._turn += 1
            return safe[self._turn % len(safe)].url
        if self._dns is not None and not found:
            return self._dns.replace("{service}", self._service)
        why = "it is announced at http:// alone, and tokens go over https" if found else "nobody has announced it"
        raise NoAnswer(why, sent=False, final=bool(found))

    def lost(self, url: str) -> None:
        """Leave an instance out that could not be reached."""
        self._registry.forget(Instance(self._service, url))
