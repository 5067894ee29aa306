"""Key sets: keys that tokens choose from by name, and that can be replaced while tokens are being verified."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evox.auth.keys import Key
from evox.errors import UnknownKey, UnusableKey

__all__ = ["KeySet", "Keys", "keys_of"]


class Keys:
    """What a verifier asks for keys; ``KeySet`` and keys that are fetched are two of it."""

    def find(self, kid: str | None) -> Key:
        """Return the key that a token names.

        Args:
            kid: Its name; None if the token names none, which will do where there is one key.

        Raises:
            UnknownKey: if there is none.
            KeysUnavailable: if it is not known which keys there are.
        """
        raise NotImplementedError


class KeySet(Keys):
    """Keys that can be replaced while tokens are being verified: the next token sees the new ones.

    Args:
        keys: The keys; the first that can sign is the one that signs.
        source: Where they come from, for errors.

    Raises:
        UnusableKey: if two have one name, one of several has none, or secrets stand beside public keys.
    """

    def __init__(self, keys: Iterable[Key], *, source: str = "the key set") -> None:
        self._source = source
        self._keys: dict[str | None, Key] = {}
        self.replace(keys)

    def __repr__(self) -> str:
        return f"<KeySet of {', '.join(map(repr, self._keys.values())) or 'nothing'}>"

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, keys: Iterable[Key]) -> None:
        """Put other keys in the place of all; wholly or, if they do not fit together, not at all.

        Raises:
            UnusableKey: as the constructor does.
        """
        found: dict[str | None, Key] = {}
        for key in keys:
            if key.kid in found:
                named = "have no kid" if key.kid is None else f"have the kid {key.kid!r}"
                raise UnusableKey(self._source, f"two keys {named}, and tokens choose by it")
            found[key.kid] = key
        if None in found and len(found) > 1:
            raise UnusableKey(self._source, "one of several keys has no kid, and tokens choose by it")
        if len({key.kind == "oct" for key in found.values()}) > 1:
            why = "secrets and public keys stand side by side, where one might be taken for the other"
            raise UnusableKey(self._source, why, fix="keep secrets in a set of their own")
        self._keys = found

    def find(self, kid: str | None) -> Key:
        """Return the key that a token names; see ``Keys.find``."""
        keys = self._keys
        if kid is None and len(keys) == 1:
            return next(iter(keys.values()))
        found = keys.get(kid)
        if found is None or kid is None:
            raise UnknownKey(kid)
        return found

    @property
    def signing(self) -> Key | None:
        """The key that signs what is issued."""
        return next((key for key in self._keys.values() if key.can_sign), None)

    def public_jwks(self) -> dict[str, Any]:
        """Return the public parts, as other processes fetch them from a JWKS URL (RFC 7517, section 5).

        Raises:
            ValueError: if they are secrets.
        """
        return {"keys": [key.public_jwk() for key in self._keys.values()]}


def keys_of(given: Any, *, source: str = "keys=") -> Keys:
    """Return the keys that were given: as they are, one, several, a JWK, or a JWKS.

    Raises:
        UnusableKey: if there is none, or one cannot be used.
    """
    if isinstance(given, Keys):
        return given
    if isinstance(given, Mapping) and "keys" in given:
        given = given["keys"]
    several = [given] if isinstance(given, Key | Mapping) else given
    if isinstance(several, str | bytes) or not isinstance(several, Iterable):
        why = "it is neither a Key, a JWK, a JWKS nor a list of those"
        raise UnusableKey(source, why, fix="make a key of a secret with Key.from_secret(...), of PEM with Key.from_pem")
    made = [one if isinstance(one, Key) else Key.from_jwk(one, source=source) for one in several]
    if not made:
        raise UnusableKey(source, "there is no key in it")
    return KeySet(made, source=source)
