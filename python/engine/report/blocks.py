"""What reports for people are made of: headings, sentences, lists, figures and tables. Each kind can write itself as Markdown, for
files, and as lines for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from engine.report.words import folded, shortened, text_width, visible

__all__ = ["Block", "Figures", "Heading", "Items", "Page", "Picture", "Sentence", "Table", "as_markdown", "as_terminal"]

_LEAST = 6  # columns of a terminal for a cell whose text is cut


class Page(NamedTuple):
    """How a terminal shows a report.

    width: the most columns of a table. prose: the most columns of a sentence; None: sentences are not broken into lines. bold: gives a
    text the look of a heading.
    """

    width: int = 80
    prose: int | None = None
    bold: Callable[[str], str] = str


class Block(Protocol):
    """A part of a report. An empty line comes between two of them."""

    def markdown(self) -> list[str]:
        """Its lines in Markdown."""

    def terminal(self, page: Page) -> list[str]:
        """Its lines on a terminal."""


@dataclass(frozen=True)
class Heading:
    """A heading. level: 1 for the title of the report."""

    text: str
    level: int = 2

    def markdown(self) -> list[str]:
        return [f"{'#' * self.level} {self.text}"]

    def terminal(self, page: Page) -> list[str]:
        return [page.bold(visible(self.text))]


@dataclass(frozen=True)
class Sentence:
    """A sentence, or several."""

    text: str

    def markdown(self) -> list[str]:
        return [visible(self.text)]

    def terminal(self, page: Page) -> list[str]:
        return folded(visible(self.text), page.prose)


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    texts: Sequence[str]

    def markdown(self) -> list[str]:
        return [f"- {visible(text)}" for text in self.texts]

    def terminal(self, page: Page) -> list[str]:
        return [line for text in self.texts for line in folded(f"- {visible(text)}", page.prose)]


@dataclass(frozen=True)
class Picture:
    """A picture in a file beside the report. A terminal does not show it."""

    name: str
    file: str

    def markdown(self) -> list[str]:
        return [f"![{self.name}]({self.file})"]

    def terminal(self, page: Page) -> list[str]:
        return []


@dataclass(frozen=True)
class Figures:
    """Figures with their names: a row of a table in Markdown, a line each on a terminal."""

    cells: Sequence[tuple[str, str]]

    def markdown(self) -> list[str]:
        names, values = zip(*self.cells) if self.cells else ((), ())
        return _markdown_table(names, [values], [True] * len(names))

    def terminal(self, page: Page) -> list[str]:
        return _terminal_table(self.cells, [False, True], page.width) if self.cells else []


@dataclass(frozen=True)
class Table:
    """A table. A column is on the right if all its cells begin with a digit."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def right(self) -> list[bool]:
        return [bool(self.rows) and all(row[i][:1].isdigit() for row in self.rows) for i in range(len(self.header))]

    def markdown(self) -> list[str]:
        return _markdown_table(self.header, self.rows, self.right)

    def terminal(self, page: Page) -> list[str]:
        first, *lines = _terminal_table([self.header, *self.rows], self.right, page.width)
        return [page.bold(first), *lines]


def as_markdown(blocks: Iterable[Block]) -> str:
    """A report in Markdown. Control characters in it are spelled out, because people also read it on a terminal."""
    return "\n\n".join("\n".join(block.markdown()) for block in blocks)


def as_terminal(blocks: Iterable[Block], page: Page) -> str:
    """A report for a terminal."""
    parts = [block.terminal(page) for block in blocks]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _cell(text: str) -> str:
    return visible(" ".join(text.split()))


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    first, *cells = [[_cell(cell).replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(map(text_width, column)) for column in zip(first, *cells)]

    def line(row: Sequence[str]) -> str:
        return f"| {' | '.join(_padded(row, widths, right))} |"

    rule = "|" + "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right)) + "|"
    return [line(first), rule, *map(line, cells)]


def _terminal_table(rows: Sequence[Sequence[str]], right: Sequence[bool], limit: int) -> list[str]:
    """Rows under each other in at most `limit` columns of the terminal. The longest cells are cut in their middle."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    widths = [min(max(map(text_width, column)), limit) for column in zip(*cells)]
    room = limit - 2 - 2 * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _LEAST:
        widths[widths.index(max(widths))] -= 1
    cut = [[shortened(cell, width) for cell, width in zip(row, widths)] for row in cells]
    return [f"  {'  '.join(_padded(row, widths, right))}".rstrip() for row in cut]


def _padded(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    """The cells filled up with spaces to their widths, on the left if the column is on the right."""
    gaps = [" " * (width - text_width(cell)) for cell, width in zip(row, widths)]
    return [gap + cell if r else cell + gap for cell, gap, r in zip(row, gaps, right)]
