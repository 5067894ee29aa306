"""``evox bench auth``: what it costs to know who calls, beside PyJWT, in one run."""

import importlib.metadata
import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anyio
import asyncclick as click

from evox.cli.measuring import as_json, scale

if TYPE_CHECKING:
    from evox.bench.guarding import Answer, Verified

__all__ = ["command"]


@click.command(name="auth")
@scale
@as_json
def command(scale: float, as_json: bool) -> Any:
    """Auth: what a token costs beside PyJWT, and what a request costs that a guard looks at.

    Requests go straight to the door of a service, without sockets: one that is let in for its role and those that are
    refused, beside the same request to a service in which nothing asks. On trio and on asyncio.
    """
    return lambda: _measured(scale, as_json)


def _measured(scale: float, as_json: bool) -> int:
    from evox.bench.guarding import CALLS, PLAIN, ROUNDS, TARGET, requests, verifying

    logging.getLogger("evox").setLevel(logging.ERROR)
    calls, rounds = max(2, int(CALLS * min(scale, 1))), max(3, int(ROUNDS * scale))
    tokens = anyio.run(lambda: verifying(calls=calls, rounds=rounds))
    answers = {one: anyio.run(lambda: requests(calls=calls, rounds=rounds), backend=one) for one in ("trio", "asyncio")}
    versions = {name: importlib.metadata.version(name) for name in ("evox-framework", "pyjwt", "cryptography")}
    if as_json:
        document = {"schema": 1, "scale": scale, "versions": versions, "target": TARGET}
        document |= {"verify": [asdict(one) for one in tokens]}
        document |= {"requests": {backend: [asdict(one) for one in found] for backend, found in answers.items()}}
        click.echo(json.dumps(document))
        return 0
    click.echo(", ".join(f"{name} {version}" for name, version in versions.items()))
    _show("to verify one token, in us; the ratio is to PyJWT's jwt.decode", _tokens(tokens))
    for backend, found in answers.items():
        title = f"one request on {backend}, in us; a role may add {TARGET:g} at most; decodes are PyJWT's of HS256"
        _show(title, _answers(PLAIN, found, TARGET))
    return 0


def _tokens(found: "list[Verified]") -> list[list[str]]:
    rows = [[one.algorithm, f"{one.evox:.1f}", f"{one.pyjwt:.1f}", f"{one.ratio:.2f}"] for one in found]
    return [["", "evox", "PyJWT", "ratio"], *rows]


def _answers(plain: str, found: "list[Answer]", target: float) -> list[list[str]]:
    rows = [["", "status", "us", "more", "decodes", f"<= {target:g}"]]
    for one in found:
        beyond = ["-", "-", "-"]
        if one.name != plain:
            met = "-" if one.status >= 400 else "yes" if one.more <= target else "no"
            beyond = [f"{one.more:+.1f}", f"{one.decodes:+.2f}", met]
        rows.append([one.name, str(one.status), f"{one.microseconds:.1f}", *beyond])
    return rows


def _show(title: str, rows: list[list[str]]) -> None:
    from evox.bench.report import table

    click.echo(f"\n{title}\n\n{table(rows)}")
