"""Loading: the sources of a configuration, merged and validated."""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from evox.config.faults import explain
from evox.config.layers import Layer, Origin, line_of
from evox.config.tables import Settings
from evox.errors import InvalidOption, Place, UnreadableConfiguration

__all__ = ["Loaded", "find_root", "is_root", "load", "section", "settings_of", "unknown_variables"]


@dataclass(frozen=True)
class Loaded:
    """Settings and where they came from.

    Attributes:
        settings: The validated settings.
        root: The project's folder.
        sources: For each option set anywhere, dotted, the source that won.
        unknown_environment: ``EVOX_*`` variables that mean nothing.
        layers: The sources themselves, of which later ones win.
    """

    settings: Settings
    root: Path
    sources: Mapping[str, str] = field(default_factory=dict)
    unknown_environment: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = field(default=(), repr=False)

    def origin(self, *keys: str) -> Origin:
        """Return where an option was written: the source that won."""
        found = (layer.origin(keys) for layer in reversed(self.layers) if layer.says(keys))
        return next(found, Origin("the configuration"))


def find_root(start: Path) -> Path:
    """Return the nearest folder upwards with evox.toml, or pyproject.toml with [tool.evox]; else ``start``."""
    start = start.resolve()
    folder = start if start.is_dir() else start.parent
    for candidate in (folder, *folder.parents):
        if is_root(candidate):
            return candidate
    return folder


def is_root(folder: Path) -> bool:
    """Return whether a folder is a project's: it has evox.toml, or pyproject.toml with [tool.evox]."""
    return (folder / "evox.toml").is_file() or "evox" in _tool(folder / "pyproject.toml")


def load(root: Path, *, environ: Mapping[str, str] | None = None, **given: Any) -> Loaded:
    """Read and validate the configuration of a project.

    Args:
        root: The project's folder, from ``find_root``.
        environ: The environment; the process's own by default.
        **given: Options from the command line; None is not given. They win over all else.

    Raises:
        UnknownOption: if a name means nothing.
        InvalidOption: if a value does not fit.
        UnreadableConfiguration: if a file is not TOML.
    """
    environ = os.environ if environ is None else environ
    pyproject, toml = root / "pyproject.toml", root / "evox.toml"
    layers = (
        Layer(f"[tool.evox] in {pyproject.name}", _own_table(pyproject), pyproject),
        Layer(toml.name, _read(toml), toml),
        Layer("the environment", _environment(environ), variables=[one for one in environ if _is_ours(one)]),
        Layer("the command line", {name: value for name, value in given.items() if value is not None}),
    )
    merged: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for layer in layers:
        _merge(merged, layer.values)
        sources |= {".".join(keys): layer.source(keys) for keys in _paths(layer.values)}
    return Loaded(_validated(merged, layers), root, sources, tuple(unknown_variables(environ)), layers)


def settings_of(values: Mapping[str, Any], source: str) -> Settings:
    """Validate options that come from code rather than from a file.

    Args:
        values: As in ``[tool.evox]``.
        source: Where they were written, for errors.

    Raises:
        UnknownOption, InvalidOption: as ``load`` does.
    """
    return _validated(values, [Layer(source, values)])


def _validated(values: Mapping[str, Any], layers: Sequence[Layer]) -> Settings:
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise explain(error, layers) from None
    for name, intent in settings.data.intents.items():
        for option in intent.model_fields_set:
            keys = ("data", "intents", name, option)
            found = next((layer for layer in reversed(layers) if layer.says(keys)), None)
            if found is not None:
                intent.note(option, found.origin(keys))
    return settings


def section(loaded: Loaded, name: str, *beside: Path) -> dict[str, Any]:
    """Return the merged values of one of the user's own sections.

    Args:
        loaded: The project's configuration.
        name: The section's name.
        *beside: Files read first, such as a service's own ``config.toml``; what the project says wins over them.
    """
    merged: dict[str, Any] = {}
    for file in beside:
        _merge(merged, _read(file).get(name, {}))
    _merge(merged, loaded.settings.config.get(name, {}))
    return merged


# Read elsewhere: the log level, the sockets a parent process keeps, and the test suite's own switch.
_ELSEWHERE: Final = frozenset({"EVOX_LOG", "EVOX_HANDOVER", "EVOX_SOAK"})


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    class Source(EnvSettingsSource):
        def _load_env_vars(self) -> Mapping[str, str | None]:
            return {name.lower(): value for name, value in environ.items()}

    try:
        return Source(Settings)()
    except SettingsError as error:
        found = re.search(r'field "(\w+)"', str(error))
        name = f"EVOX_{found[1].upper()}" if found else "EVOX_*"
        below = [one for one in environ if one.startswith(f"{name}__")]  # pydantic names the table, not the variable
        option = " or ".join(sorted(below)) if below and name not in environ else name
        raise InvalidOption(option, source="the environment", why=str(error.__cause__ or error)) from None


def unknown_variables(environ: Mapping[str, str]) -> Iterable[str]:
    """Yield the ``EVOX_*`` variables that mean nothing."""
    known = {f"EVOX_{name.upper()}" for name in Settings.model_fields}
    for name in environ:
        if name.startswith("EVOX_") and name not in _ELSEWHERE and name.split("__")[0] not in known:
            yield name


def _tool(pyproject: Path) -> dict[str, Any]:
    tool = _read(pyproject).get("tool", {})
    if not isinstance(tool, dict):
        raise InvalidOption(
            "tool", source=pyproject.name, why="it is a table: [tool.evox]", place=Place(str(pyproject))
        )
    return tool


def _own_table(pyproject: Path) -> dict[str, Any]:
    table = _tool(pyproject).get("evox", {})
    if not isinstance(table, dict):
        raise InvalidOption(
            "tool.evox", source=pyproject.name, why="it is a table: [tool.evox]", place=line_of(pyproject, [])
        )
    return table


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise UnreadableConfiguration(str(file), error) from None


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = dict(value) if isinstance(value, Mapping) else value


def _paths(values: Mapping[str, Any], *outer: str) -> Iterable[tuple[str, ...]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _paths(value, *outer, name)
        else:
            yield (*outer, name)


def _is_ours(variable: str) -> bool:
    return variable.upper().startswith("EVOX_")
