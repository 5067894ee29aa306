"""Development: the key that `evox run --dev` makes by itself, and that production knows and refuses."""

import base64
import json
import os
import secrets
from pathlib import Path
from typing import Final

from evox.auth.keyfiles import remember_jwk
from evox.auth.keys import Key
from evox.auth.strength import DEVELOPMENT
from evox.errors import UnusableKey

__all__ = ["INTERNAL_FILE", "KEY_FILE", "development_key"]

KEY_FILE: Final = ".evox/dev-key.json"
INTERNAL_FILE: Final = ".evox/dev-internal-key.json"


def development_key(root: Path, name: str = KEY_FILE) -> Key:
    """Return the project's key for development; it is made the first time, readable by its owner alone.

    Args:
        root: The project's folder.
        name: Its file: that for tokens of users, or that for calls between services.

    Raises:
        UnusableKey: if it can be neither read nor made.
    """
    file = root / name
    try:
        if not file.exists():
            _make(file)
        found = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UnusableKey(name, f"it can be neither read nor made: {error.strerror}") from None
    except ValueError:
        raise UnusableKey(name, "it is no JSON", fix=f"remove {file}; a new one is made") from None
    remember_jwk(found)
    key = Key.from_jwk(found, source=name)
    if not key.is_for_development:
        raise UnusableKey(name, "it was not made for development", fix=f"remove {file}; a new one is made")
    return key


def _make(file: Path) -> None:
    secret = (DEVELOPMENT + secrets.token_urlsafe(32)).encode()
    encoded = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    jwk = {"kty": "oct", "kid": "development", "alg": "HS256", "k": encoded}
    file.parent.mkdir(parents=True, exist_ok=True)
    ignore = file.with_name(".gitignore")
    if not ignore.exists():
        ignore.write_text("*\n", "utf-8")
    beside = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(jwk, out)
    try:
        os.link(beside, file)  # whoever is first makes the key; the other takes it
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
