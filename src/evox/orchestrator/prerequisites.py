"""Prerequisites: what a project needs to run here: its Python, packages as they are locked, drivers of its backends.

Locks are only read: uv.lock, and requirements.lock in Rye's form. Neither uv nor Rye has to be there.
"""

import importlib.metadata
import importlib.util
import platform
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from evox.config import Loaded, scheme_of
from evox.errors import EvoxError, MissingExtra, MissingPrerequisite, Place, UnreadableConfiguration
from evox.orchestrator.survey import Survey

__all__ = ["LOCKS", "look_at_prerequisites"]

LOCKS = ("uv.lock", "requirements.lock")
DRIVERS = {"postgresql": ("psycopg", "postgres"), "valkey": ("coredis", "valkey")}
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;\s*([^\\#]+))?")


def look_at_prerequisites(made: Survey, loaded: Loaded) -> None:
    """Look at Python, dependencies, the lock and drivers, and note what came of each.

    Args:
        made: Where to.
        loaded: The project's configuration.
    """
    pyproject = loaded.root / "pyproject.toml"
    if pyproject.is_file():
        made.step("Python", lambda: _python(pyproject))
        made.step("dependencies", lambda: _dependencies(pyproject))
    for name in LOCKS:
        lock = loaded.root / name
        if lock.is_file():
            made.step(name, lambda lock=lock: _lock(lock))  # type: ignore[misc]  # bound now
    made.step("drivers", lambda: _drivers(loaded))


def _python(pyproject: Path) -> str:
    wanted = _table(pyproject).get("requires-python", "")
    version = platform.python_version()
    try:
        fits = SpecifierSet(wanted).contains(version, prereleases=True)
    except InvalidSpecifier:
        raise _wrong(pyproject, f"requires-python {wanted!r} is no version specifier") from None
    if not fits:
        raise _wrong(pyproject, f"it wants Python {wanted}, and this is {version}", fix="run it with another Python")
    return f"{version}{f', {wanted} wanted' if wanted else ''}"


def _dependencies(pyproject: Path) -> str:
    wanted = _table(pyproject).get("dependencies", [])
    missing: list[str] = []
    for text in wanted:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            raise _wrong(pyproject, f"dependency {text!r} cannot be read") from None
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        version = _installed(requirement.name)
        if version is None:
            missing.append(f"{requirement.name} is not installed")
        elif not requirement.specifier.contains(version, prereleases=True):
            missing.append(f"{requirement.name} is {version}, and {requirement.specifier} is wanted")
    if missing:
        raise _wrong(pyproject, _some(missing), fix="install them: uv sync, rye sync, or pip install -e .")
    return f"{len(wanted)} installed as they are wanted"


def _lock(lock: Path) -> str:
    pins = dict(_uv_pins(lock) if lock.name == "uv.lock" else _rye_pins(lock))
    tool = "uv sync" if lock.name == "uv.lock" else "rye sync, or pip install -r requirements.lock"
    others, missing = [], []
    for name, version in pins.items():
        installed = _installed(name)
        if installed is None:
            missing.append(f"{name} {version} is not installed")
        elif installed != version:
            others.append(f"{name} is {installed}, and {version} is locked")
    # uv.lock names what other platforms and groups need too, so what is not there need not be.
    wrong = others if lock.name == "uv.lock" else [*others, *missing]
    if wrong:
        raise _wrong(lock, _some(wrong), fix=f"run {tool}")
    return f"{len(pins) - len(missing)} of {len(pins)} packages installed as they are locked"


def _uv_pins(lock: Path) -> Iterator[tuple[str, str]]:
    for package in _toml(lock).get("package", []):
        if isinstance(package, dict) and "registry" in package.get("source", {}) and "version" in package:
            yield str(package.get("name", "")), str(package["version"])


def _rye_pins(lock: Path) -> Iterator[tuple[str, str]]:
    for line in _text(lock).splitlines():
        found = _PINNED.match(line)
        if found is None:
            continue
        try:
            applies = found[3] is None or Requirement(f"{found[1]}; {found[3].strip()}").marker.evaluate()  # type: ignore[union-attr]
        except (InvalidRequirement, UndefinedEnvironmentName):
            raise _wrong(lock, f"{line.strip()!r} cannot be read") from None
        if applies:
            yield found[1], found[2]


def _drivers(loaded: Loaded) -> str:
    data = loaded.settings.data
    urls = [data.backend, *data.services.values(), *(one.backend for one in data.intents.values() if one.backend)]
    urls += [data.database] if data.database else []
    urls += [loaded.settings.proxy.registry] if loaded.settings.proxy.registry else []
    schemes = sorted({scheme_of(url) for url in urls})
    for scheme in schemes:
        module, extra = DRIVERS.get(scheme, ("", ""))
        if module and importlib.util.find_spec(module) is None:
            raise MissingExtra(f"a {scheme} backend", extra)
    return f"for {', '.join(schemes)}"


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(canonicalize_name(name))
    except importlib.metadata.PackageNotFoundError:
        return None


def _table(pyproject: Path) -> dict[str, Any]:
    found = _toml(pyproject).get("project", {})
    return found if isinstance(found, dict) else {}


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError as error:
        raise UnreadableConfiguration(str(file), error) from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableConfiguration(str(file), error) from None


def _some(texts: list[str], most: int = 5) -> str:
    more = len(texts) - most
    return "; ".join([*texts[:most], *([f"and {more} more"] if more > 0 else [])])


def _wrong(file: Path, why: str, *, fix: str = "correct it") -> EvoxError:
    return MissingPrerequisite(file.name, why, fix=fix, place=Place(str(file)))
