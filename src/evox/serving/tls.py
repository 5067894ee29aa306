"""TLS: the server's side of it, from two files."""

import ssl
from pathlib import Path

from evox.config import Loaded
from evox.errors import InvalidOption

__all__ = ["tls_of"]

# OpenSSL's reasons.
_NOT_A_PAIR = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
_WEAK = ("_TOO_SMALL", "_TOO_WEAK")


def tls_of(loaded: Loaded) -> ssl.SSLContext | None:
    """Return the context that a configuration asks for, or None if it asks for none.

    TLS 1.2 and later, HTTP/2 and HTTP/1.1 by ALPN. Paths are relative to the project.

    Raises:
        InvalidOption: naming the option, if a file cannot be read or the two do not belong together.
    """
    settings = loaded.settings.serving
    if settings.certfile is None:
        if settings.keyfile is not None:
            raise _wrong(loaded, "keyfile", "there is no serving.certfile to go with it")
        return None
    certificate = _readable(loaded, "certfile", settings.certfile)
    key = certificate if settings.keyfile is None else _readable(loaded, "keyfile", settings.keyfile)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certificate)
    except ssl.SSLError:
        raise _wrong(loaded, "certfile", f"{certificate} holds no certificate in PEM") from None
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError as error:
        option = "certfile" if settings.keyfile is None else "keyfile"
        reason = error.reason or ""
        if reason in _NOT_A_PAIR:
            why = f"the key in {key} is not the key of the certificate in {certificate}"
        elif reason.endswith(_WEAK):
            option, why = "certfile", f"OpenSSL refuses {certificate} as too weak: {reason}"
        else:
            why = f"{key} holds no private key in PEM, or one with a passphrase"
        raise _wrong(loaded, option, why) from None
    return context


def _readable(loaded: Loaded, option: str, name: str) -> Path:
    path = loaded.root / name
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise _wrong(loaded, option, f"cannot read {path}: {error.strerror}") from None


def _wrong(loaded: Loaded, option: str, why: str) -> InvalidOption:
    dotted = f"serving.{option}"
    return InvalidOption(dotted, source=loaded.sources.get(dotted, "the configuration"), why=why)
