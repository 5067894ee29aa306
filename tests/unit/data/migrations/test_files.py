"""Files of migrations: names, numbers, texts and first lines, read and checked."""

from pathlib import Path

import pytest

from evox.data.migrations import read_folder
from evox.errors import MigrationRefused


def written(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def refused(folder: Path, files: dict[str, str | bytes]) -> MigrationRefused:
    with pytest.raises(MigrationRefused) as caught:
        read_folder(written(folder, files))
    return caught.value


def test_files_come_in_the_order_of_their_numbers_and_others_are_left_alone(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "0010_c.sql": "SELECT 10",
        "0002_b-2.sql": "SELECT 2",
        "00001_A.sql": "SELECT 1",
        "README.md": "read me",
        ".0003_hidden.sql": "",
    }
    (tmp_path / "versions").mkdir()
    found = read_folder(written(tmp_path, files))
    assert [(one.number, one.name) for one in found] == [(1, "00001_A.sql"), (2, "0002_b-2.sql"), (10, "0010_c.sql")]


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert read_folder(tmp_path / "migrations") == ()


@pytest.mark.parametrize(
    "name", ["1_a.sql", "001_a.sql", "0001.sql", "0001_.sql", "0001_a b.sql", "0001-a.sql", "people.sql", "0001_a.SQL"]
)
def test_a_bad_name_is_refused_with_the_name(tmp_path: Path, name: str) -> None:
    error = refused(tmp_path, {name: "SELECT 1"})
    assert name in error.what
    assert str(error.place) == str(tmp_path / name)


def test_two_files_of_one_number_are_refused_with_both_names(tmp_path: Path) -> None:
    error = refused(tmp_path, {"0002_a.sql": "SELECT 1", "00002_b.sql": "SELECT 1", "0007_c.sql": "SELECT 1"})
    assert "0002_a.sql" in error.what
    assert "00002_b.sql" in error.what
    assert "above 0007" in error.fix


def test_what_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    error = refused(tmp_path, {"0001_a.sql": b"SELECT 1;\nSELECT '\xff';\n"})
    assert "line 2" in error.why
    assert "0xff" in error.why


def test_a_nul_character_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "line 2" in refused(tmp_path, {"0001_a.sql": "SELECT 1;\nSELECT \0;"}).why


def test_a_folder_with_the_name_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").mkdir()
    assert "cannot be read" in refused(tmp_path, {}).what


def test_the_checksum_is_the_same_whatever_ends_lines_and_differs_when_anything_else_does(tmp_path: Path) -> None:
    sums = []
    for text in ("SELECT 1;\nSELECT 2;\n", "SELECT 1;\r\nSELECT 2;\r\n", "\ufeffSELECT 1;\rSELECT 2;\r", "SELECT 1;\n"):
        (one,) = read_folder(written(tmp_path, {"0001_a.sql": text}))
        sums.append(one.sha256)
    assert sums[0] == sums[1] == sums[2] != sums[3]


def test_a_first_line_that_speaks_to_us_is_understood(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "0001_a.sql": "-- evox: no transaction\nVACUUM",
        "0002_b.sql": "--evox:foreign keys off \r\nSELECT 1",
        "0003_c.sql": "-- about evox\nSELECT 1",
    }
    a, b, c = read_folder(written(tmp_path, files))
    assert (a.outside, b.outside, c.outside) == (True, False, False)
    assert (a.without_foreign_keys, b.without_foreign_keys, c.without_foreign_keys) == (False, True, False)


@pytest.mark.parametrize(
    ("text", "line"), [("-- evox: no transactions\nVACUUM", 1), ("-- why\n-- evox: no transaction\nVACUUM", 2)]
)
def test_a_line_that_would_be_passed_over_is_refused(tmp_path: Path, text: str, line: int) -> None:
    place = refused(tmp_path, {"0001_a.sql": text}).place
    assert place is not None
    assert place.line == line
