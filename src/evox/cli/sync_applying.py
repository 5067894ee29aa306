"""Applying for `evox sync db`: look at every database first, then change one after the other."""

from collections.abc import Sequence

from evox.cli.sync_report import Report
from evox.data.migrations import Site, look, migrate, resolve

__all__ = ["apply_all"]


async def apply_all(
    sites: Sequence[Site],
    report: Report,
    *,
    changes: bool,
    to: int | None,
    wait: float,
    marked: int | None,
    was_done: bool,
) -> None:
    """Look, tell the plan, and apply it.

    Nothing is applied anywhere unless all that is pending everywhere may be.

    Args:
        sites: Folders and their databases.
        report: Told what is found and done.
        changes: Whether to apply it.
        to: The last number to apply; all by default.
        wait: Seconds to wait for another run.
        marked: The number of a file whose end somebody has found out.
        was_done: Whether that was done.

    Raises:
        EvoxError: as ``migrate`` does.
    """
    targets = [site.target() for site in sites]
    if marked is not None:
        report.resolved(await resolve(targets[0], marked, done=was_done, wait=wait), done=was_done)
    for site, target in zip(sites, targets, strict=True):
        report.plan(site, await look(target, site.files, to=to, running=changes))
    if not changes:
        return
    for site, target in zip(sites, targets, strict=True):
        report.begin(site)
        await migrate(target, site.files, to=to, wait=wait, on_applied=report.applied, on_wait=report.waiting)
        report.end(site)
