"""The page of the command line: every command of ``evox.cli.entry`` with its options, arguments and examples.

The tree is walked as ``evox --help`` walks it; what stands on the page is what each command's help says.
"""

import inspect
import re
from collections.abc import Iterator

import asyncclick as click

from evox.cli.entry import group
from evox.errors import EvoxError
from evox.orchestrator.server import DRAIN_EXCEEDED
from evox.runtime.signals import SECOND_SIGNAL

__all__ = ["EXIT_CODES", "cli_page"]

EXIT_CODES = {
    0: "all went well; `evox run`: ended after a signal, and nothing was cut",
    1: "it failed: a service did not start, or every service crashed too often; what a command looks at is not well",
    2: "the command line is wrong, or what it names is not there",
    3: "something wants a look: `evox health --strict`",
    69: "the port is in use",
    70: "an error in Evox, or one that nothing else explains",
    78: "the configuration or a declaration is wrong, or your code cannot be imported",
    DRAIN_EXCEEDED: "a request was cut when `drain_timeout` was over, or a thread did not end",
    SECOND_SIGNAL: "a second signal",
}
HEAD = """\
# Commands, option by option

What each command takes, as its `--help` says it. What they are for is in [Commands](../commands.md).

"""


def cli_page() -> str:
    """Return the page."""
    missing = {one.exit_code for one in _errors(EvoxError)} - EXIT_CODES.keys()
    if missing:
        raise SystemExit(f"tools/reference_cli.py: say what these exit codes mean: {missing}")
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in sorted(EXIT_CODES.items()))
    exits = f"## Exit codes\n\n| code | meaning |\n|---|---|\n{codes}\n`evox test` ends with pytest's own code.\n"
    return HEAD + "\n".join([exits, *_commands(group, click.Context(group, info_name="evox"))])


def _errors(base: type[EvoxError]) -> Iterator[type[EvoxError]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith("evox."):
            yield kind
            yield from _errors(kind)


def _commands(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the part of a command, and of those below it."""
    yield _part(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _commands(below, click.Context(below, info_name=name, parent=context))


def _part(command: click.Command, context: click.Context) -> str:
    path = context.command_path
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"## {path}\n\n{_prose(command.help or '')}\n\n```text\n{usage}\n```\n"]
    rows = [_row(one, context) for one in command.params if isinstance(one, click.Option) and not one.hidden]
    if rows:
        parts.append("| option | meaning |\n|---|---|\n" + "".join(rows))
    if isinstance(command, click.Group):
        names = [f"[`{name}`](#{path.replace(' ', '-')}-{name})" for name in command.list_commands(context)]
        parts.append(f"Commands: {', '.join(names)}\n")
    elif command.epilog:
        parts.append(f"```console\n{_examples(command.epilog)}```\n")
    return "\n".join(parts)


def _row(option: click.Option, context: click.Context) -> str:
    names, meaning = option.get_help_record(context) or ("", "")
    names = names.replace("INTEGER RANGE", "NUMBER").replace("FLOAT RANGE", "NUMBER")
    return f"| `{names.replace('|', chr(92) + '|')}` | {_plain(meaning)} |\n"


def _prose(text: str) -> str:
    paragraphs = inspect.cleandoc(text).replace("\b\n", "").split("\n\n")
    return "\n\n".join(_plain(" ".join(one.split())) for one in paragraphs)


def _plain(text: str) -> str:
    """Keep Markdown from reading anything into text: options and the like, where they are not code already."""
    parts = re.split(r"(`[^`]*`)", text)
    shown = [one if one.startswith("`") else one.replace("<", "&lt;").replace("*", r"\*") for one in parts]
    return "".join(shown).replace("|", r"\|")


def _examples(epilog: str) -> str:
    lines = [line.strip() for line in epilog.splitlines() if line.startswith("  ")]
    split = [re.split(r" {2,}", line, maxsplit=1) for line in lines]
    width = max(len(one[0]) for one in split)
    return "".join(f"$ {one[0].ljust(width)}  # {one[1]}\n" if len(one) > 1 else f"$ {one[0]}\n" for one in split)
