"""``evox token``: a token for the services that ``evox run --dev`` runs here."""

import json
import sys
from collections.abc import Callable

import asyncclick as click

__all__ = ["command"]


EXAMPLES = """\b
Examples:
  evox token --role admin
  curl -H "Authorization: Bearer $(evox token)" http://127.0.0.1:8001/me
"""


@click.command(name="token", epilog=EXAMPLES)
@click.argument("target", required=False, type=click.Path(exists=True))
@click.option("--sub", "subject", default="developer", metavar="NAME", help="Whom it is for.  [default: developer]")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="What its bearer may do; may be repeated.")
@click.option("--ttl", default="8h", metavar="DURATION", help="How long it is good for.  [default: 8h]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the token alone.")
@click.option("--trace", is_flag=True, help="Show whole tracebacks.")
def command(
    target: str | None, subject: str, roles: tuple[str, ...], ttl: str, as_json: bool, trace: bool
) -> Callable[[], int]:
    """Issue a token, signed with the key that `evox run --dev` verifies with; TARGET is what it runs.

    That is the key of [tool.evox.auth] if it can sign; without one it is made for development, and production
    refuses it.
    """

    def issue() -> int:
        from evox.auth import Authority
        from evox.errors import EvoxError
        from evox.orchestrator import Console, RunOptions, configuration

        try:
            loaded = configuration(RunOptions(targets=(target,) if target else ()))
            authority = Authority(loaded.settings.auth, loaded.root, mode="development")
            token = authority.issue(subject, roles=roles, ttl=ttl)
        except EvoxError as error:
            Console(as_json=as_json, trace=trace).error(error)
            return error.exit_code if error.exit_code != 70 else 1
        shown = {"schema": 1, "token": token, "sub": subject, "roles": list(roles)}
        sys.stdout.write((json.dumps(shown) if as_json else token) + "\n")
        return 0

    return issue
