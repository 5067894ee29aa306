"""URLs of backends: which backend one names, whether it can be read, and how it may be shown."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote, urlsplit

from evox.errors.secrets import is_secret_name, remember

__all__ = ["KNOWN", "hidden", "is_loopback", "remember_url", "scheme_of", "without_secrets"]

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


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)  # as clients of IPv4 are seen by a socket of both
    return (address if mapped is None else mapped).is_loopback


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
    if kind == "sqlite" and url.lower() == "sqlite:///:memory:":
        raise ValueError("that would be a file called :memory:; write memory for data in memory")
    if kind in ("postgresql", "valkey"):
        _check_server(url, kind)
    return kind


def without_secrets(url: str) -> str:
    """Return a URL as it may be shown: without its password, and without parameters that may hold one."""
    shown, _, host = _parts(url)
    return _PARAMETER.sub(r"\1***", shown + _without_odd_port(host))


def hidden(text: str, url: str) -> str:
    """Return a text about a URL, such as an error of a library, without what is not shown of the URL."""
    shown = without_secrets(url)
    secrets = {_parts(url)[1], *(value for _, value in _PARAMETER.findall(url))}
    for secret in sorted(secrets | set(map(unquote, secrets)), key=len, reverse=True):
        if secret and secret not in shown:
            text = text.replace(secret, "***")
    return text


def remember_url(url: str) -> None:
    """Let the password of a URL be taken out of every text, if it is told apart from what is shown of the URL."""
    shown = without_secrets(url)
    secrets = {_parts(url)[1], *(value for name, value in _PARAMETER.findall(url) if is_secret_name(name[1:-1]))}
    for secret in secrets | set(map(unquote, secrets)):
        if secret not in shown:
            remember(secret)


# Of all others what they hold may be a secret: there are too many ways to misspell password.
_HARMLESS: Final = (
    r"application_name|channel_binding|client_encoding|connect_timeout|db|dbname|gssencmode|host|hostaddr|keepalives\w*"
    r"|load_balance_hosts|max_connections|port|protocol|require_auth|service|socket_timeout|ssl_ca_certs|ssl_cert_reqs"
    r"|ssl_certfile|ssl_check_hostname|sslcert|sslmode|sslnegotiation|sslrootcert|sslsni|stream_timeout"
    r"|target_session_attrs|tcp_user_timeout|user"
)
_PARAMETER: Final = re.compile(rf"([?&](?!(?:{_HARMLESS})=)[^=&]*=)([^&]*)")


def _parts(url: str) -> tuple[str, str, str]:
    """Return what may be shown up to the host, the password if there is one, and the host with all that follows.

    People forget to quote what is in their password, so all up to the last ``@`` may be one; and they forget slashes.
    """
    found = re.match(r"\w+:(?://)?", url)
    scheme = found[0] if found is not None else ""
    before, at, host = url[len(scheme) :].rpartition("@")
    if not at or scheme.lower() == "sqlite://":
        return scheme, "", url[len(scheme) :]
    user, _, password = before.partition(":")
    is_user = not re.search(r"[/?#\s]", user)
    if _PARAMETER.search(before) is not None:  # the last @ is in the value of one, or all of that is a password
        shown = f"{scheme}{user}:" if is_user and password else scheme
        return f"{shown}***", url[len(shown) :], ""
    if password and is_user:
        return f"{scheme}{user}:***@", password, host
    if SCHEMES.get(scheme.partition("://")[0].lower()) == "postgresql" and ":" not in before:
        return f"{scheme}{before}@", "", host
    # Valkey knows no user without a password, so what stands there alone is one; as it is in me:password@host.
    return f"{scheme}***@", before, host


def _without_odd_port(host: str) -> str:
    """A port that is none is mostly the password of a URL without a host."""
    authority = re.split(r"[/?#]", host, maxsplit=1)[0]
    found = re.search(r":(?!\d*(?:,|$))[^,\[\]]*(?:,|$)", authority)
    return f"{host[: found.start()]}:***" if found is not None else host


def _check_server(url: str, kind: str) -> None:
    before = re.split(r"\?\w+=", url, maxsplit=1)[0]
    authority = re.split(r"[/?#]", before.partition("://")[2], maxsplit=1)[0]
    if before.count("@") > 1 or ("@" in before and "@" not in authority):
        raise ValueError("quote what the password has of @ : / ? # and %, e.g. %40 for @")
    if kind == "postgresql" and re.search(r"%(?![0-9A-Fa-f]{2})|%00|\s", url.strip()):
        raise ValueError(f"{without_secrets(url)!r} cannot be read: write %25 for % in a password, and %20 for a space")
    try:
        _ = urlsplit(url).port if kind == "valkey" else None  # PostgreSQL takes a list of hosts
        readable = _without_odd_port(authority.rpartition("@")[2]) == authority.rpartition("@")[2]
    except ValueError:
        readable = False
    if not readable:
        raise ValueError(f"the host or port of {without_secrets(url)!r} cannot be read")
