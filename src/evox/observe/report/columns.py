"""Columns: text set for a terminal: tables whose widest columns give way, and long texts that are broken.

What is written is harmless: no text of others moves the cursor, and colour is only what is asked for here.
"""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

from evox.observe.report.wording import plain

__all__ = ["Pen"]

COLOURS: Final = {"pass": "32", "warn": "33", "fail": "31", "unknown": "2", "strong": "1", "quiet": "2"}
LEAST: Final = 5  # characters that a column keeps
LINES: Final = 4  # of one text


class Pen:
    """Writes lines of a width.

    Args:
        width: In characters.
        colour: Whether to write colours.
    """

    def __init__(self, width: int, *, colour: bool) -> None:
        self._width = width
        self._colour = colour
        self._lines: list[str] = []

    def __repr__(self) -> str:
        return f"<Pen {self._width} wide, {len(self._lines)} lines>"

    @property
    def text(self) -> str:
        """What was written."""
        return "\n".join(self._lines) + "\n"

    def line(self, text: str = "", colour: str = "") -> None:
        """Write one text, broken where it is too long."""
        for one in textwrap.wrap(plain(text), self._width) or [""]:
            self._lines.append(self._painted(one, colour))

    def heading(self, text: str) -> None:
        """Write a heading, with a line before it."""
        self._lines += ["", self._painted(text, "strong")]

    def item(self, status: str, colour: str, text: str, facts: Iterable[tuple[str, str]]) -> None:
        """Write one thing with its status, and facts below it; empty ones are left out."""
        label = f"  {status:<7}  "
        first, *others = self._wrapped(text, len(label)) or [""]
        self._lines.append(f"  {self._painted(f'{status:<7}', colour)}  {first}")
        self._lines += [" " * len(label) + other for other in others]
        for name, said in facts:
            begin = f"{'':<{len(label)}}{name:<6} "
            for number, part in enumerate(self._wrapped(said, len(begin))):
                self._lines.append((begin if not number else " " * len(begin)) + part)

    def row(self, text: str, colour: str = "") -> None:
        """Write one text on one line, cut where the line ends."""
        self._lines.append(self._painted(self._cell(plain(text), self._width, right=False).rstrip(), colour))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], colours: Sequence[str] = ()) -> None:
        """Write a table.

        Args:
            head: Names of the columns; that of a column of numbers begins with ``#``.
            rows: Their texts.
            colours: Of the first column, row by row.
        """
        lines = [[one.removeprefix("#") for one in head], *([plain(one) for one in row] for row in rows)]
        widths = self._widths([max(map(len, column)) for column in zip(*lines, strict=True)])
        for number, line in enumerate(lines):
            cells = [
                self._cell(text, width, right=name.startswith("#"))
                for text, width, name in zip(line, widths, head, strict=True)
            ]
            if number and colours:
                cells[0] = self._painted(cells[0], colours[number - 1])
            row = ("  " + "  ".join(cells)).rstrip()
            self._lines.append(row if number else self._painted(row, "quiet"))

    def _widths(self, widths: list[int]) -> list[int]:
        """Return widths that fit, the widest narrowed first."""
        room = self._width - 2 * len(widths)
        while sum(widths) > room and max(widths) > LEAST:
            widths[widths.index(max(widths))] -= 1
        return widths

    @staticmethod
    def _cell(text: str, width: int, *, right: bool) -> str:
        text = text if len(text) <= width else f"{text[: width - 1]}…"
        return text.rjust(width) if right else text.ljust(width)

    def _wrapped(self, text: str, indent: int) -> list[str]:
        lines = textwrap.wrap(plain(text), max(20, self._width - indent))
        if len(lines) > LINES:
            lines = [*lines[: LINES - 1], f"{lines[LINES - 1][: max(20, self._width - indent) - 1]}…"]
        return lines

    def _painted(self, text: str, colour: str) -> str:
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self._colour and colour and text else text
