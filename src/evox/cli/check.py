"""``evox check``: import, wire and validate everything that can be without a socket."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial

import asyncclick as click

from evox.cli.answering import answering

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  evox check              the whole project, as production would run it
  evox check --dev        as `evox run --dev` would, with keys made for development
  evox check users/       only what is there
"""


@click.command(name="check", epilog=EXAMPLES)
@click.argument("targets", nargs=-1)
@click.option("--dev", is_flag=True, help="As `evox run --dev` would run it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks.")
def command(targets: tuple[str, ...], dev: bool, as_json: bool, trace: bool) -> Callable[[], int]:
    """Import, wire and validate services, all of them, without a socket, a hook or a database.

    Ends with 0 if `evox run` would begin to start them, and with the code that it would end with if not.
    """
    return answering(partial(_check, targets, dev=dev, as_json=as_json, trace=trace), as_json=as_json, trace=trace)


def _check(targets: tuple[str, ...], *, dev: bool, as_json: bool, trace: bool) -> int:
    from evox.cli.surveying import show
    from evox.orchestrator import RunOptions, configuration
    from evox.orchestrator.survey import survey

    with redirect_stdout(sys.stderr):  # what user code prints while it is imported is no result
        made = survey(targets, configuration(RunOptions(targets=targets)), dev=dev)
    show(made, as_json=as_json, trace=trace)
    first = next(iter(made.errors), None)
    return 0 if first is None or first.error is None else first.error.exit_code
