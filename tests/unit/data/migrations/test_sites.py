"""Sites: which folder of migrations is for which database."""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from evox.config import DataSettings
from evox.data.migrations import Site, sites_of
from evox.errors import MigrationRefused, MissingExtra


def found(root: Path, files: list[str], known: Collection[str] = ("shop", "stock"), **data: Any) -> list[Site]:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("SELECT 1", encoding="utf-8")
    return sites_of(DataSettings(**data), root, lambda: known)


def shown(sites: list[Site]) -> list[tuple[str, str, int]]:
    return [(site.folder, site.shown, len(site.files)) for site in sites]


def test_files_in_the_folder_itself_are_for_the_database_that_is_configured(tmp_path: Path) -> None:
    sites = found(tmp_path, ["migrations/0001_a.sql"], database="sqlite:///x.db")
    assert shown(sites) == [("migrations", "sqlite:///x.db", 1)]
    assert sites[0].address.path == tmp_path / "x.db"


def test_they_are_for_the_backend_if_that_is_sql_and_no_password_is_shown(tmp_path: Path) -> None:
    sites = found(tmp_path, ["migrations/0001_a.sql"], backend="postgresql://me:hunter2@h/d")
    assert shown(sites) == [("migrations", "postgresql://me:***@h/d", 1)]
    assert "hunter2" not in repr(sites)


def test_a_database_is_looked_at_even_if_all_its_files_are_gone(tmp_path: Path) -> None:
    assert shown(found(tmp_path, [], database="sqlite:///x.db")) == [("migrations", "sqlite:///x.db", 0)]


def test_without_a_database_each_service_has_a_folder_for_its_own_file(tmp_path: Path) -> None:
    sites = found(tmp_path, ["migrations/shop/0001_a.sql", "migrations/stock/0001_a.sql"])
    assert shown(sites) == [
        ("migrations/shop", "sqlite:///.evox/shop.db", 1),
        ("migrations/stock", "sqlite:///.evox/stock.db", 1),
    ]
    assert sites[0].address.own


def test_a_service_with_a_backend_of_its_own_has_a_folder_beside_those_of_the_project(tmp_path: Path) -> None:
    data = {"backend": "sqlite:///x.db", "services": {"stock": "sqlite:///y.db"}}
    sites = found(tmp_path, ["migrations/0001_a.sql", "migrations/stock/0001_a.sql"], **data)
    assert shown(sites) == [("migrations", "sqlite:///x.db", 1), ("migrations/stock", "sqlite:///y.db", 1)]


def test_two_folders_for_one_database_are_refused(tmp_path: Path) -> None:
    files = ["migrations/shop/0001_a.sql", "migrations/stock/0001_a.sql"]
    with pytest.raises(MigrationRefused, match="migrations/shop and migrations/stock are for one database"):
        found(tmp_path, files, database="sqlite:///x.db")
    files = ["migrations/0001_a.sql", "migrations/shop/0001_a.sql"]
    with pytest.raises(MigrationRefused, match="migrations and migrations/shop are for one database"):
        found(tmp_path / "second", files, database="sqlite:///x.db")


def test_one_folder_of_a_service_is_enough_for_the_database_that_is_configured(tmp_path: Path) -> None:
    sites = found(tmp_path, ["migrations/shop/0001_a.sql"], database="sqlite:///x.db")
    assert shown(sites) == [("migrations/shop", "sqlite:///x.db", 1)]


def test_files_for_no_database_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MigrationRefused, match=r"0001_a\.sql is for no database") as caught:
        found(tmp_path, ["migrations/0001_a.sql"])
    assert "migrations/<service>/" in caught.value.fix


def test_a_folder_of_no_service_is_refused_and_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(MigrationRefused, match="no service is named 'shpo'") as caught:
        found(tmp_path, ["migrations/shpo/0001_a.sql"])
    assert "shop, stock" in caught.value.why


def test_folders_without_files_of_sql_are_left_alone(tmp_path: Path) -> None:
    assert found(tmp_path, ["migrations/versions/a.py", "migrations/.git/0001_a.sql"], known=()) == []


def test_the_folder_may_be_named_otherwise(tmp_path: Path) -> None:
    sites = found(tmp_path, ["db/changes/0001_a.sql"], database="sqlite:///x.db", migrations="db/changes")
    assert shown(sites) == [("db/changes", "sqlite:///x.db", 1)]


def test_a_driver_that_is_not_installed_is_said_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site,) = found(tmp_path, ["migrations/0001_a.sql"], database="postgresql://h/d")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "evox.data.migrations.postgres", raising=False)
    with pytest.raises(MissingExtra, match="evox sync db with postgresql://") as caught:
        site.target()
    assert "postgres" in caught.value.fix
