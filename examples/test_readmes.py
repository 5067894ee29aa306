"""The examples' READMEs tell the truth: each curl line, in order, is answered with what stands below it."""

import argparse
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from evox import Service
from evox.testing import running

from .advanced_items_svc.service import svc as items
from .basic_user_svc.service import svc as users
from .storage_demo_svc.service import svc as shop

HERE = Path(__file__).parent

curl = argparse.ArgumentParser("curl")
curl.add_argument("url")
curl.add_argument("-s", action="store_true")
curl.add_argument("-X", dest="method")
curl.add_argument("--json")


def curl_lines(readme: Path) -> list[tuple[str, str]]:
    """Return each curl command with the reply on the line below it."""
    lines = readme.read_text(encoding="utf-8").splitlines()
    commands = [
        (line.removeprefix("$ curl "), lines[at + 1]) for at, line in enumerate(lines) if line.startswith("$ curl ")
    ]
    assert commands
    return commands


@pytest.mark.parametrize(
    ("folder", "service"), [("basic_user_svc", users), ("advanced_items_svc", items), ("storage_demo_svc", shop)]
)
async def test_each_curl_line_of_a_readme_is_answered_as_it_says(folder: str, service: Service) -> None:
    async with running(service) as env:
        client = env.client(service, headers={"accept": "*/*"})
        for command, expected in curl_lines(HERE / folder / "README.md"):
            given = curl.parse_args(shlex.split(command))
            url = urlsplit(given.url)
            reply = await client.request(
                given.method or ("POST" if given.json else "GET"),
                f"{url.path}?{url.query}",
                content=given.json,
                headers={"content-type": "application/json"} if given.json else None,
            )
            assert (command, reply.text) == (command, expected)
