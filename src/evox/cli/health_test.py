"""``evox health --test``: self-tests of the project here, one line each, and an exit code."""

import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import asyncclick as click

from evox.cli.progress import Progress
from evox.cli.terminal import is_colourful

if TYPE_CHECKING:
    from evox.testing.selftest import Result

__all__ = ["GROUPS", "refuse_mixed", "test"]

GROUPS = ("connection", "framework", "services", "all")
_COLOURS = {"ok": "32", "FAIL": "31", "skip": "33"}
_WORDS = ("saw", "expected", "do")


def refuse_mixed(group: str | None, targets: Sequence[str], junit: str | None, *, looks: bool) -> None:
    """Refuse options of the report with a test, and the other way round.

    Args:
        group: What ``--test`` says.
        targets: What is named.
        junit: What ``--junit`` says.
        looks: Whether an option of the report is given.
    """
    if group is None and (targets or junit is not None):
        raise click.UsageError("TARGETS and --junit are for --test: say --test all")
    if group is not None and looks:
        raise click.UsageError("--test looks at the code here: leave out --url, --token-from, --cafile and --strict")


def test(group: str, targets: Sequence[str], *, as_json: bool, output: str | None, junit: str | None) -> int:
    """Run the self-tests of a project, tell of them, and return the exit code.

    Args:
        group: One of ``GROUPS``.
        targets: What to test, as for ``evox run``; the project if empty.
        as_json: One JSON object in place of lines.
        output: A file to write to in place of standard output.
        junit: A file for the same as JUnit XML.

    Raises:
        EvoxError: if the project cannot be loaded, or a file not be written.
    """
    shown = _Shown(sys.stdout, as_json=as_json, output=output, junit=junit)
    with redirect_stdout(sys.stderr):  # what user code prints is no result
        return _tested(group, targets, shown)


def _tested(group: str, targets: Sequence[str], shown: "_Shown") -> int:
    from evox.orchestrator import RunOptions, plan
    from evox.testing.selftest import Project, checks_of, run_checks

    sys.dont_write_bytecode = True  # nothing is left beside the user's files
    planned = plan(RunOptions(targets=tuple(targets)))
    project = Project(planned.loaded, tuple(one.service for one in planned.found), planned.loop)
    shown.begin(group, planned.loop)
    results = run_checks(checks_of(group, project), planned.loop, on_result=shown.add, on_stuck=shown.stuck)
    return shown.end(results)


class _Shown:
    """What is told of results: a line each at once, and the whole of it at the end."""

    def __init__(self, out: TextIO, *, as_json: bool, output: str | None, junit: str | None) -> None:
        self._out, self._as_json, self._output, self._junit = out, as_json, output, junit
        self._group = self._loop = ""
        self._colour = output is None and is_colourful()
        self._progress = Progress()

    def begin(self, group: str, loop: Any) -> None:
        self._group, self._loop = group, loop.backend
        self._progress.on("testing")

    def add(self, one: "Result") -> None:
        if not self._as_json and self._output is None:
            self._say(self._lines(one))
        self._progress.on("testing")

    def stuck(self, results: "list[Result]") -> int:
        """Tell of a check that holds the loop. Called in another thread, before the process is ended."""
        self.add(results[-1])
        code = self.end(results)
        self._out.flush()
        return code

    def end(self, results: "Sequence[Result]") -> int:
        """Write what is written at the end, and return the exit code."""
        self._progress.off()
        from evox.observe.report.keeping import write

        failed = sum(not one.ok for one in results)
        text = self._json(results) if self._as_json else self._summary(results)
        if self._junit is not None:
            from evox.testing.selftest import junit

            write(Path(self._junit), junit(results))
        if self._output is not None:
            lines = "" if self._as_json else "".join(map(self._lines, results))
            write(Path(self._output), lines + text)
        else:
            self._say(text)
        for file in (self._output, self._junit):
            if file is not None:
                sys.stderr.write(f"written to {file}\n")
        return 1 if failed else 0

    def _json(self, results: "Sequence[Result]") -> str:
        document = {
            "schema": 1,
            "group": self._group,
            "loop": self._loop,
            "ok": all(one.ok for one in results),
            "results": [asdict(one) for one in results],
        }
        return json.dumps(document, indent=2) + "\n"

    def _summary(self, results: "Sequence[Result]") -> str:
        skipped, failed = sum(one.skipped for one in results), sum(not one.ok for one in results)
        took = sum(one.seconds for one in results)
        passed = len(results) - skipped - failed
        return f"\n{passed} ok, {skipped} skipped, {failed} failed in {took:.2f} s on {self._loop}\n"

    def _lines(self, one: "Result") -> str:
        word = "skip" if one.skipped else "ok" if one.ok else "FAIL"
        shown = word.ljust(4)
        if self._colour:
            shown = f"\x1b[{_COLOURS[word]}m{shown}\x1b[0m"
        text = f"{shown}  {one.group.ljust(10)}  {one.name}  "
        if one.ok:
            return f"{text}{one.why}  {one.seconds:.2f} s\n" if one.why else f"{text}{one.seconds:.2f} s\n"
        lines = (line.partition(" ") for line in one.why.splitlines())
        told = (
            f"      {first.ljust(8)}  {rest}\n" if first in _WORDS else f"                {first} {rest}\n"
            for first, _, rest in lines
        )
        return f"{text}{one.seconds:.2f} s\n{''.join(told)}"

    def _say(self, text: str) -> None:
        self._progress.off()
        encoding = self._out.encoding or "utf-8"
        self._out.write(text.encode(encoding, "replace").decode(encoding))
        self._out.flush()
