"""``evox sync sv``: look for the services of the project again, and for what they need to run here."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial

import asyncclick as click

from evox.cli.answering import answering

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  evox sync sv             what services there are, where, and whether they can run here
  evox sync sv --json      the same for scripts
"""


@click.command(name="sv", epilog=EXAMPLES)
@click.argument("targets", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks.")
def command(targets: tuple[str, ...], as_json: bool, trace: bool) -> Callable[[], int]:
    """Look for services again, and for what they need: Python, packages as they are locked, drivers.

    uv.lock and requirements.lock are compared with what is installed. Nothing is installed or changed. Ends with 1 if
    anything is wrong.
    """
    return answering(partial(_sync, targets, as_json=as_json, trace=trace), as_json=as_json, trace=trace)


def _sync(targets: tuple[str, ...], *, as_json: bool, trace: bool) -> int:
    from evox.cli.surveying import show
    from evox.orchestrator import RunOptions, configuration
    from evox.orchestrator.prerequisites import look_at_prerequisites
    from evox.orchestrator.survey import survey

    loaded = configuration(RunOptions(targets=targets))
    with redirect_stdout(sys.stderr):  # what user code prints while it is imported is no result
        made = survey(targets, loaded, dev=True)
    look_at_prerequisites(made, loaded)
    show(made, as_json=as_json, trace=trace, services=True)
    return int(bool(made.errors))
