"""What the tests of the pages share: where the pages are, and the code blocks in them. It asserts nothing."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = [
    "PAGES",
    "ROOT",
    "Block",
    "Command",
    "Heading",
    "blocks",
    "commands",
    "headings",
    "markdown",
    "name_of",
    "prose",
]

ROOT: Final = Path(__file__).resolve().parents[2]
_SKIPPED: Final = frozenset({"node_modules", "build", "dist", "__pycache__"})
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")
_FILE = re.compile(r"(?:#|--) file: (\S+)")


@dataclass(frozen=True)
class Block:
    """One fenced code block.

    Attributes:
        page: The file it stands in.
        line: The line of its opening fence, from 1.
        info: What stands behind the fence, e.g. ``"python"``.
        text: Its lines, without common indentation.
    """

    page: Path
    line: int
    info: str
    text: str

    @property
    def language(self) -> str:
        """The first word of ``info``."""
        return self.info.split(" ")[0]

    @property
    def file(self) -> str | None:
        """The name in ``# file: name.py`` (or ``-- file: name.sql``) on the first line, or None."""
        found = _FILE.fullmatch(self.text.partition("\n")[0].strip())
        return found[1] if found else None

    @property
    def where(self) -> str:
        """Page and line, for messages."""
        return f"{name_of(self.page)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a console block and the output shown below it."""

    block: Block
    text: str
    output: str


@dataclass(frozen=True)
class Heading:
    """One heading, and its anchor as code hosts write it."""

    text: str
    anchor: str


def markdown() -> list[Path]:
    """Return every Markdown file of the repository; hidden folders and builds are left out."""
    found = []
    for path in sorted(ROOT.rglob("*.md")):
        parts = path.relative_to(ROOT).parts
        if not any(part.startswith(".") or part in _SKIPPED for part in parts):
            found.append(path)
    return found


def name_of(page: Path) -> str:
    """Return a page's path below the repository."""
    return page.relative_to(ROOT).as_posix()


PAGES: Final[Sequence[Path]] = [p for p in markdown() if p == ROOT / "README.md" or p.is_relative_to(ROOT / "docs")]


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the code blocks of a page in order, of these languages when any are named."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        number += 1
        if opening is None:
            continue
        start = number
        while number < len(lines) and lines[number].strip() != opening["fence"]:
            number += 1
        text = textwrap.dedent("\n".join(lines[start:number])) + "\n"
        found.append(Block(page, start, opening["info"].strip(), text))
        number += 1
    return [block for block in found if not languages or block.language in languages]


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a block: in ``console`` blocks the lines that start with ``$``, else every line."""
    prompt = "$ " if block.language == "console" and "$ " in block.text else ""
    text, output = "", ""
    for line in block.text.replace("\\\n", " ").splitlines():
        if prompt and not line.startswith(prompt):
            output += line + "\n"
            continue
        if text:
            yield Command(block, text, output)
        text, output = line.removeprefix(prompt).partition("  # ")[0].strip(), ""
    if text:
        yield Command(block, text, output)


def prose(page: Path) -> str:
    """Return a page with the contents of its code blocks blanked, so that lines keep their numbers."""
    inside: str | None = None
    kept: list[str] = []
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = _FENCE.match(line)
        if inside is None and fence is not None:
            inside = fence["fence"]
        elif inside is not None and line.strip() == inside:
            inside = None
        elif inside is None:
            kept.append(line)
            continue
        kept.append("")
    return "\n".join(kept)


def headings(page: Path) -> list[Heading]:
    """Return the headings of a page, in order; the second of one text gets ``-1`` behind its anchor."""
    found: list[Heading] = []
    seen: dict[str, int] = {}
    for text in re.findall(r"^#{1,6} +(.+?) *#*$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("`", "")
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = seen[anchor] = seen.get(anchor, -1) + 1
        found.append(Heading(plain, f"{anchor}-{count}" if count else anchor))
    return found
