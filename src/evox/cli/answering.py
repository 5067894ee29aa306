"""Answering: how a command ends: with its exit code, or with an error that says what, why and what to do."""

import json
import sys
from collections.abc import Callable

__all__ = ["answering"]


def answering(work: Callable[[], int], *, as_json: bool, trace: bool) -> Callable[[], int]:
    """Return what does the work of a command, and tells its errors in the form that was asked for.

    Args:
        work: Returns the exit code.
        as_json: Whether errors are told as JSON too.
        trace: Whether they come with the whole traceback.
    """

    def answer() -> int:
        from evox.errors import EvoxError

        try:
            return work()
        except EvoxError as error:
            _tell(error, as_json=as_json, trace=trace)
            return error.exit_code

    return answer


def _tell(error: Exception, *, as_json: bool, trace: bool) -> None:
    """Do what ``Console.error`` does, without what else a console is made of: most commands have none."""
    from evox.failures import describe, facts_of

    if as_json:
        sys.stdout.write(json.dumps({"event": "error", "schema": 1, "id": None} | facts_of(error)) + "\n")
        sys.stdout.flush()
    sys.stderr.write(describe(error, trace=trace) + "\n")
