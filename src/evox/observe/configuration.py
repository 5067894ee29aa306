"""Configuration: every option of the process with its value and where it came from; what may be a secret is hidden.

Of options of Evox, those that hold secrets are known, and URLs are shown without their passwords. Of the user's own
sections names are shown and values are not: nobody but their owner knows what is in them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from evox.config import Loaded, without_secrets
from evox.errors.secrets import masked

__all__ = ["HIDDEN", "configuration"]

HIDDEN: Final = "***"
LONGEST: Final = 28  # characters of a variable's name; a longer one may be a key itself
_OWN: Final = ("config",)
_SOURCES: Final = frozenset({"keys", "internal_keys", "tokens"})


def configuration(loaded: Loaded) -> list[dict[str, Any]]:
    """Return the options, each with ``name``, ``value`` and ``source``, in the order of the tables."""
    return [
        {"name": ".".join(keys), "value": value, "source": _source(loaded, keys)}
        for keys, value in _options(loaded.settings, (), loaded)
    ]


def _source(loaded: Loaded, keys: tuple[str, ...]) -> str:
    return next(
        (found for end in range(len(keys), 0, -1) if (found := loaded.sources.get(".".join(keys[:end])))), "the default"
    )


def _options(value: Any, keys: tuple[str, ...], loaded: Loaded) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            found = getattr(value, name)
            below = (*keys, name)
            if name in _SOURCES and isinstance(found, tuple):
                yield below, [_source_of_keys(one, loaded) for one in found]
            else:
                yield from _options(found, below, loaded)
    elif isinstance(value, Mapping):
        if not value:
            yield keys, {}
        for name, found in value.items():
            yield from _options(found, (*keys, str(name)), loaded)
    elif keys[:1] == _OWN:
        yield keys, HIDDEN
    else:
        yield keys, _shown(value)


def _source_of_keys(source: str, loaded: Loaded) -> str:
    """Return where a key is; not what may be one, written where the name of its file should be."""
    if source.startswith("env:") and source.removeprefix("env:").isidentifier() and len(source) < LONGEST:
        return source
    try:
        return source if (loaded.root / source.partition("#")[0]).is_file() else HIDDEN
    except (OSError, ValueError):
        return HIDDEN


def _shown(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_shown(one) for one in value]
    if isinstance(value, str):
        return masked(without_secrets(value) if "://" in value else value)
    return value if value is None or isinstance(value, bool | int | float) else masked(str(value))
