"""Every code block of README.md and docs/ does what the page says, so no page can grow old without a test failing.

Python blocks run in order in one namespace; a block that begins with ``# file: name`` is written to a folder, where
later blocks find it. Tests that a page shows are run on both loops. Commands on a short list are run and their output
compared; of all others it is checked that the subcommand, the options or the target exist.
"""

import importlib
import inspect
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import asyncclick as click
import httpx2
import pytest
from tests.docs.pages import PAGES, ROOT, Block, Command, blocks, commands, name_of
from tests.support import evox_process

from evox import Service
from evox.cli.entry import group
from evox.config import load
from evox.testing import running

SHELLS: Final = ("console", "bash", "sh", "shell")
NOT_RUN_ALLOWED: Final = 0
LIMIT: Final = 15
# Programs that are not ours: a page may name them, and nothing about them is checked here.
FOREIGN: Final = frozenset(
    {"echo", "mv", "sleep", "cd", "docker", "eval", "export", "git", "kill", "mkdir", "pip", "rye", "source", "uv"}
)
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=name_of)


class Workshop:
    """A folder in which the blocks of one page are tried, and a module for those that are not files."""

    def __init__(self, folder: Path, page: Path) -> None:
        self.folder = folder
        self.module = ModuleType("page_" + re.sub(r"\W", "_", name_of(page)))

    def write(self, block: Block) -> None:
        assert block.file is not None
        path = self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        importlib.invalidate_caches()

    def execute(self, block: Block) -> None:
        # Blank lines put the block where it stands in its page, so that a traceback names the page's line.
        code = compile("\n" * block.line + block.text, str(block.page), "exec", dont_inherit=True)
        exec(code, vars(self.module))

    def imported(self) -> list[ModuleType]:
        """Import every Python file that was written."""
        return [importlib.import_module(path.stem) for path in sorted(self.folder.glob("*.py"))]


@pytest.fixture
def workshop(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    made = Workshop(tmp_path, page)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, made.module.__name__, made.module)
    for name in [name for name in os.environ if name.startswith("EVOX_")]:
        monkeypatch.delenv(name)
    yield made
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


def test_there_are_pages_to_check() -> None:
    assert {"README.md", "docs/quickstart.md"} <= {name_of(page) for page in PAGES}


def test_no_python_block_is_left_out() -> None:
    left_out = [block.where for page in PAGES for block in blocks(page, "python") if "no-run" in block.info]
    assert len(left_out) <= NOT_RUN_ALLOWED, left_out


@EACH_PAGE
def test_every_python_block_of_a_page_runs_and_its_tests_pass_on_one_loop_after_the_other(
    page: Path, workshop: Workshop
) -> None:
    for block in blocks(page):
        if block.file is not None:
            workshop.write(block)
        elif block.language == "python" and "no-run" not in block.info:
            workshop.execute(block)
    for module in [workshop.module, *workshop.imported()]:
        for service in services_of(module):
            assert service.endpoints or service.app.routes
        for test in shown_tests(module):
            for backend in ("asyncio", "trio"):  # in one process, as anyio's plugin does it for whoever copies the test
                anyio.run(test, backend=backend)


@EACH_PAGE
def test_every_command_of_a_page_is_true(page: Path, workshop: Workshop) -> None:
    for block in blocks(page):
        if block.file is not None:
            workshop.write(block)
        elif block.language in SHELLS:
            asked = [command for command in commands(block) if command.text.startswith("curl ")]
            if asked:
                anyio.run(ask, asked, [one for module in workshop.imported() for one in services_of(module)])
            for command in commands(block):
                check(command, workshop.folder)


@EACH_PAGE
def test_a_banner_that_a_page_shows_is_the_one_that_is_printed(page: Path, workshop: Workshop) -> None:
    for block in blocks(page):
        if block.file is not None:
            workshop.write(block)
        elif block.language == "console":
            for command in commands(block):
                words = shlex.split(command.text)
                if words[:2] == ["evox", "run"] and command.output and (workshop.folder / words[2]).is_file():
                    with evox_process(workshop.folder, {}, *words[2:], "--port", "0") as process:
                        process.wait_line("Ctrl-C")
                        assert spaced(command.output.strip()) in spaced(process.out), block.where
                        assert process.end() == 0


@EACH_PAGE
def test_every_configuration_that_a_page_shows_is_accepted(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "toml")):
        if "evox" in tomllib.loads(block.text).get("tool", {}) or block.file == "evox.toml":
            root = tmp_path / str(number)
            root.mkdir()
            (root / (block.file or "pyproject.toml")).write_text(block.text, encoding="utf-8")
            assert load(root, environ={}).sources, block.where


def services_of(module: ModuleType) -> list[Service]:
    """Return the services made in a module."""
    return [one for one in vars(module).values() if isinstance(one, Service) and one.belongs_to(vars(module))]


def shown_tests(module: ModuleType) -> Iterator[Callable[[], Any]]:
    """Yield the async tests of a module, with our one fixture filled in."""
    for name, value in vars(module).items():
        if name.startswith("test_") and inspect.iscoroutinefunction(value):
            given = {"evox_running": running} if "evox_running" in inspect.signature(value).parameters else {}
            yield partial(value, **given)


def spaced(text: str) -> str:
    """Return a banner without what differs from run to run: the port, and the columns it pushes aside."""
    return re.sub(r" {2,}", "  ", re.sub(r"(127\.0\.0\.1):\d+", r"\1:PORT", text))


def pieces(text: str) -> Iterator[list[str]]:
    """Yield the words of each program that a line starts, but not of those that take the output of another."""
    for inner in re.findall(r"\$\(([^()]+)\)", text):
        yield from pieces(inner)
    words: list[str] = []
    for word in [*shlex.split(text.removesuffix("&"), comments=True), "&&"]:
        if word == "&&":
            yield words[: next((at for at, one in enumerate(words) if one in ("|", ">")), None)]
            words = []
        else:
            words.append(word)


def check(command: Command, folder: Path) -> None:
    """Check each program that a line starts."""
    for words in pieces(command.text):
        check_words(command, words, folder)


def check_words(command: Command, words: list[str], folder: Path) -> None:
    """Run a command that is on the short list; check that any other names what exists."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    if words[:2] == ["uv", "run"]:
        words = words[2:]
    program, rest = words[0], words[1:]
    own = [sys.executable, "-m", "evox"]
    if program == "evox" and (rest in (["--help"], ["--version"], ["run", "--help"]) or rest[:2] == ["sync", "db"]):
        compare(command, [*own, *rest], folder)
    elif program == "evox":
        anyio.run(parse, command, rest)
    elif program in ("python", "python3") and rest and (folder / rest[0]).is_file():
        compare(command, [sys.executable, *rest], folder)
    elif program in ("python", "python3"):
        assert rest[:1] == ["-m"] or (ROOT / rest[0]).is_file(), f"{command.block.where}: there is no {rest[0]}"
    elif program == "pytest":
        compare(command, [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *rest], folder)
    elif program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert {word for word in rest if "=" not in word} <= set(targets), command.block.where
    else:
        assert program in FOREIGN | {"curl"}, f"{command.block.where}: {program} is not known to this test"


async def parse(command: Command, words: list[str]) -> None:
    """Parse a command line of ``evox`` as the command does, without running it."""
    context = click.Context(group, info_name="evox")
    try:
        name, found, rest = await group.resolve_command(context, words)
        assert found is not None
        await found.make_context(name, rest, parent=context)
    except click.ClickException as error:
        pytest.fail(f"{command.block.where}: {command.text}: {error.format_message()}")


def compare(command: Command, line: list[str], folder: Path) -> None:
    """Run a command; it must succeed, and print what the page shows where the page shows anything."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EVOX_", "PYTEST_"))}
    environment["COLUMNS"] = "80"
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, f"{command.block.where}: {command.text}\n{done.stdout}{done.stderr}"
    if command.output.strip():
        assert timeless(done.stdout) == timeless(command.output), command.block.where


def timeless(text: str) -> str:
    """Return text without how long something took."""
    return re.sub(r"\d+\.\d+ ?s\b", "N s", text.strip())


async def ask(asked: list[Command], services: list[Service]) -> None:
    """Send the requests of a block's curl commands to the page's own services, and compare the answers."""
    by_port = {service.settings.port: service for service in services}
    wanted = {address(command) for command in asked} & set(by_port)
    async with running(*(by_port[port] for port in wanted)) as env:
        for command in asked:
            if address(command) in wanted:
                response = await send(env.client(by_port[address(command)]), shlex.split(command.text)[1:])
                assert response.text.strip() == command.output.strip(), command.block.where


def address(command: Command) -> int | None:
    """Return the port that a curl command talks to."""
    url = next(
        word for word in shlex.split(command.text)[1:] if re.match(r"(http://)?(localhost|127\.0\.0\.1)\b", word)
    )
    return urlsplit(url if "://" in url else f"http://{url}").port


async def send(client: httpx2.AsyncClient, words: list[str]) -> httpx2.Response:
    """Do what ``curl`` does with these arguments; an option that is not known here is an error."""
    method, body, path = None, None, "/"
    rest = iter(words)
    for word in rest:
        if word in ("-X", "--request"):
            method = next(rest)
        elif word == "--json":
            body = next(rest)
        elif not word.startswith("-"):
            split = urlsplit(word if "://" in word else f"http://{word}")
            path = (split.path or "/") + (f"?{split.query}" if split.query else "")
        else:
            assert word in ("-s", "--silent"), f"curl {word} is not known to this test"
    headers = {"content-type": "application/json", "accept": "application/json"} if body is not None else {}
    return await client.request(method or ("POST" if body is not None else "GET"), path, content=body, headers=headers)
