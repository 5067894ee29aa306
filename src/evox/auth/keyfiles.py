"""Key files: reads keys from where the configuration says that they are: files of the project, or the environment."""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from evox.auth.keys import ALGORITHMS, Key
from evox.errors import UnusableKey
from evox.errors.secrets import remember

__all__ = ["files_of", "read_keys", "read_secret", "remember_jwk"]

LARGEST: Final = 262_144  # bytes
ENVIRONMENT: Final = "env:"
SHORTEST: Final = 32  # characters of a token that is guessed at over the network
LONGEST: Final = 200  # characters of a name that is shown
_SECRET: Final = re.compile(r"(?!.*\.\w{1,8}$).{24,}")  # long, and without a suffix: more likely a key than a name
_VARIABLE: Final = re.compile(r"\w{1,23}|(?=.*_)[A-Z][A-Z0-9_]{0,99}")  # others may be what was to be in a variable


def read_keys(
    sources: Sequence[str], root: Path, environ: Mapping[str, str], *, algorithms: Sequence[str] = ()
) -> list[Key]:
    """Read keys.

    Args:
        sources: Files, relative to ``root``, or ``env:NAME``; ``#kid`` after one names its key.
        root: The project's folder.
        environ: The environment.
        algorithms: What PEM and secrets are for, as far as they can be for it; the usual one when empty.

    Raises:
        UnusableKey: naming the source, if one is not there or cannot be used.
    """
    return [key for source in sources for key in _read(source, root, environ, algorithms)]


def read_secret(source: str, root: Path, environ: Mapping[str, str]) -> str:
    """Read a secret that is no key of tokens, and only compared.

    Args:
        source: A file, relative to ``root``, or ``env:NAME``.
        root: The project's folder.
        environ: The environment.

    Raises:
        UnusableKey: naming the source, if it is not there, or too short to be a secret.
    """
    text, shown = _text(source, root, environ)
    if len(text) < SHORTEST or any(one.isspace() or not one.isascii() for one in text):
        why = f"it is no token, which is one word of at least {SHORTEST} ASCII characters"
        fix = f"put one into {shown}: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        raise UnusableKey(shown, why, fix=fix)
    remember(text)
    return text


def files_of(sources: Sequence[str], root: Path) -> list[Path]:
    """Return the files among the sources of keys."""
    return [root / one.partition("#")[0] for one in sources if not one.startswith(ENVIRONMENT)]


def remember_jwk(jwk: Any) -> None:
    """Let what is secret in a JWK be taken out of every text, also as the text that it is made of."""
    for member in ("k", "d"):
        written = jwk.get(member) if isinstance(jwk, Mapping) else None
        if isinstance(written, str):
            remember(written)
            with suppress(ValueError):
                remember(base64.urlsafe_b64decode(written + "=" * (-len(written) % 4)))


def _read(source: str, root: Path, environ: Mapping[str, str], algorithms: Sequence[str]) -> Iterator[Key]:
    place, _, kid = source.partition("#")
    text, shown = _text(place, root, environ)
    if text.startswith("{") or _is_json(text):
        yield from _of_json(text, kid or None, shown, algorithms)
    elif "-----BEGIN" in text:
        fitting = _fitting(algorithms, ("RSA",)) if "RSA" in _kind_of_pem(text, shown) else None
        yield Key.from_pem(text, kid=kid or None, algorithm=fitting, source=shown)
    else:
        remember(text)
        yield Key.from_secret(text, kid=kid or None, algorithm=_fitting(algorithms, ("oct",)) or "HS256", source=shown)


def _text(place: str, root: Path, environ: Mapping[str, str]) -> tuple[str, str]:
    if place.startswith(ENVIRONMENT):
        name = place.removeprefix(ENVIRONMENT)
        named = name if _VARIABLE.fullmatch(name) else "a variable"
        shown = f"{named} in the environment"
        found = environ.get(name, "").strip()
        if not found:
            raise UnusableKey(shown, "the variable is not set, or empty", fix=f"set {named}, or name another source")
        return found, shown
    shown = place if _is_name(place, root) else "a source in [tool.evox.auth]"
    try:
        with (root / place).open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        why = error.strerror if isinstance(error, OSError) else "it is no name of a file"
        fix = f"put a key into {shown}; sources are files and env:NAME, and never keys themselves"
        raise UnusableKey(shown, f"the file cannot be read: {why}", fix=fix) from None
    if len(data) > LARGEST:
        raise UnusableKey(shown, f"the file is larger than {LARGEST} bytes")
    try:
        found = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise UnusableKey(shown, "the file is no text; keys are JWK, PEM, or a secret as text") from None
    if not found:
        raise UnusableKey(shown, "the file is empty", fix=f"put a key into {shown}")
    return found, shown


def _is_name(place: str, root: Path) -> bool:
    """Whether a source may be shown: what looks like a key itself is not, unless it is a file or in a folder."""
    if len(place) > LONGEST or not place.isprintable() or "-----" in place:
        return False
    if _SECRET.fullmatch(place) is None:
        return True
    file = root / place
    try:
        return file.exists() or (file.parent not in (root, Path(file.anchor)) and file.parent.is_dir())
    except OSError:
        return False


def _is_json(text: str) -> bool:
    """Whether it is a list in JSON, which no secret is."""
    try:
        return text.startswith("[") and isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False


def _of_json(text: str, kid: str | None, shown: str, algorithms: Sequence[str]) -> Iterator[Key]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise UnusableKey(shown, "it begins as JSON and is none") from None
    if not isinstance(found, dict):
        raise UnusableKey(shown, "it is JSON, and neither a JWK nor a JWKS")
    several = found.get("keys", [found])
    if not isinstance(several, list) or not several:
        raise UnusableKey(shown, "its keys are no list of JWKs, or an empty one")
    for number, jwk in enumerate(several, 1):
        label = shown if "keys" not in found else f"{shown}, key {number}"
        if isinstance(jwk, dict) and "alg" not in jwk and jwk.get("kty") in ("oct", "RSA"):
            fitting = _fitting(algorithms, (jwk["kty"],))
            jwk = jwk | ({"alg": fitting} if fitting else {})  # noqa: PLW2901  the same key, with what it is for
        remember_jwk(jwk)
        key = Key.from_jwk(jwk, source=label, kid=kid)
        key.check_known(label)
        yield key


def _kind_of_pem(text: str, shown: str) -> str:
    return Key.from_pem(text, source=shown).kind


def _fitting(algorithms: Sequence[str], kinds: tuple[str, ...]) -> str | None:
    return next((one for one in algorithms if ALGORITHMS[one][0] in kinds), None)
