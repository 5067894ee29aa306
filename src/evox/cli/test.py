"""``evox test``: the project's tests, by pytest, from the project's folder, on one event loop or on both."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import asyncclick as click

from evox.cli.answering import answering

__all__ = ["command"]

SCHEMA = 1
COUNTS = ("tests", "failures", "errors", "skipped")
EXAMPLES = """\b
Examples:
  evox test                         all tests, on the loops that they name
  evox test --backend trio          only those that run on trio, and those that run on none
  evox test -k users -x             whatever pytest takes
  evox test -- --help               pytest's own help
"""


@click.command(
    name="test",
    epilog=EXAMPLES,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--backend", type=click.Choice(["trio", "asyncio"]), help="Leave out what runs on the other loop.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; what pytest writes goes to standard error.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks of Evox's own errors.")
def command(arguments: tuple[str, ...], backend: str | None, as_json: bool, trace: bool) -> Callable[[], int]:
    """Run the project's tests with pytest, which gets all ARGUMENTS that are not options of ours.

    Ends with pytest's exit code: 0 all passed, 1 some failed, 2 interrupted, 3 internal error, 4 wrong usage, 5 there
    were no tests.
    """
    return answering(partial(_test, arguments, backend, as_json=as_json), as_json=as_json, trace=trace)


def _test(arguments: tuple[str, ...], backend: str | None, *, as_json: bool) -> int:
    import importlib.util

    from evox.config import find_root
    from evox.errors import MissingPrerequisite

    if importlib.util.find_spec("pytest") is None:
        raise MissingPrerequisite(
            "evox test", "pytest is not installed", fix="uv add --dev pytest, or pip install pytest"
        )
    root = find_root(Path())
    chosen = [f"--evox-backend={backend}"] if backend is not None else []
    with tempfile.TemporaryDirectory(prefix="evox-test-") as folder:
        report = Path(folder) / "report.xml"
        told = [f"--junitxml={report}"] if as_json else []
        line = [sys.executable, "-m", "pytest", *chosen, *told, *arguments]
        code = _run(line, _folder(root, arguments), to_stderr=as_json)
        if as_json:
            sys.stdout.write(json.dumps({"schema": SCHEMA, "exit_code": code} | _counts(report)) + "\n")
    return code


def _folder(root: Path, arguments: tuple[str, ...]) -> Path:
    """Return where pytest runs: in the project's folder, unless a path is named as it is seen from here."""
    here = Path.cwd()
    named = any(not one.startswith("-") and Path(one.partition("::")[0]).exists() for one in arguments)
    return here if named or not here.is_relative_to(root) else root


def _run(line: list[str], folder: Path, *, to_stderr: bool) -> int:
    """Run pytest; Ctrl-C is its own, as it has the terminal too. One that a signal ended has the code of a shell."""
    out = sys.stderr if to_stderr else None
    with subprocess.Popen(line, cwd=folder, stdout=out) as child:  # noqa: S603  our own Python, with the user's words
        while True:
            try:
                code = child.wait()
                return code if code >= 0 else 128 - code
            except KeyboardInterrupt:
                continue


def _counts(report: Path) -> dict[str, Any]:
    """Return how many tests there were, and the names of those that failed, from pytest's report."""
    empty: dict[str, Any] = dict.fromkeys(COUNTS, 0) | {"seconds": 0.0, "failed": []}
    try:
        suites = list(ET.parse(report).iter("testsuite"))  # noqa: S314  pytest has just written it
    except (OSError, ET.ParseError):
        return empty
    for suite in suites:
        for name in COUNTS:
            empty[name] += int(suite.get(name, "0"))
        empty["seconds"] += float(suite.get("time", "0"))
        empty["failed"] += [
            f"{case.get('classname', '')}::{case.get('name', '')}"
            for case in suite.iter("testcase")
            if case.find("failure") is not None or case.find("error") is not None
        ]
    return empty
