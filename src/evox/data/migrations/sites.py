"""Sites: which folder of migrations is for which database. Nothing is connected to."""

import importlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evox.config import DataSettings, without_secrets
from evox.data.backends.opening import SQLAddress, sql_address
from evox.data.migrations.files import Migration, has_migrations, read_folder
from evox.data.migrations.target import Target
from evox.errors import MigrationRefused, MissingExtra, Place

__all__ = ["Site", "sites_of"]


@dataclass(frozen=True, slots=True)
class Site:
    """One folder, and the database that it is for.

    Attributes:
        folder: As it is shown, from the project's folder.
        files: What it holds.
        shown: The database's URL, as it may be shown.
        address: Where the database is.
        timeout: Seconds to wait for a connection.
    """

    folder: str
    files: tuple[Migration, ...]
    shown: str
    address: SQLAddress = field(repr=False)
    timeout: float = 5.0

    def target(self) -> Target:
        """Return the database, not connected.

        Raises:
            MissingExtra: if its packages are not installed.
        """
        if self.address.path is not None:
            module = importlib.import_module("evox.data.migrations.sqlite")
            file: Target = module.SQLiteTarget(self.address.path, own=self.address.own)
            return file
        try:
            module = importlib.import_module("evox.data.migrations.postgres")
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("evox"):
                raise
            raise MissingExtra("evox sync db with postgresql://", "postgres") from None
        server: Target = module.PostgresTarget(self.address.url, timeout=self.timeout)
        return server


def sites_of(settings: DataSettings, root: Path, services: Callable[[], Collection[str]]) -> list[Site]:
    """Return the folders of a project's migrations, each with the database that it is for.

    Files in ``migrations/`` itself are for the project's database: ``database``, or the backend if it is SQL. Files in
    ``migrations/<service>/`` are for what ``inject.db()`` gives that service.

    Args:
        settings: ``[tool.evox.data]``.
        root: The project's folder.
        services: Returns the names of the project's services; asked only if a folder is named for one.

    Raises:
        MigrationRefused: if a folder is for no database, or two are for one.
    """
    top = root / settings.migrations
    found = [site for site in [_project(settings, root, top)] if site is not None]
    folders = [path for path in sorted(top.iterdir()) if _is_service(path)] if top.is_dir() else []
    names = services() if folders else ()
    for folder in folders:
        if folder.name not in names:
            raise MigrationRefused(
                f"no service is named {folder.name!r}, and there are migrations for it",
                f"there are: {', '.join(sorted(names)) or 'none'}",
                fix="name the folder as the service is",
                place=Place(str(folder)),
            )
        found.append(_site(folder, sql_address(folder.name, settings, root), settings, root))
    return _apart([one for one in found if one.files or one.folder == _shown(top, root)])


def _project(settings: DataSettings, root: Path, top: Path) -> Site | None:
    address = sql_address("", settings, root)
    if not address.own:
        return _site(top, address, settings, root)
    if has_migrations(top):
        first = read_folder(top)[0]
        raise MigrationRefused(
            f"{first.name} is for no database",
            "without `database` in [tool.evox.data] each service has a file of its own",
            fix=f'move it to {settings.migrations}/<service>/, or name one: database = "sqlite:///shop.db"',
            place=first.place(),
        )
    return None


def _is_service(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".") and has_migrations(path)


def _site(folder: Path, address: SQLAddress, settings: DataSettings, root: Path) -> Site:
    shown = without_secrets(address.url)
    return Site(_shown(folder, root), read_folder(folder), shown, address, settings.timeout)


def _shown(folder: Path, root: Path) -> str:
    return str(folder.relative_to(root)) if folder.is_relative_to(root) else str(folder)


def _apart(sites: Sequence[Site]) -> list[Site]:
    """Refuse two folders for one database: both would count from 0001."""
    seen: dict[str, Site] = {}
    for site in sites:
        where = site.address.url if site.address.path is None else str(site.address.path.resolve())
        other = seen.get(where)
        if other is None or not other.files:
            seen[where] = site
        elif site.files:
            raise MigrationRefused(
                f"{other.folder} and {site.folder} are for one database",
                f"that is {site.shown}, and a database has one row of numbers",
                fix=f"put all files into {other.folder}",
                place=Place(site.folder),
            )
    return list(seen.values())
