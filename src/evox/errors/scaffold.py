"""Scaffold: errors of commands that make files. They end with 2, and nothing was written."""

from collections.abc import Sequence

from evox.errors.base import EvoxError, Place

__all__ = ["FilesInTheWay", "NoProject", "UnusableName"]


class UnusableName(EvoxError):
    """A name that a project or service cannot have."""

    id = "EVX-305"
    exit_code = 2

    def __init__(self, name: str, why: str, *, fix: str = "", place: Place | None = None) -> None:
        super().__init__(
            f"{name!r} cannot be used as a name",
            why=why,
            fix=fix or "choose another, such as order-items or order_items",
            place=place,
        )


class FilesInTheWay(EvoxError):
    """Files that are there already, where new ones are to be. Nothing was written."""

    id = "EVX-306"
    exit_code = 2

    def __init__(self, files: Sequence[str]) -> None:
        one = len(files) == 1
        super().__init__(
            f"{files[0]} is in the way" if one else f"{len(files)} files are in the way",
            why=f"nothing is ever overwritten, and {'it is' if one else 'these are'} there: {', '.join(files)}",
            fix=f"move {'it' if one else 'them'} away, or choose another name; nothing was written",
        )


class NoProject(EvoxError):
    """A service is to be made where no project is."""

    id = "EVX-307"
    exit_code = 2

    def __init__(self, folder: str) -> None:
        super().__init__(
            "there is no project here",
            why=f"neither {folder} nor a folder above it has an evox.toml, or a pyproject.toml with [tool.evox]",
            fix="make one with evox new pj NAME and go there, or add [tool.evox] to the pyproject.toml that you have",
        )
