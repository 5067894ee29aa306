"""Keeping: a report is written whole or not at all, and for its owner alone."""

import stat
from pathlib import Path

import pytest

from evox.errors import CannotWrite
from evox.observe.report.keeping import write


def test_a_file_that_is_there_is_replaced_as_a_whole_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("old", encoding="utf-8")
    file.chmod(0o644)
    with file.open(encoding="utf-8") as reader:
        write(file, "new")
        assert reader.read() == "old"
    assert file.read_text(encoding="utf-8") == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    link = tmp_path / "page.html"
    link.symlink_to(tmp_path / "kept" / "page.html")
    write(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "kept" / "page.html").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("bad", ["", "folder", "missing/page.html", "file/x", "/dev/null", "x" * 400, "a\0b", "loop"])
def test_what_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path, bad: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CannotWrite):
        write(tmp_path / bad, "new")
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text(encoding="utf-8") == "kept"


def test_a_text_that_is_none_is_written_all_the_same(tmp_path: Path) -> None:
    write(tmp_path / "page.html", "a\ud800b")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "a?b"
