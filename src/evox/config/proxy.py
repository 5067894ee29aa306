"""Proxy: where other services are, and how calls to them are made. ``[tool.evox.proxy]`` and ``[tool.evox.peers]``."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, model_validator

from evox.config.fields import Bytes, Count, Limit, Table
from evox.config.urls import is_loopback, remember_url, scheme_of

__all__ = ["PeerSettings", "ProxySettings", "in_code", "is_loopback_url"]

Trust = Literal["internal", "external"]


def is_loopback_url(url: str) -> bool:
    """Whether a URL leads to this machine alone."""
    return is_loopback(urlsplit(url).hostname or "")


def _address(url: str) -> str:
    if not url.isprintable() or " " in url:  # urlsplit leaves some of that out, and the client does not
        raise ValueError("there are no spaces or line feeds in a URL")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"it is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write https://host, or http://127.0.0.1:8001 on this machine")
    if parts.username is not None or parts.password is not None:
        raise ValueError("there is no user or password in it: services know each other by auth.internal_keys")
    if "?" in url or "#" in url:
        raise ValueError("it ends with the path below which the service is; leave out ? and #")
    return _plain(url)


def _plain(url: str) -> str:
    """Write the scheme as it is compared everywhere: in lower case (RFC 3986, section 3.1)."""
    scheme, colon, rest = url.partition(":")
    return f"{scheme.lower()}{colon}{rest.rstrip('/')}"


def _pattern(pattern: str) -> str:
    if "{service}" not in pattern:
        raise ValueError("it has {service} where the name of a service goes: https://{service}.shop.svc:8443")
    _address(pattern.replace("{service}", "a"))
    return _plain(pattern)


def _registry(url: str) -> str:
    remember_url(url)
    if scheme_of(url) != "valkey":
        raise ValueError("a registry is a Valkey or Redis server: valkey://host:6379")
    return url


class PeerSettings(Table):
    """``[tool.evox.peers] NAME``: one service that runs elsewhere."""

    url: Annotated[str, AfterValidator(_address)] = Field(description="where it is; `https`, or `http` on this machine")
    trust: Trust = Field(default="internal", description="`internal` sends tokens of ours, `external` never does")
    forward_user: bool = Field(default=False, description="whether an external peer gets the bearer token of the user")
    openapi: str | None = Field(
        default=None, min_length=1, description="path of an external peer's document, `/openapi.json` if empty"
    )
    cafile: str | None = Field(
        default=None, min_length=1, description="certificates in PEM that it is trusted by; the system's if empty"
    )
    timeout: Limit | None = Field(default=None, description="how long a call to it may take; `proxy.timeout` if empty")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        """Take a URL alone for a peer."""
        return {"url": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse at once what would send a token where others may read it."""
        if self.url.startswith("http://") and not is_loopback_url(self.url):
            if self.trust == "internal":
                raise ValueError("tokens go over https only; http is for this machine: http://127.0.0.1:8001")
            if self.forward_user:
                raise ValueError("the user's token goes over https only: write https, or leave out forward_user")
        if self.forward_user and self.trust == "internal":
            raise ValueError("an internal peer knows the user by our token: leave out forward_user")
        if self.openapi is not None and self.trust == "internal":
            raise ValueError("an internal peer describes itself: leave out openapi")
        return self


class ProxySettings(Table):
    """``[tool.evox.proxy]``. How other services are called. Durations in seconds or as ``"30s"``."""

    timeout: Limit = Field(default=10.0, description="how long a call may take in all, unless its caller has less time")
    attempts: Count = Field(default=3, le=10, description="how often a call is tried that may be repeated")
    connections: Count = Field(default=100, description="open connections to each peer")
    answer_bytes: Bytes = Field(default=ByteSize(16_777_216), description="size of an answer; a larger one is an error")
    dns: Annotated[str, AfterValidator(_pattern)] | None = Field(
        default=None, description="where services are that no peer names: `https://{service}.shop.svc:8443`"
    )
    registry: Annotated[str, AfterValidator(_registry)] | None = Field(
        default=None, repr=False, description="where services tell each other where they are: `valkey://...`"
    )
    lease: Limit = Field(default=15.0, description="how long a service is known there that has not said so again")
    advertise: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None, description="the URL by which others reach the services of this process; the bound one if empty"
    )
    cafile: str | None = Field(
        default=None, min_length=1, description="as of a peer, for those of `dns` and `registry`"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse at once what would send a token where others may read it."""
        where = (self.dns or "").replace("{service}", "a")
        if where.startswith("http://") and not is_loopback_url(where):
            raise ValueError("tokens go over https only: dns = https://...")
        return self


def in_code(service: str) -> str:
    """Return a service's name as code writes it: dashes are underscores there, so two that differ in them are one."""
    return service.replace("-", "_")


def _named(value: object) -> object:
    """Bring names into the form in which code writes them: with underscores."""
    if not isinstance(value, dict):
        return value
    made = {in_code(str(name)): peer for name, peer in value.items()}
    if len(made) < len(value):
        raise ValueError("two peers have one name: dashes and underscores are the same")
    return made


Peers = Annotated[dict[str, PeerSettings], BeforeValidator(_named)]
