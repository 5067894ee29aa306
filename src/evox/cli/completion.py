"""``evox completion``: the script by which a shell completes commands, options and names of services."""

import json
import sys
from collections.abc import Callable

import asyncclick as click

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  eval "$(evox completion bash)"                              in ~/.bashrc
  eval "$(evox completion zsh)"                               in ~/.zshrc
  evox completion fish > ~/.config/fish/completions/evox.fish
"""


@click.command(name="completion", epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the script alone.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks.")
def command(shell: str, as_json: bool, trace: bool) -> Callable[[], int]:
    """Print the script that teaches a shell to complete commands, options and names of services."""
    del trace

    def tell() -> int:
        from asyncclick.shell_completion import get_completion_class

        from evox.cli.entry import group

        kind = get_completion_class(shell)
        if kind is None:
            raise click.UsageError(f"{shell} is not known")
        script = _script(kind(group, {}, "evox", "_EVOX_COMPLETE"))
        sys.stdout.write((json.dumps({"schema": 1, "shell": shell, "script": script}) if as_json else script) + "\n")
        return 0

    return tell


def _script(made: object) -> str:
    """Return it; written for the bash that reads it, not for the one that is found here."""
    template = str(made.source_template)  # type: ignore[attr-defined]
    return str(template % made.source_vars())  # type: ignore[attr-defined]
