"""Print a dependency group of ``pyproject.toml`` as requirements, for a pip that does not know groups yet."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def requirements(name: str) -> list[str]:
    """Return the requirements of a group.

    Raises:
        KeyError: if there is none of that name.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[str] = project["dependency-groups"][name]
    return found


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1])))
