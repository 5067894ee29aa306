"""Naming: from the name that was given to those of a folder, a class and a path; and which names cannot be used."""

import builtins
import keyword
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from evox.errors import UnusableName
from evox.searched import SKIPPED

__all__ = ["LONGEST", "Names", "project_names", "service_names"]

LONGEST: Final = 40

_FORM: Final = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*", re.ASCII)
_SINGULARS: Final = {
    "caches": "cache",
    "children": "child",
    "cookies": "cookie",
    "movies": "movie",
    "news": "news",
    "people": "person",
    "series": "series",
}
_OURS: Final = frozenset({"evox", "evox_framework"})
# What a service of Evox imports, whether or not it is installed where the command runs.
_BENEATH: Final = frozenset({"anyio", "fastapi", "httpx2", "pydantic", "pytest", "starlette", "trio"})
_MEANT: Final = frozenset({"conftest", "src", "test", "tests"})
_ANSWERED: Final = frozenset({"capabilities", "docs", "health", "redoc"})
# What the templates import or define; a class of the same name would hide it.
_TAKEN: Final = frozenset(
    {"Annotated", "BaseModel", "Controller", "Field", "HTTPException", "Service", "ServiceBuilder", *dir(builtins)}
)


@dataclass(frozen=True, slots=True)
class Names:
    """A name in all its forms.

    Attributes:
        given: As it was given: ``order-items``. The name of the project's folder, or of the service.
        kebab: For URLs and distributions: ``order-items``.
        package: For folders that are imported: ``order_items``.
        noun: One of what it is about, in functions: ``order_item``.
        kind: The same as a class: ``OrderItem``.
        path: Where a service's own endpoints are: ``/order-items``.
    """

    given: str
    kebab: str
    package: str
    noun: str
    kind: str
    path: str


def project_names(name: str) -> Names:
    """Return the forms of a project's name.

    Raises:
        UnusableName: if it is no name, or would stand for something else.
    """
    return _checked(name, beside=())


def service_names(name: str, root: Path) -> Names:
    """Return the forms of a service's name.

    Args:
        name: As it was given.
        root: The project's folder. A package of the name that lies in it is none that would be hidden.

    Raises:
        UnusableName: if it is no name, or a package of this name would hide something else.
    """
    names = _checked(name, beside=(root,))
    if names.kebab in _ANSWERED or names.path[1:] in _ANSWERED:
        raise UnusableName(name, f"every service answers {names.path} itself")
    return names


def _checked(name: str, beside: Iterable[Path]) -> Names:
    if not _FORM.fullmatch(name):
        raise UnusableName(
            name,
            "a name is lower-case letters and digits, with single dashes or underscores between, and a letter first",
            fix=f"write {suggested(name)!r} instead" if suggested(name) else "",
        )
    if len(name) > LONGEST:
        raise UnusableName(name, f"it has {len(name)} letters, and {LONGEST} are the most", fix="choose a shorter one")
    package = name.replace("-", "_")
    reason = _reason(name, package) or _shadowed(package, beside)
    if reason:
        raise UnusableName(name, reason)
    about = package.removesuffix("_svc").removesuffix("_service")
    noun = _singular(about)
    kind = "".join(part.capitalize() for part in noun.split("_"))
    return Names(
        given=name,
        kebab=package.replace("_", "-"),
        package=package,
        noun=noun,
        kind=f"{kind}Record" if kind in _TAKEN else kind,
        path="/" + about.replace("_", "-"),
    )


def suggested(name: str) -> str:
    """Return a name of the right form that is near, or an empty text."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)
    near = re.sub(r"[^a-z0-9_-]+|[_-]{2,}", "-", parted.lower()).strip("-_").lstrip("0123456789-_")
    near = re.sub(r"[_-]{2,}", "-", near)[:LONGEST].strip("-_")
    return near if _FORM.fullmatch(near) else ""


def _reason(name: str, package: str) -> str:
    hidden = "which could not be imported any more"
    reasons = (
        (keyword.iskeyword(package), "it is a word of Python's own, and could not be imported"),
        (package in _OURS, f"it is the name of Evox itself, {hidden}"),
        (package in _MEANT, "a folder of this name means something else in a project"),
        (bool({name, package} & SKIPPED), "evox run does not look for services in folders of this name"),
        (package in sys.stdlib_module_names, f"Python has a module {package!r} of its own, {hidden}"),
        (package in _BENEATH, f"services import the package {package!r}, {hidden}"),
    )
    return next((reason for applies, reason in reasons if applies), "")


def _shadowed(package: str, beside: Iterable[Path]) -> str:
    """Say which installed package a folder of this name would hide. What lies in the project itself is none."""
    own = {folder.resolve() for folder in (*beside, Path.cwd())}
    places = [place for place in sys.path if place and Path(place).resolve() not in own]
    spec = PathFinder.find_spec(package, places)
    if spec is None:
        return ""
    if spec.origin is None and not any("site-packages" in one for one in spec.submodule_search_locations or ()):
        return ""  # a folder that happens to be there
    return f"a package {package!r} is installed, which could not be imported any more"


def _singular(noun: str) -> str:
    head, _, last = noun.rpartition("_")
    before = f"{head}_" if head else ""
    if last in _SINGULARS:
        return before + _SINGULARS[last]
    if last.endswith("ies") and len(last) > 4:
        return f"{before}{last[:-3]}y"
    if last.endswith(("sses", "shes", "ches", "xes", "zzes")):
        return before + last[:-2]
    if last.endswith("s") and len(last) > 2 and not last.endswith(("ss", "us", "is")):
        return before + last[:-1]
    return noun
