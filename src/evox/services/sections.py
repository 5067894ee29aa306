"""Sections: what ``inject.config(name)`` gives where no model says what is in it."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["ConfigSection"]


class ConfigSection(Mapping[str, Any]):
    """One section of the user's configuration: a mapping whose keys are attributes too. Values are never shown."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        self._name = name
        self._values = {
            key: ConfigSection(f"{name}.{key}", v) if isinstance(v, dict) else v for key, v in values.items()
        }

    def __repr__(self) -> str:
        return f"<ConfigSection {self._name!r}: {', '.join(self._values) or 'empty'}>"

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):  # copying and pickling look for methods before there are values
            raise AttributeError(key)
        try:
            return self._values[key]
        except KeyError:
            known = ", ".join(self._values) or "none"
            raise AttributeError(f"configuration section {self._name!r} has no {key!r}; it has: {known}") from None
