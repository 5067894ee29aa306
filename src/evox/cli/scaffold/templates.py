"""Templates: the texts of new files, filled in. They lie in ``templates`` as ``.j2`` and are part of the package.

What they write has the form that ``ruff format`` gives it, so a line that a long name makes too long is broken as ruff
breaks it: ``call`` does that.
"""

from functools import lru_cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

__all__ = ["LINE", "filled"]

LINE: Final = 120  # as in the project's [tool.ruff]


def filled(template: str, **values: Any) -> str:
    """Return a template's text.

    Args:
        template: Its name without ``.j2``.
        **values: What it says.
    """
    return _environment().get_template(f"{template}.j2").render(values)


def call(head: str, arguments: list[str], tail: str, indent: int = 0) -> str:
    """Return a call or a definition on one line if it fits, else its arguments on one of their own, else on one each.

    Args:
        head: Up to the opening bracket, without it.
        arguments: What stands in it.
        tail: From the closing bracket on, without it.
        indent: Spaces before it. The template writes those of the first line itself.
    """
    margin = " " * indent
    whole = f"{head}({', '.join(arguments)}){tail}"
    if indent + len(whole) <= LINE:
        return whole
    inner = f"{margin}    {', '.join(arguments)}"
    if len(inner) <= LINE and len(arguments) > 1:  # ruff puts a comma behind a single one
        return f"{head}(\n{inner}\n{margin}){tail}"
    each = "".join(f"{margin}    {one},\n" for one in arguments)
    return f"{head}(\n{each}{margin}){tail}"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=select_autoescape(["html"]),  # none of them is
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["call"] = call
    return environment
