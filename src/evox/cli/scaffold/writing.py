"""Writing: new files, all of them or none. Nothing that is there is ever changed."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from evox.errors import CannotWrite, FilesInTheWay

__all__ = ["in_the_way", "write_new"]


def in_the_way(root: Path, files: Iterable[str]) -> list[Path]:
    """Return what stands where new files or their folders are to be; a link that leads nowhere does too.

    Args:
        root: The folder that the files are in, or will be.
        files: Their paths below it.

    Raises:
        CannotWrite: if that cannot be seen.
    """
    found: dict[Path, None] = {}
    for name in files:
        target = root / name
        try:
            blocked = next((one for one in _folders(root, target) if _exists(one) and not one.is_dir()), None)
            if blocked is not None or _exists(target):
                found[blocked or target] = None
        except OSError as error:
            raise CannotWrite(str(target), error.strerror or str(error)) from None
    return list(found)


def write_new(root: Path, files: Mapping[str, str]) -> None:
    """Write new files and the folders they are in. If one cannot be written, those before it are removed again.

    Args:
        root: The folder that they are in; made if need be, in a folder that is there.
        files: Text by path below it.

    Raises:
        FilesInTheWay: if one has appeared meanwhile.
        CannotWrite: if the system refuses.
    """
    made: list[Path] = []
    try:
        for name, text in files.items():
            _write(root, root / name, text, made)
    except BaseException:
        _undo(made)
        raise


def _write(root: Path, target: Path, text: str, made: list[Path]) -> None:
    try:
        for folder in _folders(root, target):
            if not folder.is_dir():
                folder.mkdir()
                made.append(folder)
        with target.open("x", encoding="utf-8", newline="\n") as file:
            made.append(target)
            file.write(text)
    except FileExistsError:
        raise FilesInTheWay([str(target)]) from None
    except OSError as error:
        raise CannotWrite(str(target), error.strerror or str(error)) from None


def _undo(made: list[Path]) -> None:
    """Remove what was made, the last first. What others have put there meanwhile stays."""
    for path in reversed(made):
        with contextlib.suppress(OSError):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()


def _folders(root: Path, target: Path) -> Iterator[Path]:
    """Yield the folders of a file from the root on, the outermost first."""
    yield root
    folder = root
    for part in target.relative_to(root).parts[:-1]:
        folder /= part
        yield folder


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()
