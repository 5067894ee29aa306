"""Backends: all that a project names, wherever it names them: in its configuration, on types, intents and endpoints."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from evox.data import declared_types, defined_intents, intent_of
from evox.testing.selftest.project import Project

__all__ = ["backends_of"]


def backends_of(project: Project) -> dict[str, list[str]]:
    """Return the URLs of all backends that are named, each with what names it."""
    found: dict[str, list[str]] = {}
    for url, name in (*_configured(project), *_declared(project)):
        names = found.setdefault(url, []) if url is not None else []
        if name not in names:
            names.append(name)
    return found


def _configured(project: Project) -> Iterator[tuple[str | None, str]]:
    data = project.loaded.settings.data
    yield data.backend, "data.backend"
    for service, url in data.services.items():
        yield url, f"service {service}"
    for intent, said in data.intents.items():
        yield said.backend, f"intent {intent}"


def _declared(project: Project) -> Iterator[tuple[str | None, str]]:
    folders = [project.loaded.root.resolve(), *_folders(project)]
    for made, place in defined_intents():
        if _is_below(place.file, folders):
            yield made.intent.backend, f"intent {made.name}"
    for kind, _ in declared_types():
        declared = intent_of(kind)
        if declared is not None and _is_below(getattr(sys.modules.get(kind.__module__), "__file__", None), folders):
            yield declared.backend, f"type {kind.__name__}"
    for one in project.services:
        for row in one.endpoints:
            yield None if row.intent is None else row.intent.backend, f"endpoint {row.name} of {one.name}"


def _folders(project: Project) -> Iterator[Path]:
    """Yield where services are declared: what is declared there too is theirs, and not a library's."""
    for one in project.services:
        if one.place is not None:
            yield Path(one.place.file).resolve().parent


def _is_below(file: str | None, folders: Sequence[Path]) -> bool:
    return file is not None and any(Path(file).resolve().is_relative_to(folder) for folder in folders)
