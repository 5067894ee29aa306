"""Writing: all of the files or none, and never over one that is there."""

import os
from pathlib import Path
from typing import Any

import pytest

from evox.cli.scaffold.writing import in_the_way, write_new
from evox.errors import CannotWrite, FilesInTheWay

FILES = {"a.txt": "a\n", "sub/b.txt": "b\n", "sub/deep/c.txt": "ü\n"}


def tree(folder: Path) -> dict[str, str]:
    """Return the text of each file below a folder, and an empty one for each folder."""
    return {
        path.relative_to(folder).as_posix(): "" if path.is_dir() else path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
    }


def test_files_and_their_folders_are_made(tmp_path: Path) -> None:
    write_new(tmp_path / "new", FILES)
    assert {name: text for name, text in tree(tmp_path / "new").items() if text} == FILES


def test_what_is_there_stays_beside_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.txt").write_text("mine", encoding="utf-8")
    assert in_the_way(tmp_path, FILES) == []
    write_new(tmp_path, FILES)
    assert tree(tmp_path)["sub/mine.txt"] == "mine"


def test_every_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.txt").mkdir()  # a folder is in the way of a file as well
    assert in_the_way(tmp_path, FILES) == [tmp_path / "a.txt", tmp_path / "sub" / "b.txt"]


def test_a_file_is_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").touch()
    assert in_the_way(tmp_path, FILES) == [tmp_path / "sub"]


def test_a_link_that_leads_nowhere_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to("nowhere")
    assert in_the_way(tmp_path, FILES) == [tmp_path / "a.txt"]


def test_a_file_that_appears_meanwhile_is_not_overwritten_and_what_was_made_is_gone(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.txt").write_text("mine", encoding="utf-8")
    before = tree(tmp_path)
    with pytest.raises(FilesInTheWay, match=r"b\.txt"):
        write_new(tmp_path, FILES)
    assert tree(tmp_path) == before


def test_a_write_that_fails_midway_leaves_nothing_that_it_made(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="cannot write"):
        write_new(tmp_path / "new", {**FILES, "sub/" + "x" * 300: "too long a name"})
    assert tree(tmp_path) == {}


def test_a_text_that_cannot_be_written_leaves_nothing_either(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_new(tmp_path / "new", {**FILES, "z.txt": "half a character: \ud800"})
    assert tree(tmp_path) == {}


def test_what_others_have_put_there_meanwhile_stays(tmp_path: Path) -> None:
    class Files(dict[str, str]):
        """Puts a file of somebody else's beside the first one."""

        def items(self) -> Any:
            yield "sub/a.txt", "a"
            (tmp_path / "new" / "sub" / "other.txt").write_text("other", encoding="utf-8")
            yield "x" * 300, "too long a name"

    with pytest.raises(CannotWrite):
        write_new(tmp_path / "new", Files())
    assert {name: text for name, text in tree(tmp_path).items() if text} == {"new/sub/other.txt": "other"}


def test_a_folder_that_cannot_be_made_is_an_error_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite) as caught:
        write_new(tmp_path / "not" / "there", FILES)
    assert "No such file" in caught.value.why
    assert os.listdir(tmp_path) == []  # noqa: PTH208  the bare names
