"""Configuration: typed settings from ``[tool.evox]`` in pyproject.toml, ``evox.toml`` and ``EVOX_*``; later wins.

Unknown names and values that do not fit are errors that name the file and the line. Nothing needs pyproject.toml at
run time. Each value's source is kept, so that what is shown of a configuration says where it comes from.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from evox.durations import seconds
from evox.errors import InvalidOption, Place, UnknownOption, UnreadableConfiguration

__all__ = ["Loaded", "RuntimeSettings", "ServingSettings", "Settings", "find_root", "load", "section", "settings_of"]


def _seconds(value: Any) -> float:
    """Read a duration; from the environment even a plain number is a text."""
    try:
        return seconds(float(value) if isinstance(value, str) else value)
    except ValueError:
        return seconds(value)


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("it must be more than 0")
    return value


def _network(value: str) -> str:
    try:
        ip_network(value)
    except ValueError as error:
        raise ValueError(f"{error}; write an address or a network such as 10.0.0.0/8") from None
    return value


Seconds = Annotated[float, BeforeValidator(_seconds)]
Limit = Annotated[float, BeforeValidator(_seconds), AfterValidator(_positive)]
Bytes = Annotated[ByteSize, AfterValidator(_positive)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class ServingSettings(_Table):
    """``[tool.evox.serving]``. Durations in seconds or as ``"30s"``, sizes in bytes or as ``"10MB"``."""

    drain_delay: Seconds = Field(
        default=1.0, description="from the signal to the close of the listener; readiness says 503 meanwhile"
    )
    drain_timeout: Seconds = Field(default=30.0, description="hard deadline after the signal: what still runs is cut")
    stream_grace: Seconds = Field(default=5.0, description="how long streams and WebSockets may go on after the signal")
    keep_alive: Seconds = Field(default=75.0, description="how long an idle connection is kept")
    backlog: Count = Field(default=2048, description="connections the kernel queues before they are accepted")
    connections: Count = Field(default=10_000, description="open connections of a listener; one more is answered 503")
    header_bytes: Bytes = Field(default=ByteSize(16_384), description="size of a request's head; a longer one is 431")
    header_count: Count = Field(default=100, description="headers of a request; more are 431")
    header_timeout: Limit = Field(
        default=10.0, description="how long a request's head may take, and a TLS handshake; a slower head is 408"
    )
    body_bytes: Bytes = Field(default=ByteSize(10_000_000), description="size of a request's body; a larger one is 413")
    body_timeout: Limit = Field(
        default=20.0, description="how long a handler waits for a body, besides the time its bytes take at body_rate"
    )
    body_rate: Bytes = Field(default=ByteSize(500), description="slowest body in bytes a second; a slower one is 408")
    write_timeout: Limit = Field(
        default=30.0, description="how long a client may take to read 64 KiB of an answer before it is cut"
    )
    websocket_bytes: Bytes = Field(
        default=ByteSize(16_777_216), description="size of a WebSocket message; a larger one is closed with 1009"
    )
    ping: Limit = Field(
        default=20.0, description="a WebSocket or HTTP/2 client silent this long is pinged, and cut after as long again"
    )
    streams: Count = Field(default=100, description="requests at a time on one HTTP/2 connection")
    h2c: bool = Field(default=False, description="HTTP/2 without TLS")
    certfile: str | None = Field(default=None, min_length=1, description="certificate chain in PEM; turns TLS on")
    keyfile: str | None = Field(default=None, min_length=1, description="its private key, if certfile does not hold it")
    forwarded_from: Annotated[
        tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_split)
    ] = Field(default=(), description="proxies whose X-Forwarded-For and -Proto are believed: addresses or networks")


class RuntimeSettings(_Table):
    """``[tool.evox.runtime]``. Durations in seconds or as ``"30s"``."""

    start_timeout: Seconds = Field(default=30.0, description="limit of each service's start-up")
    shutdown_timeout: Seconds = Field(default=10.0, description="limit of each service's shutdown hooks")
    max_restarts: int = Field(default=5, ge=0, description="crashes of a service tolerated within window")
    window: Seconds = Field(default=60.0, description="seconds over which crashes are counted")
    backoff: Seconds = Field(default=0.5, description="wait before the first restart; doubles")
    threads: int = Field(default=40, ge=1, description="worker threads of a service's hooks and background tasks")


class Settings(BaseSettings):
    """``[tool.evox]``."""

    model_config = SettingsConfigDict(
        env_prefix="EVOX_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    backend: Literal["auto", "trio", "asyncio"] = Field(default="auto", description="the event loop")
    services: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(), description="files, folders or modules to run; found by themselves when empty"
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    gateway: bool = Field(default=False, description="all services under one port")
    port: Port = Field(default=8000, description="the gateway's port, and the first one given to services without one")
    workers: Count = Field(default=1, description="processes that share the sockets")
    serving: ServingSettings = ServingSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    config: dict[str, dict[str, Any]] = Field(
        default={}, description="your own sections, read with inject.config(name)"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what ``load`` hands over: it has merged the sources, and knows each value's origin."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


@dataclass(frozen=True)
class Loaded:
    """Settings and where they came from.

    Attributes:
        settings: The validated settings.
        root: The project's folder.
        sources: For each option set anywhere, dotted, the source that won.
        unknown_environment: ``EVOX_*`` variables that mean nothing.
    """

    settings: Settings
    root: Path
    sources: Mapping[str, str] = field(default_factory=dict)
    unknown_environment: tuple[str, ...] = ()


def find_root(start: Path) -> Path:
    """Return the nearest folder upwards with evox.toml, or pyproject.toml with [tool.evox]; else ``start``."""
    start = start.resolve()
    folder = start if start.is_dir() else start.parent
    for candidate in (folder, *folder.parents):
        if (candidate / "evox.toml").is_file() or "evox" in _tool(candidate / "pyproject.toml"):
            return candidate
    return folder


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
    layers: list[tuple[str, Path | None, dict[str, Any]]] = [
        (f"[tool.evox] in {pyproject.name}", pyproject, _own_table(pyproject)),
        (toml.name, toml, _read(toml)),
        ("the environment", None, _environment(environ)),
        ("the command line", None, {name: value for name, value in given.items() if value is not None}),
    ]
    merged: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, _, values in layers:
        _merge(merged, values)
        sources |= dict.fromkeys(_dotted(values), name)
    settings = _validated(merged, layers)
    return Loaded(settings, root, sources, tuple(_unknown(environ)))


def settings_of(values: Mapping[str, Any], source: str) -> Settings:
    """Validate options that come from code rather than from a file.

    Args:
        values: As in ``[tool.evox]``.
        source: Where they were written, for errors.

    Raises:
        UnknownOption, InvalidOption: as ``load`` does.
    """
    return _validated(values, [(source, None, dict(values))])


def _validated(values: Mapping[str, Any], layers: list[tuple[str, Path | None, dict[str, Any]]]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as error:
        raise _explain(error, layers) from None


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
        option = f"EVOX_{found[1].upper()}" if found else "EVOX_*"
        raise InvalidOption(option, source="the environment", why=str(error.__cause__ or error)) from None


def _unknown(environ: Mapping[str, str]) -> Iterable[str]:
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
            "tool.evox", source=pyproject.name, why="it is a table: [tool.evox]", place=_line(pyproject, [])
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


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _explain(
    error: ValidationError, layers: list[tuple[str, Path | None, dict[str, Any]]]
) -> UnknownOption | InvalidOption:
    first = error.errors(include_url=False, include_input=False)[0]
    path = [str(part) for part in first["loc"]]
    source, place = _origin(path, layers)
    if first["type"] == "extra_forbidden":
        return UnknownOption(".".join(path), source=source, known=_fields(path[:-1]), place=place)
    return InvalidOption(".".join(path), source=source, why=first["msg"].removeprefix("Value error, "), place=place)


def _origin(path: list[str], layers: list[tuple[str, Path | None, dict[str, Any]]]) -> tuple[str, Place | None]:
    for name, file, values in reversed(layers):
        found: Any = values
        keys = [key for key in path if not key.isdigit()]
        for key in keys:
            found = found.get(key, _MISSING) if isinstance(found, Mapping) else _MISSING
        if found is not _MISSING:
            return name, _line(file, keys) if file is not None else None
    return "the configuration", None


_MISSING: Final = object()


def _line(file: Path, keys: list[str]) -> Place:
    """Find the line that sets an option, in whatever way TOML lets it be written; else the nearest table around it."""
    target = ["tool", "evox", *keys] if file.name == "pyproject.toml" else keys
    table: list[str] = []
    best, nearest = 0, 0
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        header, entry = _HEADER.match(text), _ENTRY.match(text)
        if header:
            table = _parts(header[1])
        elif not entry:
            continue
        here = table + (_parts(entry[1]) if entry else [])
        if here == target[: len(here)] and len(here) > nearest:
            best, nearest = number, len(here)
    return Place(str(file), best)


_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_HEADER = re.compile(rf"\s*\[\[?\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*\]")
_ENTRY = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_KEY, dotted)]


def _fields(path: list[str]) -> Iterable[str]:
    fields: Mapping[str, FieldInfo] = Settings.model_fields
    for part in path:
        model = fields[part].annotation
        candidates = [model, *get_args(model)]
        fields = next(c.model_fields for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return fields
