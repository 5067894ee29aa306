"""The examples' READMEs tell the truth: each curl line, in order, is answered with what stands below it."""

import argparse
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest

from evox import Service
from evox.orchestrator import validate
from evox.testing import Env, run_virtual, running

from .advanced_items_svc.service import svc as items
from .basic_user_svc.service import svc as users
from .health_demo_svc.service import svc as labels
from .secured_orders_svc.service import svc as orders
from .storage_demo_svc.service import svc as shop
from .two_services.orders import svc as ordering
from .two_services.users import svc as charged

HERE = Path(__file__).parent
SERVICES = [
    ("basic_user_svc", [users]),
    ("advanced_items_svc", [items]),
    ("storage_demo_svc", [shop]),
    ("secured_orders_svc", [orders]),
    ("health_demo_svc", [labels]),
    ("two_services", [ordering, charged]),
]
"""Folders, and what runs in them; the first one is asked."""

every_example = pytest.mark.parametrize(("folder", "services"), SERVICES, ids=[folder for folder, _ in SERVICES])

curl = argparse.ArgumentParser("curl")
curl.add_argument("url")
curl.add_argument("-s", action="store_true")
curl.add_argument("-i", action="store_true")
curl.add_argument("-X", dest="method")
curl.add_argument("-H", dest="headers", action="append", default=[])
curl.add_argument("--json")

evox_token = argparse.ArgumentParser("evox token")
evox_token.add_argument("target")
evox_token.add_argument("--sub")
evox_token.add_argument("--role", dest="roles", action="append", default=[])

KEPT = re.compile(r"(\w+)=\$\((.*)\)")
"""``NAME=$(command)``: what a command prints is kept, and put in the place of ``$NAME`` from then on."""


@dataclass(frozen=True)
class Step:
    """A command of a README and what stands below it, up to an empty line; with headers up to the next one."""

    command: str
    shown: list[str]


def steps(folder: str) -> Iterator[Step]:
    """Yield the commands that a README has its reader give: ``curl``, ``sleep``, and those whose output is kept."""
    lines = (HERE / folder / "README.md").read_text(encoding="utf-8").splitlines()
    for at, line in enumerate(lines):
        if line.startswith(("$ curl ", "$ sleep ")) or KEPT.fullmatch(line.removeprefix("$ ")):
            below = "\n".join(takewhile(lambda one: not one.startswith(("$", "```")), lines[at + 1 :]))
            yield Step(line.removeprefix("$ "), below.rstrip().split("\n"))


async def follow(services: list[Service], todo: Iterable[Step]) -> None:
    """Do what a README says, and compare each reply with what it shows."""
    done, kept = 0, dict[str, str]()
    async with running(*services) as env:
        client = env.client(services[0], headers={"accept": "*/*"})
        for step in todo:
            keeping = KEPT.fullmatch(step.command)
            command = Template(keeping[2] if keeping else step.command).safe_substitute(kept)
            program, *arguments = shlex.split(command)
            if program == "sleep":
                await anyio.sleep(float(arguments[0]))
            elif keeping:
                kept[keeping[1]] = await printed(env, client, program, arguments)
            else:
                given = curl.parse_args(arguments)
                reply = await sent(client, given)
                assert (step.command, replied(reply, head=given.i)) == (step.command, [*map(undated, step.shown)])
                done += 1
    assert done


async def sent(client: httpx2.AsyncClient, given: argparse.Namespace) -> httpx2.Response:
    """Send what a curl line says."""
    url = urlsplit(given.url)
    headers = {"content-type": "application/json"} if given.json else {}
    headers |= {name: value for name, _, value in (one.partition(": ") for one in given.headers)}
    return await client.request(
        given.method or ("POST" if given.json else "GET"),
        f"{url.path}?{url.query}",
        content=given.json,
        headers=headers,
    )


async def printed(env: Env, client: httpx2.AsyncClient, program: str, arguments: list[str]) -> str:
    """Return what a command prints: ``evox token``, or a reply of which ``cut -d '"' -f N`` takes a piece."""
    if program == "evox":
        token = evox_token.parse_args(arguments[1:])
        assert (HERE.parent / token.target).is_dir()
        return env.token(token.sub, roles=token.roles)
    asked, pipe = arguments[: arguments.index("|")], arguments[arguments.index("|") + 1 :]
    assert (program, pipe[:4]) == ("curl", ["cut", "-d", '"', "-f"])
    reply = await sent(client, curl.parse_args(asked))
    return reply.text.split('"')[int(pipe[4]) - 1]


def replied(reply: httpx2.Response, *, head: bool) -> list[str]:
    """Return a reply as curl prints it; the date is the server's, which is not here."""
    if not head:
        return [reply.text]
    headers = [f"{name}: {value}" for name, value in reply.headers.items()]
    return [f"HTTP/1.1 {reply.status_code} {reply.reason_phrase}", *headers, "date: ...", "", reply.text]


def undated(line: str) -> str:
    return "date: ..." if line.startswith("date: ") else line


def test_all_examples_run_side_by_side() -> None:
    validate([service for _, services in SERVICES for service in services])


@every_example
async def test_each_curl_line_of_a_readme_is_answered_as_it_says(folder: str, services: list[Service]) -> None:
    await follow(services, takewhile(lambda step: not step.command.startswith("sleep"), steps(folder)))


@every_example
def test_each_reply_is_as_it_says_after_a_while_too(folder: str, services: list[Service]) -> None:
    run_virtual(lambda: follow(services, steps(folder)))
