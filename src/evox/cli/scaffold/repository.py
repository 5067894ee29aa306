"""Repository: a new project is put under git, if git is there and nobody has done it above."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

__all__ = ["start_repository"]

LIMIT: Final = 10.0
_ELSEWHERE: Final = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"})


def start_repository(folder: Path) -> str:
    """Run ``git init`` in a folder that is in no repository yet.

    Args:
        folder: The project's.

    Returns:
        What did not work, to be told; empty if it did, or there was nothing to do. It is no reason to fail.
    """
    if any((above / ".git").exists() for above in (folder, *folder.parents)):
        return ""
    git = shutil.which("git")
    if git is None:
        return "git is not there, so the project is in no repository"
    # A hook or an editor may have said which repository is meant: another one.
    environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    try:
        done = subprocess.run(  # noqa: S603  the program that is called git here, with words of ours
            [git, "init", "--quiet"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"git init did not work: {error}"
    said = done.stderr.strip().splitlines()
    return f"git init did not work: {said[-1] if said else f'exit code {done.returncode}'}" if done.returncode else ""
