"""The examples' READMEs tell the truth: each curl line, in order, is answered with what stands below it."""

import argparse
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest

from evox import Service
from evox.testing import run_virtual, running

from .advanced_items_svc.service import svc as items
from .basic_user_svc.service import svc as users
from .storage_demo_svc.service import svc as shop

HERE = Path(__file__).parent
SERVICES = [("basic_user_svc", users), ("advanced_items_svc", items), ("storage_demo_svc", shop)]

curl = argparse.ArgumentParser("curl")
curl.add_argument("url")
curl.add_argument("-s", action="store_true")
curl.add_argument("-i", action="store_true")
curl.add_argument("-X", dest="method")
curl.add_argument("--json")


@dataclass(frozen=True)
class Step:
    """A command of a README and what stands below it, up to an empty line; with headers up to the next one."""

    command: str
    shown: list[str]


def steps(folder: str) -> Iterator[Step]:
    """Yield the commands that a README has its reader give: ``curl``, and ``sleep`` between them."""
    lines = (HERE / folder / "README.md").read_text(encoding="utf-8").splitlines()
    for at, line in enumerate(lines):
        if line.startswith(("$ curl ", "$ sleep ")):
            below = "\n".join(takewhile(lambda one: not one.startswith(("$", "```")), lines[at + 1 :]))
            yield Step(line.removeprefix("$ "), below.rstrip().split("\n"))


async def follow(service: Service, todo: Iterable[Step]) -> None:
    """Do what a README says, and compare each reply with what it shows."""
    done = 0
    async with running(service) as env:
        client = env.client(service, headers={"accept": "*/*"})
        for step in todo:
            program, *arguments = shlex.split(step.command)
            if program == "sleep":
                await anyio.sleep(float(arguments[0]))
                continue
            given = curl.parse_args(arguments)
            url = urlsplit(given.url)
            reply = await client.request(
                given.method or ("POST" if given.json else "GET"),
                f"{url.path}?{url.query}",
                content=given.json,
                headers={"content-type": "application/json"} if given.json else None,
            )
            assert (step.command, replied(reply, head=given.i)) == (step.command, [*map(undated, step.shown)])
            done += 1
    assert done


def replied(reply: httpx2.Response, *, head: bool) -> list[str]:
    """Return a reply as curl prints it; the date is the server's, which is not here."""
    if not head:
        return [reply.text]
    headers = [f"{name}: {value}" for name, value in reply.headers.items()]
    return [f"HTTP/1.1 {reply.status_code}", *headers, "date: ...", "", reply.text]


def undated(line: str) -> str:
    return "date: ..." if line.startswith("date: ") else line


@pytest.mark.parametrize(("folder", "service"), SERVICES)
async def test_each_curl_line_of_a_readme_is_answered_as_it_says(folder: str, service: Service) -> None:
    await follow(service, takewhile(lambda step: not step.command.startswith("sleep"), steps(folder)))


@pytest.mark.parametrize(("folder", "service"), SERVICES)
def test_each_reply_is_as_it_says_after_a_while_too(folder: str, service: Service) -> None:
    run_virtual(lambda: follow(service, steps(folder)))
