"""Making: a project, or a service in one. Everything is looked at before anything is written."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from evox import __version__
from evox.cli.scaffold.census import take_census
from evox.cli.scaffold.naming import Names, project_names, service_names
from evox.cli.scaffold.repository import start_repository
from evox.cli.scaffold.templates import filled
from evox.cli.scaffold.writing import in_the_way, write_new
from evox.config import Loaded, find_root, is_root, load
from evox.errors import FilesInTheWay, NoProject, UnusableName

__all__ = ["Backend", "Made", "Syntax", "make_project", "make_service"]

Syntax: TypeAlias = Literal["function", "class", "both"]
Backend: TypeAlias = Literal["auto", "trio", "asyncio"]

PROJECT: Final = {
    ".dockerignore": "dockerignore",
    ".gitignore": "gitignore",
    "Dockerfile": "Dockerfile",
    "README.md": "README.md",
    "compose.yaml": "compose.yaml",
    "pyproject.toml": "pyproject.toml",
    "tests/conftest.py": "conftest.py",
}
FIRST_PORT: Final = 8001  # of a project as it is made: the first service's


@dataclass(frozen=True, slots=True)
class Made:
    """What was made, or would be.

    Attributes:
        kind: ``"project"`` or ``"service"``.
        name: As it was given.
        root: The project's folder.
        files: Text by path below it.
        next: Commands to go on with, from the folder that this one was called in.
        notes: What else there is to know.
        port: Where a service listens; None for a project.
        dry_run: Whether nothing was written.
    """

    kind: Literal["project", "service"]
    name: str
    root: Path
    files: Mapping[str, str]
    next: tuple[str, ...]
    notes: tuple[str, ...] = ()
    port: int | None = None
    dry_run: bool = False


def make_project(
    name: str, *, syntax: Syntax = "function", backend: Backend = "auto", git: bool = True, dry_run: bool = False
) -> Made:
    """Make a project in a folder of its name, below the current one.

    Args:
        name: Of the folder and the distribution.
        syntax: What its page says of ``evox new sv``.
        backend: Its event loop. With one of them its tests run on that one, else on both.
        git: Whether it is put under git, where that is there and no folder above is.
        dry_run: Write nothing.

    Raises:
        UnusableName, FilesInTheWay: before anything was written.
        CannotWrite: if the system refuses. Nothing is left.
    """
    names = project_names(name)
    root = Path.cwd() / names.given
    option = "" if syntax == "function" else f" --syntax {syntax}"
    values = {"names": names, "backend": backend, "version": __version__, "port": FIRST_PORT, "option": option}
    files = {path: filled(template, **values) for path, template in PROJECT.items()}
    _refuse(in_the_way(root, files))
    note = ""
    if not dry_run:
        write_new(root, files)
        note = start_repository(root) if git else ""
    return Made(
        kind="project",
        name=name,
        root=root,
        files=files,
        next=(f"cd {names.given}", f"evox new sv users{option}", "evox run --dev"),
        notes=(note,) if note else (),
        dry_run=dry_run,
    )


def make_service(name: str, *, syntax: Syntax = "function", backend: Backend = "auto", dry_run: bool = False) -> Made:
    """Make a service in the project that the current folder belongs to: a package, and a test of it.

    Args:
        name: Of the service, and of its folder.
        syntax: How its endpoints are written; ``"both"`` has some of each.
        backend: The loop that its tests run on; with ``"auto"`` those of the project.
        dry_run: Write nothing.

    Raises:
        NoProject: if there is none.
        UnusableName, FilesInTheWay: before anything was written.
        ConfigurationError: if the project's configuration cannot be read.
        CannotWrite: if the system refuses. Nothing is left.
    """
    root = find_root(Path.cwd())
    if not is_root(root):
        raise NoProject(str(root))
    loaded = load(root)
    names = service_names(name, root)
    census = take_census(root)
    port = census.free_port(loaded.settings.port + 1)
    values = {"names": names, "syntax": syntax, "backend": backend, "port": port}
    files = {
        f"{names.package}/__init__.py": "",
        f"{names.package}/service.py": filled("service.py", **values),
        f"tests/test_{names.package}.py": filled("test_service.py", **values),
    }
    twin = root / f"{names.package}.py"  # a package of this name would hide it
    _refuse([*in_the_way(root, files), *([twin] if twin.exists() else [])])
    place = census.services.get(names.package)
    if place is not None:
        raise UnusableName(name, f"a service of this name is made in {place}", fix="choose another name")
    if not dry_run:
        write_new(root, files)
    return Made(
        kind="service",
        name=name,
        root=root,
        files=files,
        next=_tried(names, port, loaded, backend),
        notes=tuple(_notes(names, loaded)),
        port=port,
        dry_run=dry_run,
    )


def _refuse(found: list[Path]) -> None:
    if found:
        raise FilesInTheWay([os.path.relpath(one) for one in found])


def _tried(names: Names, port: int, loaded: Loaded, backend: Backend) -> tuple[str, ...]:
    settings = loaded.settings
    url = f"localhost:{settings.port}/{names.given}" if settings.gateway else f"localhost:{port}"
    loop = "" if backend in ("auto", settings.backend) else f" --backend {backend}"
    return (f"evox run --dev{loop}", f'curl {url}{names.path} --json \'{{"name": "Ada"}}\'', "pytest")


def _notes(names: Names, loaded: Loaded) -> list[str]:
    notes = []
    listed = loaded.settings.services
    folders = [(loaded.root / one).resolve() for one in listed]
    if listed and not any((loaded.root / names.package).resolve().is_relative_to(folder) for folder in folders):
        notes.append(f'[tool.evox] services lists what is run: add "{names.package}"')
    if not _runs_async_tests(loaded.root / "pyproject.toml"):
        notes.append('the test wants anyio_mode = "auto" and pythonpath = ["."] in [tool.pytest.ini_options]')
    return notes


def _runs_async_tests(pyproject: Path) -> bool:
    if not pyproject.is_file():
        return False
    options = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("tool", {}).get("pytest", {})
    return bool(options.get("ini_options", {}).get("anyio_mode") == "auto")
