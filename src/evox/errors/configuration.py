"""Configuration: errors of files and of the environment. They end the process with 78."""

import difflib
from collections.abc import Iterable

from evox.errors.base import EvoxError, Place
from evox.errors.secrets import masked_value

__all__ = [
    "ConfigurationError",
    "InvalidOption",
    "MissingPrerequisite",
    "UnknownOption",
    "UnreadableConfiguration",
]


class ConfigurationError(EvoxError):
    """Configuration from a file or the environment is wrong."""

    exit_code = 78


class UnknownOption(ConfigurationError):
    """A name that means nothing where it stands."""

    id = "EVX-101"

    def __init__(self, option: str, *, source: str, known: Iterable[str], place: Place | None = None) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(option.rpartition(".")[2], names, n=1)
        fix = f"write {close[0]!r} instead" if close else f"remove it, or use one of: {', '.join(names)}"
        super().__init__(f"unknown option {option!r}", why=f"{source} has no such option", fix=fix, place=place)


class InvalidOption(ConfigurationError):
    """A known option with a value that does not fit. The value is not repeated where it may be a secret."""

    id = "EVX-102"

    def __init__(self, option: str, *, source: str, why: str, place: Place | None = None) -> None:
        super().__init__(
            f"option {option!r} has a value that does not fit",
            why=masked_value(why),
            fix=f"correct {option!r} in {source}",
            place=place,
        )


class UnreadableConfiguration(ConfigurationError):
    """A configuration file that is not TOML or cannot be opened."""

    id = "EVX-103"

    def __init__(self, file: str, error: Exception) -> None:
        super().__init__(
            f"cannot read {file}",
            why=str(error),
            fix="correct the file, or remove it to use the defaults",
            place=Place(file),
        )


class MissingPrerequisite(ConfigurationError):
    """What a project needs to run is not there: its Python, a package, or the version that is locked."""

    id = "EVX-109"

    def __init__(self, file: str, why: str, *, fix: str, place: Place | None = None) -> None:
        super().__init__(f"what {file} asks for is not here", why=why, fix=fix, place=place)
