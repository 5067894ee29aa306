"""Discovery: finds services in files, folders, modules and ``[tool.evox] services``, and says what it chose and why.

A folder is searched without importing anything first: only files whose text creates a service at the top level are
imported. Tests, hidden folders and virtual environments are left out.
"""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

from fastapi import FastAPI

from evox.errors import AmbiguousEndpoint, EvoxError, ImportFailed, NoService, Place, TargetNotFound
from evox.failures import user_frames
from evox.searched import MAKERS, SKIPPED
from evox.services import Service, pending

__all__ = ["Attempt", "Found", "attempts", "discover"]


@dataclass(frozen=True, slots=True)
class Found:
    """One service and why it was chosen."""

    service: Service
    module: str
    why: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One file or module that may have services.

    Attributes:
        target: What it was found by.
        where: The file or module.
        look: Imports it and returns the services in it.
    """

    target: str
    where: str
    look: Callable[[], list[Found]]


def discover(
    targets: Sequence[str], root: Path, *, configured: Sequence[str] = (), source: str = "[tool.evox]"
) -> list[Found]:
    """Find and import services.

    Args:
        targets: From the command line: files, folders, modules, ``module:attribute``. They win.
        root: The project's folder.
        configured: ``[tool.evox] services``, used when no targets are given; the root itself when both are empty.
        source: Where ``configured`` was written.

    Raises:
        TargetNotFound: if a target is not there.
        NoService: if nothing was found.
        ImportFailed: if user code raises while it is imported.
        AmbiguousEndpoint: if a module-level endpoint has no service to belong to.
    """
    found: dict[int, Found] = {}
    counts: dict[str, int] = {}
    for attempt in attempts(targets, root, configured=configured, source=source):
        ones = attempt.look()
        counts[attempt.target] = counts.get(attempt.target, 0) + len(ones)
        for one in ones:
            found.setdefault(id(one.service), one)
    for target, count in counts.items():
        if not count:
            raise NoService(target, hint=_hint(target))
    return list(found.values())


def attempts(
    targets: Sequence[str], root: Path, *, configured: Sequence[str] = (), source: str = "[tool.evox]"
) -> Iterator[Attempt]:
    """Yield the files and modules in which services are looked for, so that one that fails need not end the search.

    Args and errors are those of ``discover``; what a file raises while it is imported, its ``look`` raises.
    """
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    wanted = [(one, "named on the command line") for one in targets]
    wanted = wanted or [(one, f"listed in {source} services") for one in configured]
    wanted = wanted or [(str(root), "found in the project")]
    for target, why in wanted:
        some = False
        for attempt in _in_target(target, why, root):
            some = True
            yield attempt
        if not some:
            raise NoService(target, hint=_hint(target))


def _in_target(target: str, why: str, root: Path) -> Iterator[Attempt]:
    name, _, attribute = target.partition(":")
    path = Path(name) if Path(name).exists() else root / name
    if path.is_file():
        if path.suffix != ".py":
            raise TargetNotFound(target, why=f"{path} is not a .py file")
        yield Attempt(target, str(path), lambda: list(_in_module(_import_file(path), why, attribute)))
    elif path.is_dir():
        for file in _candidates(path):
            yield Attempt(target, str(file), partial(_in_file, file, f"{why}: creates a service at its top level"))
    else:
        yield Attempt(target, target, lambda: list(_in_module(_import_module(name, target, why), why, attribute)))


def _in_file(file: Path, why: str) -> list[Found]:
    return list(_in_module(_import_file(file), why, ""))


def _in_module(module: ModuleType, why: str, attribute: str) -> Iterator[Found]:
    services = {id(one): one for one in vars(module).values() if isinstance(one, Service)}
    if attribute:
        one = getattr(module, attribute, None)
        if not isinstance(one, Service):
            raise NoService(f"{module.__name__}:{attribute}", hint=f"it is {type(one).__name__}, not a Service")
        services = {id(one): one}
    # A service imported from elsewhere is found where it was made, unless nothing here was made here.
    own = {key: one for key, one in services.items() if one.belongs_to(vars(module))} or services
    waiting = pending(vars(module))
    if waiting and len(own) != 1:
        first = waiting[0]
        names = [one.name for one in own.values()]
        raise AmbiguousEndpoint(getattr(first.target, "__name__", "?"), module.__name__, names, first.place)
    for one in own.values():
        one.take_endpoints(vars(module))  # a service made by a function elsewhere, or imported, is still theirs
    if not own and why.startswith(("named", "listed")):
        raise NoService(module.__name__, hint=_fastapi_hint(module), place=Place(module.__file__ or module.__name__))
    for one in own.values():
        yield Found(one, module.__name__, why)


def _fastapi_hint(module: ModuleType) -> str:
    apps = [name for name, value in vars(module).items() if isinstance(value, FastAPI)]
    if not apps:
        return ""
    name = module.__name__.rpartition(".")[2]
    return f'it has a FastAPI app but no service; add: svc = Service.from_fastapi({apps[0]}, name="{name}")'


def _candidates(folder: Path, seen: set[Path] | None = None) -> Iterable[Path]:
    """Yield the files that create services. A folder is searched once, however many links lead to it."""
    seen = set() if seen is None else seen
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    for path in _listed(folder):
        if path.name.startswith(".") or path.name in SKIPPED:
            continue
        if path.is_dir():
            if not (path / "pyvenv.cfg").exists():
                yield from _candidates(path, seen)
        elif path.suffix == ".py" and not _is_test(path) and _creates_service(path):
            yield path


def _listed(folder: Path) -> list[Path]:
    """Return what lies in a folder; one that this user may not look into holds none of his services."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_test(path: Path) -> bool:
    return path.name.startswith("test_") or path.name.endswith("_test.py") or path.name == "conftest.py"


def _creates_service(path: Path) -> bool:
    """Whether a file's text calls ``service(...)`` or the like at its top level.

    A file that does not parse is imported, so that its error is shown, if it mentions Evox at all.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return False  # a link that leads nowhere, or a file that an editor has just put another in place of
    if "evox" not in text:
        return False
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return True
    return any(
        isinstance(node, ast.Call) and _called(node) in MAKERS
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr)
        for node in ast.walk(statement)
    )


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _import_file(path: Path) -> ModuleType:
    """Import a file under its dotted name, counted from the outermost package folder it lies in."""
    path = path.resolve()
    parts, folder = [path.stem], path.parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    if parts[-1] == "__init__":
        parts.pop()
    for module in list(sys.modules.values()):
        file = str(getattr(module, "__file__", None))
        if file.endswith(path.name) and Path(file).resolve() == path:  # there are thousands, and resolving is slow
            return module
    _put_first(folder)
    name = ".".join(parts)
    return _load_apart(path) if name in sys.modules else _guarded(name, str(path))


_folders: set[Path] = set()


def _put_first(folder: Path) -> None:
    """Let modules of a folder import those beside them, even if another folder has some of the same names."""
    _folders.add(folder)
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    for path in folder.iterdir():
        loaded = sys.modules.get(path.stem)
        file = getattr(loaded, "__file__", None)
        if file and Path(file).resolve().parent in _folders - {folder}:
            del sys.modules[path.stem]  # its own folder's modules hold what they imported of it


def _load_apart(path: Path) -> ModuleType:
    """Load a file whose plain name is taken, such as the second ``main.py`` of two folders, under a name of its own."""
    name = f"{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101  a .py file always has one
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except EvoxError:
        raise
    except BaseException as error:
        sys.modules.pop(name, None)
        raise _failed(str(path), error) from error
    return module


def _import_module(name: str, target: str, why: str) -> ModuleType:
    try:
        known = importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        known = False
    if not known:
        raise TargetNotFound(target, why=f"{why}, but neither a file, a folder nor an importable module")
    return _guarded(name, name)


def _guarded(name: str, shown: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except EvoxError:
        raise
    except (Exception, SystemExit) as error:
        raise _failed(shown, error) from error


def _failed(shown: str, error: BaseException) -> ImportFailed:
    frames = user_frames(error)
    return ImportFailed(shown, error, frames[-1] if frames else None)


def _hint(target: str) -> str:
    path = Path(target)
    if path.is_dir():
        return f"no .py file below {path} creates one at its top level (tests and hidden folders are left out)"
    return ""
