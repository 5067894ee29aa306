"""Page: writes what was measured into a Markdown page, between two marks, and the images that it shows.

What stands outside the marks is written by hand and stays. A page that is not there, or has no marks, is begun.
"""

from pathlib import Path
from typing import Final

from evox.bench.http.bars import bars_of, svg
from evox.bench.http.result import Block, Result, blocks, conditions
from evox.errors import CannotWrite

__all__ = ["BEGIN", "END", "markdown", "spliced", "write"]

BEGIN: Final = "<!-- measured: begin; `evox bench http --page` writes what stands here -->"
END: Final = "<!-- measured: end -->"
IMAGES: Final = "images"
_NEW: Final = f"# Benchmarks\n\n{BEGIN}\n{END}\n"


def write(result: Result, page: Path) -> list[Path]:
    """Write the page, and its images into ``images`` beside it; return what was written.

    Raises:
        CannotWrite: if one cannot be.
    """
    files = {page.parent / IMAGES / _image(block): _drawn(block) for block in blocks(result) if block.table}
    try:
        before = page.read_text(encoding="utf-8") if page.exists() else _NEW
        (page.parent / IMAGES).mkdir(parents=True, exist_ok=True)
        files[page] = spliced(before, markdown(result))
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(str(page), error.strerror or str(error)) from error
    return list(files)


def spliced(page: str, measured: str) -> str:
    """Return a page with something new between its marks; they are put at its end where it has none."""
    before, found, rest = page.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        before, after = f"{page.rstrip()}\n\n", "\n"
    return f"{before}{BEGIN}\n\n{measured.strip()}\n\n{END}{after}"


def markdown(result: Result) -> str:
    """Return all tables, each below its title and its image."""
    lines = [
        "## Where this was measured",
        "",
        *(f"- {line}" for line in conditions(result)),
        "",
        "## What was measured",
    ]
    for block in blocks(result):
        title = block.title if block.title.startswith("p50") else f"{block.title[0].upper()}{block.title[1:]}"
        lines += ["", f"### {title}", ""]
        lines += [" ".join(block.notes), ""] if block.notes else []
        if block.table is not None:
            lines += [f"![{title}: bars of the table below]({IMAGES}/{_image(block)})", ""]
        lines += [
            _row(block.head),
            "|" + "|".join(["---", *["---:"] * (len(block.head) - 1)]) + "|",
        ]
        lines += [_row(row) for row in block.rows]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _image(block: Block) -> str:
    return f"bench-{block.name}.svg"


def _drawn(block: Block) -> str:
    return svg(*bars_of(block.table)) if block.table is not None else ""
