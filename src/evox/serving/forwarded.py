"""Forwarded: who the client is when a proxy stands before us, believed only from proxies that are listed.

Anyone can send ``X-Forwarded-For``. It is read from right to left, each hop vouching for the one before it, for as
long as the hops are listed; the first that is not is the client.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Forwarded"]

_SECURE = {"http": "https", "https": "https", "ws": "wss", "wss": "wss"}
_PLAIN = {"http": "http", "https": "http", "ws": "ws", "wss": "ws"}


class Forwarded:
    """An ASGI app that corrects ``client`` and ``scheme`` before another one.

    Args:
        app: The other one.
        peers: Addresses and networks of proxies.
    """

    def __init__(self, app: ASGIApp, peers: Sequence[str]) -> None:
        self._app = app
        self._networks = [ip_network(one) for one in peers]

    def __repr__(self) -> str:
        return f"<Forwarded from {', '.join(map(str, self._networks))}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        client = scope.get("client")
        if client is not None and self._listed(_address(client[0])):
            self._correct(scope)
        await self._app(scope, receive, send)

    def _correct(self, scope: Scope) -> None:
        hops = [hop for value in _values(scope, b"x-forwarded-for") for hop in value.split(",")]
        for hop in reversed(hops):
            address = None if "%" in hop else _address(hop.strip())  # a zone means nothing here, and may be any text
            if address is None:
                break  # what is left of it is nobody's word
            scope["client"] = (str(address), 0)
            if not self._listed(address):
                break
        protocols = [one.strip().lower() for value in _values(scope, b"x-forwarded-proto") for one in value.split(",")]
        if protocols and protocols[-1] in ("https", "wss"):
            scope["scheme"] = _SECURE[scope["scheme"]]
        elif protocols and protocols[-1] in ("http", "ws"):
            scope["scheme"] = _PLAIN[scope["scheme"]]

    def _listed(self, address: IPv4Address | IPv6Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _values(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, with or without a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address
