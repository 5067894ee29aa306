"""The page of Python names: what users import, with signature and docstring, read from the sources.

Signatures are taken from the syntax tree and not from ``inspect.signature``, so that they are written as in the
source, and the same under every Python.
"""

import ast
import importlib
import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from enum import Enum
from functools import cached_property
from itertools import takewhile
from types import ModuleType
from typing import Any, Final

from evox import Service

__all__ = ["api_page"]

# Of rooms that others of ours import too, only what users are meant to.
MODULES: Final[dict[str, tuple[str, ...]]] = {
    "evox": (),
    "evox.core": (),
    "evox.auth": (
        *("ALGORITHMS", "Key", "KeySet", "Principal", "TokenVerifier", "current", "issue", "public", "public_jwks"),
        *("require_intent", "require_roles", "verify_jws"),
    ),
    "evox.scheduling": ("gather",),
    "evox.data.sqlalchemy": (),
    "evox.observe": ("look",),
    "evox.testing": (),
    "evox.errors": (),
}
SHOWN_BY_THEMSELVES: Final = frozenset({Service})
HEAD: Final = """\
# Python

The public names, by the module that they are imported from, each with its signature and what its docstring says.

"""
SECTION: Final = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")


def api_page() -> str:
    """Return the page."""
    seen: dict[int, str] = {}
    return HEAD + "\n".join(_module(importlib.import_module(name), seen) for name in MODULES).rstrip() + "\n"


def _module(module: ModuleType, seen: dict[int, str]) -> str:
    parts = [f"## {module.__name__}\n\n{_markdown(inspect.getdoc(module) or '')}\n"]
    for name in MODULES[module.__name__] or module.__all__:
        value = getattr(module, name)
        first = seen.setdefault(id(value), f"{module.__name__}.{name}")
        if first != f"{module.__name__}.{name}":
            parts.append(f"### {name}\n\nThe same as `{first}`.\n")
        elif isinstance(value, ModuleType):
            parts.append(f"### {name}\n\nThe module [`{value.__name__}`](#{value.__name__.replace('.', '')}).\n")
        else:
            parts.append(_name(name, value))
    return "\n".join(parts)


def _name(name: str, value: Any) -> str:
    home = getattr(value, "__module__", None) or type(value).__module__
    is_code = inspect.isclass(value) or inspect.isroutine(value)
    if is_code and not home.startswith("evox"):
        return f"### {name}\n\n`{home.partition('.')[0]}`'s own `{value.__name__}`.\n"
    if inspect.isclass(value):
        return _class(name, value)
    if inspect.isroutine(value):
        return f"### {name}\n\n{_fence(_signature(value, name))}\n{_markdown(inspect.getdoc(value) or '')}\n"
    if type(value).__module__.startswith("evox"):
        return f"### {name}\n\n{_markdown(inspect.getdoc(type(value)) or '')}\n\n{_members(type(value))}"
    return f"### {name}\n\n{_constant(value)}\n"


def _constant(value: Any) -> str:
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return f"One of a few: {', '.join(f'`{one}`' for one in value)}."
    inner = typing.get_args(value)
    if typing.get_origin(value) is typing.Literal:
        return f"One of {', '.join(f'`{one!r}`' for one in inner)}."
    return f"`{inner[0].__name__}`, marked for Evox." if inner else "A type."


def _class(name: str, kind: type) -> str:
    if issubclass(kind, Enum):
        values = ", ".join(f"`{one.name}`" for one in kind)
        return f"### {name}\n\n{_markdown(inspect.getdoc(kind) or '')}\n\nMembers: {values}.\n"
    parts = [f"### {name}\n\n{_fence(_construction(name, kind))}\n{_markdown(inspect.getdoc(kind) or '')}\n"]
    if issubclass(kind, Exception):
        parts[0] = f"### {name}\n\n{_fence(_construction(name, kind))}\n{_bases(kind)}{_markdown(kind.__doc__ or '')}\n"
    members = "" if issubclass(kind, Exception) else _members(kind)
    return "\n".join([*parts, *([members] if members else [])])


def _bases(kind: type) -> str:
    base = kind.__bases__[0].__name__
    return "" if base == "Exception" else f"A `{base}`. "


def _construction(name: str, kind: type) -> str:
    """Return how one is made: by ``__init__``, or from the fields of a dataclass."""
    if is_dataclass(kind):
        return f"{name}({', '.join(_fields(kind))})"
    for one in kind.__mro__:
        if "__init__" in vars(one) and one.__module__.startswith("evox"):
            return _signature(vars(one)["__init__"], name).partition(" -> ")[0]
    return name


def _fields(kind: type) -> Iterator[str]:
    tree = _tree(kind)
    for one in tree.body if isinstance(tree, ast.ClassDef) else []:
        if isinstance(one, ast.AnnAssign) and not ast.unparse(one.target).startswith("_"):
            value = one.value
            if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
                options = {option.arg: option.value for option in value.keywords}
                if "init" in options:
                    continue
                value = options.get("default", options.get("default_factory"))
            given = "" if value is None else f" = {ast.unparse(value)}"
            yield f"{ast.unparse(one.target)}: {ast.unparse(one.annotation)}{given}"


def _members(kind: type) -> str:
    """Return the public methods and properties, those of bases of ours included, unless they have a part of theirs."""
    found: dict[str, Any] = {}
    above = next((base for base in kind.__mro__[1:] if base in SHOWN_BY_THEMSELVES), object)
    for base in kind.__mro__:
        if base.__module__.startswith("evox") and base not in above.__mro__:
            for name, value in vars(base).items():
                if not name.startswith("_"):
                    found.setdefault(name, value)
    parts = []
    for name, value in found.items():
        target = value.fget if isinstance(value, property) else value
        target = target.func if isinstance(target, cached_property) else getattr(target, "__func__", target)
        if inspect.isroutine(target) and target.__module__.startswith("evox"):
            shown = name if isinstance(value, (property, cached_property)) else _signature(target, name)
            shown = f"async .{shown.removeprefix('async ')}" if shown.startswith("async ") else f".{shown}"
            parts.append(f"`{shown}`\n\n{_quoted(_markdown(inspect.getdoc(target) or ''))}\n")
    return "\n".join([*parts, *([f"And all of `{above.__name__}`.\n"] if above is not object else [])])


def _quoted(text: str) -> str:
    return textwrap.indent(text, "> ", lambda _: True).replace("> \n", ">\n") if text else ""


def _tree(target: Any) -> ast.stmt:
    return ast.parse(textwrap.dedent(inspect.getsource(target))).body[0]


def _signature(function: Callable[..., Any], name: str) -> str:
    """Return a signature as its source has it, without ``self``."""
    tree = _tree(function)
    if not isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef):
        return name
    for given in (tree.args.posonlyargs, tree.args.args):
        if given and given[0].arg in ("self", "cls"):
            del given[0]
    returns = "" if tree.returns is None else f" -> {ast.unparse(tree.returns)}"
    begin = "async " if isinstance(tree, ast.AsyncFunctionDef) else ""
    return f"{begin}{name}({ast.unparse(tree.args)}){returns}"


def _fence(text: str) -> str:
    return f"```text\n{text}\n```\n"


def _markdown(docstring: str) -> str:
    """Return a Google-style docstring as Markdown: sections as lists, what is indented as a block."""
    lines, parts = inspect.cleandoc(docstring).splitlines(), []
    while lines:
        line = lines.pop(0)
        if lines and lines[0].startswith("|-"):  # a tree, drawn below its root
            drawn = [line, *takewhile(bool, lines)]
            parts += ["```text", *drawn, "```"]
            del lines[: len(drawn) - 1]
            continue
        section = SECTION.fullmatch(line)
        if section is not None:
            parts += ["", f"**{section[1]}**", "", *_listed(_indented(lines))]
        elif line.startswith("    "):
            block = [line, *_indented(lines)]
            parts += ["```text", *textwrap.dedent("\n".join(block)).rstrip().splitlines(), "```"]
        else:
            parts.append(_plain(line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).strip()


def _indented(lines: list[str]) -> list[str]:
    taken = []
    while lines and (not lines[0] or lines[0].startswith("    ")):
        taken.append(lines.pop(0))
    while taken and not taken[-1]:
        taken.pop()
        lines.insert(0, "")
    return taken


def _listed(lines: list[str]) -> Iterator[str]:
    """Yield a section's entries; what is indented deeper goes on with the entry above."""
    entries: list[str] = []
    for line in lines:
        if line.startswith("        ") and entries:
            entries[-1] += f" {line.strip()}"
        elif line.strip():
            entries.append(line.strip())
    for entry in entries:
        named = re.match(r"(\*{0,2}[\w.]+)(?: \([^)]*\))?: (.*)", entry)
        yield f"- `{named[1]}`: {_plain(named[2])}" if named else f"- {_plain(entry)}"


def _plain(text: str) -> str:
    """Keep Markdown from reading anything into text that is not code already."""
    parts = re.split(r"(``[^`]+``|`[^`]+`)", text)
    shown = [
        f"`{one.strip('`')}`" if one.startswith("`") else one.replace("<", "&lt;").replace("*", r"\*") for one in parts
    ]
    return "".join(shown)
