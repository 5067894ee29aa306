"""What users may import: sorted, complete, typed and documented lists, and no object that hides a module."""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import re
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import evox
import evox.core

ROOMS = sorted(
    [
        "evox",
        *(f"evox.{found.name}" for found in pkgutil.iter_modules(evox.__path__) if found.ispkg),
    ]
)
LISTS = [*ROOMS, "evox.core"]
PUBLIC_DUNDERS = {"__init__", "__call__"}


def ruff_order(name: str) -> tuple[int, list[tuple[int, int | str]]]:
    """Return ruff's key for ``__all__`` (RUF022): constants, then classes, then the rest; numbers by value."""
    group = 0 if name.isupper() else 1 if name[0].isupper() else 2
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return group, [(0, int(part)) if part.isdigit() else (1, part) for part in parts]


def listed(module: str) -> list[tuple[str, Any]]:
    """Return the public names of a module with what they are."""
    room = importlib.import_module(module)
    return [(name, getattr(room, name)) for name in room.__all__]


def ours(found: Any) -> bool:
    """Whether Evox defines it; FastAPI's own names are FastAPI's concern."""
    return str(getattr(found, "__module__", "")).split(".")[0] == "evox"


def public_callables() -> list[Any]:
    """Return a parameter for each class and function of ours that any list names, each once."""
    found: dict[int, Any] = {}
    for module in LISTS:
        for name, thing in listed(module):
            if ours(thing) and (inspect.isclass(thing) or inspect.isfunction(thing)):
                found.setdefault(id(thing), pytest.param(thing, id=f"{module}.{name}"))
    return list(found.values())


def methods_of(kind: type) -> Iterator[Callable[..., Any]]:
    """Yield the functions behind a class's public attributes, those of our own base classes included."""
    for base in kind.__mro__:
        for name, member in vars(base).items() if ours(base) else ():
            if name.startswith("_") and name not in PUBLIC_DUNDERS:
                continue
            for function in (member, getattr(member, "__func__", None), getattr(member, "fget", None)):
                if inspect.isfunction(function) and ours(function):
                    yield function


@pytest.mark.parametrize("module", LISTS)
def test_a_public_list_is_sorted_as_ruff_sorts_it(module: str) -> None:
    names = importlib.import_module(module).__all__
    assert list(names) == sorted(names, key=ruff_order)


@pytest.mark.parametrize("module", LISTS)
def test_every_name_of_a_public_list_exists_once(module: str) -> None:
    names = importlib.import_module(module).__all__
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(importlib.import_module(module), name)] == []


@pytest.mark.parametrize("module", [one for one in ROOMS if one != "evox"])
def test_a_room_lists_all_that_its_init_imports(module: str) -> None:
    room = importlib.import_module(module)
    tree = ast.parse(Path(str(room.__file__)).read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert {name.asname or name.name for node in imports for name in node.names} == set(room.__all__)


@pytest.mark.parametrize("module", LISTS)
def test_no_public_object_hides_a_module_of_its_name(module: str) -> None:
    """``import evox.x as p`` must give the module, whatever the package exports."""
    room = importlib.import_module(module)
    if not hasattr(room, "__path__"):
        return
    assert [name for name in room.__all__ if importlib.util.find_spec(f"{module}.{name}") is not None] == []


@pytest.mark.parametrize("target", public_callables())
def test_type_hints_of_everything_public_resolve(target: Any) -> None:
    functions: list[Any] = [target, *methods_of(target)] if inspect.isclass(target) else [target]
    broken = {}
    for function in functions:
        try:
            typing.get_type_hints(function, include_extras=True)
        except NameError as error:
            broken[function.__qualname__] = str(error)
    assert broken == {}


@pytest.mark.parametrize("target", public_callables())
def test_everything_public_has_a_docstring(target: Any) -> None:
    text = vars(target).get("__doc__") if inspect.isclass(target) else target.__doc__
    assert text
    assert text.strip()
    assert not text.startswith(f"{target.__name__}("), "a dataclass's generated text says nothing"


@pytest.mark.parametrize("target", public_callables())
def test_every_public_method_has_a_docstring(target: Any) -> None:
    """A method may inherit its text from the base class whose promise it keeps."""
    methods = methods_of(target) if inspect.isclass(target) else ()
    missing = [
        one.__qualname__
        for one in methods
        if one.__name__ != "__init__" and not (one.__doc__ or inspect.getdoc(getattr(target, one.__name__)))
    ]
    assert missing == []


@pytest.mark.parametrize("name", evox.core.__all__)
def test_core_gives_the_same_object(name: str) -> None:
    rooms = {"proxy": "evox.service_proxy", "data_io": "evox.data", "data_intent": "evox.data"}
    room = rooms.get(name, "evox.services")
    given = importlib.import_module("evox.auth") if name == "auth" else getattr(importlib.import_module(room), name)
    assert getattr(evox.core, name) is given


@pytest.mark.parametrize("name", sorted(set(evox.core.__all__) & set(evox.__all__)))
def test_both_import_roots_give_one_object(name: str) -> None:
    assert getattr(evox.core, name) is getattr(evox, name)


def test_core_has_the_function_syntax() -> None:
    assert {"service", "get", "post", "put", "patch", "delete", "inject"} <= set(evox.core.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="ServiceBuidler"):
        evox.ServiceBuidler  # noqa: B018


def test_dir_lists_names_that_were_not_imported_yet() -> None:
    assert set(evox.__all__) <= set(dir(evox))


@pytest.mark.parametrize("statement", ["import evox", "import evox.cli", "import evox; dir(evox); evox.__version__"])
def test_importing_evox_imports_no_fastapi(statement: str) -> None:
    heavy = "{'fastapi', 'starlette', 'pydantic', 'trio', 'hypercorn'}"
    code = f"{statement}\nimport sys\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=15)
    assert done.stdout.strip() == "[]"


def test_a_star_import_gives_the_whole_public_list() -> None:
    code = "from evox import *\nimport evox\nprint([name for name in evox.__all__ if name not in globals()])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=15)
    assert done.stdout.strip() == "[]"
