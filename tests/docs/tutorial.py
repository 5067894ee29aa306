"""A reader of the tutorial, who makes the project, writes the files and gives the commands that the pages show.

A block is a whole file, ``# file: name``, or a ``diff`` under the name of its file: lines that stay, go and come, with
``@@`` between two places. The reader has two ports of his own in the place of 8001 and 8002.
"""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, chdir
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, Self

from tests.docs.pages import ROOT, Block, Command, blocks, commands
from tests.support import FEW_PLUGINS, EvoxProcess, environment, evox_process, free_port

from evox.cli.scaffold import make_project, make_service

__all__ = ["PAGES", "Reader", "build", "sources"]

PAGES: Final = sorted((ROOT / "docs" / "tutorial").glob("[0-9][0-9]-*.md"))
PORTS: Final = ("8001", "8002")
LIMIT: Final = 60
PATIENCE: Final = 10
LOOKS: Final = re.compile(r"curl (?!.*--json)(?!-X)")
# Commands that look at what runs, so that it has to run as it is written by then.
SEEING: Final = ("curl ", "evox status", "evox health", "evox tasks")
REPLACED: Final = "stopped"  # what the old process says, when the new one has taken its place
HEAD: Final = re.compile(r"--- (\S+)\n")
ID: Final = re.compile(r"\b[0-9a-f]{32}\b")
# What differs from run to run, and what stands for it when two outputs are compared.
VARYING: Final = (
    (re.compile(r"^date: .*$", re.MULTILINE), "date"),
    (re.compile(r"(^age: |\bttl=-)\d+", re.MULTILINE), r"\1"),
    (re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d UTC)?"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? ?(us|ms|s|min|h)\b"), "TIME"),
    (re.compile(r"\b[0-9a-f]{16}\b|(?<=\"trace_id\": \")[0-9a-f]{32}"), "TRACE"),
    (re.compile(r"(?<=\bpids )\d+, \d+|(?<=^pid )\d+|\b\d+ +(?=trio|asyncio)", re.MULTILINE), "PID "),
    (re.compile(r" +"), " "),
    (re.compile(r" $", re.MULTILINE), ""),
)


def sources(page: Path) -> list[Block]:
    """Return the blocks of a page that write or change a file, in order."""
    return [block for block in blocks(page) if block.file is not None or block.language == "diff"]


def apply(block: Block, project: Path, own: Callable[[str], str] = str) -> None:
    """Write or change the file of a block, as its reader does, with his own ports in it."""
    if block.language != "diff":
        assert block.file is not None
        path = project / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(own(block.text), encoding="utf-8")
        return
    head = HEAD.match(block.text)
    assert head is not None, f"{block.where}: a diff begins with --- and the name of its file"
    path = project / head[1]
    text = "\n" + path.read_text(encoding="utf-8")
    for place in own(block.text[head.end() :]).split("@@\n"):
        lines = place.splitlines()
        before = "".join(f"\n{line[1:]}" for line in lines if not line.startswith("+")) + "\n"
        after = "".join(f"\n{line[1:]}" for line in lines if not line.startswith("-")) + "\n"
        assert text.count(before) == 1, f"{block.where}: {head[1]} has not exactly once:{before}"
        text = text.replace(before, after)
    path.write_text(text[1:], encoding="utf-8")


def build(page: Path, folder: Path) -> None:
    """Bring a folder from the state before a page to the one after it, within this process, and run no service."""
    project = folder / "shop"
    for block in blocks(page):
        if block in sources(page):
            apply(block, project)
        elif block.language == "console":
            for command in commands(block):
                words = command.text.split()
                with chdir(project if project.exists() else folder):
                    if words[:3] == ["evox", "new", "pj"]:
                        make_project(words[3], git=False)
                    elif words[:3] == ["evox", "new", "sv"]:
                        make_service(words[3])
                    elif words[0] == "echo":
                        shell(command.text, Path.cwd(), environment())


def shell(text: str, folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command line as a shell does that knows our ``evox``."""
    evox = f'evox() {{ "{sys.executable}" -m evox "$@"; }}\n'
    line = ["bash", "-c", evox + text]
    return subprocess.run(
        line, cwd=folder, env={**env, "COLUMNS": "120"}, capture_output=True, text=True, timeout=LIMIT, check=False
    )


class Reader:
    """Follows one page in a folder that is as the page before has left it.

    Args:
        folder: Where ``shop`` is.
    """

    def __init__(self, folder: Path) -> None:
        self.project = folder / "shop"
        self._first = free_port(len(PORTS))
        self._runtime = mkdtemp(prefix="evox-", dir="/tmp")
        self._env = environment(FEW_PLUGINS | {"XDG_RUNTIME_DIR": self._runtime})
        self._ids: dict[str, str] = {}
        self._process: EvoxProcess | None = None
        self._arguments: tuple[str, ...] = ("--dev",)
        self._is_old = False
        self._is_watched = False
        self._running = ExitStack()
        self._background: list[subprocess.Popen[str]] = []
        self._change_ports()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._background:
            one.kill()
            one.communicate()
        self._running.close()
        shutil.rmtree(self._runtime, ignore_errors=True)

    def own(self, text: str) -> str:
        """Return a text of a page as it is for this reader: with his ports, and the ids that he was given."""
        for number, port in enumerate(PORTS):
            text = text.replace(port, str(self._first + number))
        return ID.sub(lambda found: self._ids.get(found[0], found[0]), text)

    def follow(self, page: Path) -> Iterator[tuple[str, str, str]]:
        """Do what a page says; yield each command that shows an output, what is shown, and what came."""
        for block in blocks(page):
            if block in sources(page):
                apply(block, self.project, self.own)
                if self._is_watched and self._process is not None:
                    self._process.wait_line(REPLACED)
                else:
                    self._is_old = True
            elif block.language == "console":
                for command in commands(block):
                    yield from self._give(command)

    def _give(self, command: Command) -> Iterator[tuple[str, str, str]]:
        words = command.text.split()
        if words[0] in ("cd", "docker"):
            return
        if words[:2] == ["evox", "run"]:
            self._run(*words[2:])
            self._is_watched = "--dev" in words
            assert self._process is not None
            came = self._process.out
        elif words[0] == "export":
            name, _, value = command.text.removeprefix("export ").partition("=")
            self._env[name] = shell(f'printf %s "{self.own(value)}"', self.project, self._env).stdout
            assert self._env[name], f"{command.block.where}: {command.text} gave nothing"
            return
        else:
            came = self._ask(command)
        if command.output.strip():
            compared = self._compared(command, came)
            end = time.monotonic() + PATIENCE
            while len(set(compared)) > 1 and LOOKS.match(command.text) and time.monotonic() < end:
                compared = self._compared(command, self._ask(command))  # what it waits for takes longer here
            yield (f"{command.block.where}: {command.text}", *compared)

    def _compared(self, command: Command, came: str) -> tuple[str, str]:
        """Return what is shown and what came, as they are to be compared; note the ids that came."""
        for given, mine in zip(ID.findall(self.own(command.output)), ID.findall(came), strict=False):
            self._ids.setdefault(given, mine)
        shown, came = plain(self.own(command.output)), plain(came)
        if shown.endswith("\n..."):  # the rest is left out
            shown = shown.removesuffix("\n...")
            came = came[: len(shown)].strip()
        return shown, came

    def _ask(self, command: Command) -> str:
        """Run a command, and if it looks at the services, have them run as they are written by now."""
        if command.text.startswith(SEEING) and (self._is_old or self._process is None):
            self._run(*self._arguments)
        text = self.own(command.text)
        if text.endswith("&"):
            line = ["bash", "-c", text.removesuffix("&")]
            one = subprocess.Popen(line, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self._background.append(one)
            return ""
        done = shell(text, self.project if self.project.exists() else self.project.parent, self._env)
        assert done.returncode == 0 or command.output, f"{command.block.where}: {done.stdout}{done.stderr}"
        if text.startswith("evox new "):
            self._change_ports()
        return done.stdout or done.stderr

    def _change_ports(self) -> None:
        for path in [*self.project.rglob("*.py"), *self.project.glob("compose.yaml")]:
            path.write_text(self.own(path.read_text(encoding="utf-8")), encoding="utf-8")

    def _run(self, *arguments: str) -> None:
        """Start the services, or start them anew."""
        self.stop()
        self._arguments, self._is_old = arguments, False
        self._process = self._running.enter_context(evox_process(self.project, {}, *arguments, env=self._env))
        self._process.wait_line("Ctrl-C")

    def stop(self) -> str:
        """End the services as Ctrl-C does; return what was written."""
        if self._process is None:
            return ""
        self._process.kill(signal.SIGINT)
        assert self._process.wait() == 0, self._process.err
        out, self._process = self._process.out, None
        self._running.close()
        return out


def plain(text: str) -> str:
    """Return an output without what differs from run to run."""
    text = text.replace("\r", "").strip()
    for pattern, stand_in in VARYING:
        text = pattern.sub(stand_in, text)
    return text
