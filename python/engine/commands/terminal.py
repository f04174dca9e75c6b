"""What the commands print, and how: colours and widths of the terminal, notices, bars of progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Any

import click

from engine.errors import not_installed

__all__ = ["announce", "colours", "counted", "page", "progress_bar", "progress_option", "say", "show"]

progress_option = click.option(
    "--progress/--no-progress", "bar", default=True, show_default=True, help="Show a progress bar on a terminal."
)


def colours() -> bool | None:
    """Whether to print colours: what NO_COLOR, FORCE_COLOR and TERM=dumb say, in this order; None: if the output is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return False if os.environ.get("TERM") == "dumb" else None


def _columns(stream: IO[Any]) -> int | None:
    """The width of a terminal: what COLUMNS says, or its own; None: the stream is none, whatever COLUMNS says."""
    told = os.environ.get("COLUMNS", "")
    try:
        if not stream.isatty():
            return None
        return int(told) if told.isdecimal() and int(told) else os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return None


def page() -> Any:
    """How a report is shown on standard output. Where that is no terminal, tables take 80 columns and sentences stay whole."""
    from engine.report.blocks import Page

    width = _columns(sys.stdout)
    return Page(max(width or 80, 40), width and max(width, 40), partial(click.style, bold=True))


def show(text: str, err: bool = False, indent: str = "  ") -> None:
    """Prints lines of plain words. They are folded to the width of a terminal, with `indent` before what is broken off; control
    characters are spelled out."""
    from engine.report.words import folded, visible

    width = _columns(sys.stderr if err else sys.stdout)
    click.echo("\n".join(folded(visible(text), width and max(width, 40), indent)), err=err)


def say(notice: str) -> None:
    """A sentence about the data, on standard error."""
    _marked("note", notice, "yellow")


def announce(plan: str) -> None:
    """What a training will do, on standard error: lines that begin with a word and a colon."""
    for line in plan.split("\n"):
        word, _, sentence = line.partition(": ")
        _marked(word, sentence, "cyan")


def _marked(word: str, sentence: str, colour: str) -> None:
    from engine.report.words import folded, visible

    width = _columns(sys.stderr)
    text = "\n".join(folded(visible(f"{word}: {sentence}"), width and max(width, 40)))
    click.echo(click.style(text[: len(word) + 1], fg=colour) + text[len(word) + 1 :], err=True)


@contextmanager
def progress_bar(shown: bool, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, if that is a terminal that can draw one. Gives a function that adds to the number of texts that are
    done.

    shown: False: there is no bar. total: the number of all texts; None: it is unknown. Raises ImportError if tqdm is missing (extra
    `cli`).
    """
    if not (shown and sys.stderr.isatty()) or os.environ.get("TERM") == "dumb":
        yield lambda count: None
        return
    try:
        from tqdm import tqdm
    except ModuleNotFoundError as error:
        raise not_installed("progress_bar", "tqdm", "cli") from error
    with tqdm(total=total, unit="text", dynamic_ncols=True, file=sys.stderr) as bar:

        def advance(count: int) -> None:  # returns nothing, as a hook of a module must
            bar.update(count)

        yield advance


def counted(tables: Iterable[Any], advance: Callable[[int], None]) -> Iterator[Any]:
    """The tables, each of which is counted when the caller asks for the next one."""
    for table in tables:
        yield table
        advance(len(table))
