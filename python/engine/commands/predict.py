"""`engine predict`: a run's model answers for texts, as they come."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import click

from engine.commands.common import (
    PATH,
    RUN,
    Command,
    NewFile,
    columns_for,
    columns_of,
    device_option,
    file_options,
    one_text_only,
    overwrite_option,
    set_threshold,
    settings_options,
    threads_option,
    threshold_option,
)
from engine.commands.terminal import counted, progress_bar, progress_option, say
from engine.errors import BadValue

__all__ = ["predict"]

_TEMPERATURE = "a training keeps one only if five or more held-out texts got a wrong answer, and if it helps on others"


@click.command(cls=Command, packages=("tokenizers",), short_help="Label texts with a run's model.")
@click.argument("run", type=RUN)
@click.argument("texts", nargs=-1)
@click.option(
    "--input",
    "-i",
    "source",
    type=PATH,
    help="A file of texts: CSV, TSV, JSON, Parquet, Excel, or TXT with a text on each line; for tagging also CoNLL files.",
)
@click.option("--text-column", help="Column of the texts in the file (default: as in training, or found by its name).")
@click.option("--pair-column", help="Column of second texts in the file (default: as in training).")
@settings_options(file_options)
@click.option("--top-k", type=click.IntRange(1), default=1, show_default=True, help="Number of labels for each text.")
@click.option("--calibrated", is_flag=True, help="Use the temperature in the run's report for the probabilities.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines instead of tab-separated columns.")
@click.option(
    "--output",
    "-o",
    type=NewFile(".csv", ".tsv", ".jsonl", ".parquet"),
    help="Write a CSV, TSV, JSON Lines or Parquet file with the columns of the input and the answers.",
)
@overwrite_option
@click.option(
    "--spreadsheet-safe",
    is_flag=True,
    help="Put an apostrophe before texts that a spreadsheet would run as a formula. Needs --output.",
)
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True, help="Most texts in a batch.")
@threshold_option
@progress_option
@device_option
@threads_option
def predict(
    run: str,
    texts: tuple[str, ...],
    device: str | None,
    source: str | None,
    top_k: int,
    calibrated: bool,
    as_json: bool,
    output: str | None,
    spreadsheet_safe: bool,
    batch_size: int,
    **options: Any,
) -> None:
    """Label texts: those on the command line, those of a file, or the lines of standard input as they arrive.

    Prints a line for each text, also for an empty one: the answer and the text, separated by tabs. Depending on the task, the
    answer is the top k labels with their probabilities, several labels, a number, or a tag for each word. A model of pairs takes
    two texts, or two columns. A single - is standard input, too. Control characters in texts are shown as \\x1b. With --output nothing is printed; the file is
    written when all texts are labelled.

    \b
    Example:
      engine predict runs/banking77 "My card has not arrived yet" --top-k 3
      engine predict runs/banking77 --input questions.csv --output labels.csv
      tail -f questions.txt | engine predict runs/banking77 --json
    """  # fmt: skip
    if texts and source:
        raise click.UsageError("Texts cannot be combined with --input.")
    for name in ("text_column", "pair_column", "encoding", "format", "columns", "delimiter", "quoting"):
        if options[name] not in (None, ()) and not source:
            shown = {True: "quotes", False: "no-quotes"}[options[name]] if name == "quoting" else name.replace("_", "-")
            raise click.UsageError(f"--{shown} needs --input.")
    if texts == ("-",):  # as most programs call standard input
        texts = ()
    if spreadsheet_safe and output is None:
        raise click.UsageError("--spreadsheet-safe needs --output.")
    if as_json and output is not None:
        raise click.UsageError("--json cannot be combined with --output: the name of the file says its form.")
    from engine.data.table import NumberedTexts
    from engine.inference import Predictor, answer_tables, write_predictions
    from engine.runs.folder import read_temperature
    from engine.tasks.remarks import TextLosses
    from engine.text.table_write import check_output_format

    if output is not None:
        check_output_format("predict", output, spreadsheet_safe)

    predictor = Predictor.from_pretrained(run, device=device)
    task = predictor.task
    if top_k > 1 and "top_k" in task.unused:
        raise click.UsageError(f"--top-k is for tasks with labels of texts, but this run's task is {task.name}.")
    set_threshold(task, options["threshold"])
    one_text_only(run, options["pair_column"])
    if calibrated:
        temperature = read_temperature(run)
        if temperature is None:
            raise BadValue("predict", "calibrated", f"a temperature in the report of {run}", "none", _TEMPERATURE)
        predictor.temperature = temperature
    trained = columns_of(run)
    task.separator = trained.get("label_separator", task.separator)
    batches: Iterable[Any]
    if source:
        columns = columns_for(source, options, trained, task.separator, labelled=False)
        table = task.read(source, columns, labelled=False)
        for notice in table.notes:
            say(notice)
        batches = (table.select(part) for part in _parts(range(len(table)), batch_size))
    elif trained.get("pair_column"):
        if len(texts) != 2:
            got = f"; got {len(texts)}" if texts else ""
            raise click.UsageError(f"This model takes pairs: give two texts, or --input{got}.")
        batches = [task.bare(texts[:1], texts[1:])]
    else:
        lists = _parts(texts, batch_size) if texts else _stdin_batches(batch_size)
        lists = lists if texts else _header_noted(lists)
        batches = _numbered(task, lists, NumberedTexts("the command line") if texts else "standard input")
        for text in filter(os.path.isfile, texts):
            say(
                f"{text!r} is labelled as a text, although it is also the name of a file; --input {text} labels the texts in it"
            )
    losses, total = TextLosses(), len(table) if source else len(texts) or None
    apart = output is not None or not sys.stdout.isatty()  # a bar would be drawn among answers on the same terminal
    with progress_bar(options["bar"] and apart, total) as advance:
        tables = counted(batches, advance)
        if output is None:
            _print(predictor.task, answer_tables(predictor, tables, top_k, losses=losses), as_json)
        else:
            write_predictions(predictor, tables, output, top_k=top_k, spreadsheet_safe=spreadsheet_safe, losses=losses)
    for notice in losses.sentences(predictor.max_length):
        say(notice)


def _print(task: Any, answered: Iterable[tuple[Any, list[dict[str, Any]]]], as_json: bool) -> None:
    from engine.report.words import visible, visible_json

    for table, answers in answered:
        for text, answer in zip(task.texts(table), answers):
            if as_json:
                line = visible_json(json.dumps({"text": text, **answer}, ensure_ascii=False, allow_nan=False))
            else:
                cells = [*task.cells(answer), text]
                line = visible("\t".join(" ".join(cell.split()) for cell in cells))  # a label may have tabs
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _numbered(task: Any, lists: Iterable[Sequence[str]], source: str) -> Iterator[Any]:
    """Tables of texts, whose rows know their numbers in the source, from 1."""
    first = 1
    for part in lists:
        yield replace(task.bare(list(part)), source=source, lines=[*range(first, first + len(part))])
        first += len(part)


def _parts(texts: Sequence[Any], size: int) -> Iterator[Any]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def _stdin_batches(size: int) -> Iterator[list[str]]:
    """The lines of standard input, in batches of those that have arrived, so that a slow writer gets each answer at once."""
    if sys.stdin.isatty():
        click.echo("reading texts from standard input, one on a line; end with Ctrl-D", err=True)
    raw = sys.stdin.buffer
    read = raw.raw.read if isinstance(raw, io.BufferedReader) else raw.read
    rest, number = b"", 1
    while chunk := read(1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from _parts([_line(line, at) for at, line in enumerate(lines, number)], size)
        number += len(lines)
    if rest:
        yield [_line(rest, number)]


def _header_noted(lists: Iterable[list[str]]) -> Iterator[list[str]]:
    """The same lists. If the first line looks like the header of a table, a note says so."""
    from engine.text.formats import table_form
    from engine.text.table_columns import LABEL_COLUMNS, TEXT_COLUMNS

    for number, lines in enumerate(lists):
        if not number and lines and table_form(lines[0], (*TEXT_COLUMNS, *LABEL_COLUMNS)):
            say(
                f"the first line of standard input ({lines[0][:60]}) looks like the header of a table; --input reads tables"
            )
        yield lines


def _line(line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError:
        hint = "iconv -f latin1 -t utf-8 converts it, if it is Latin-1"
        raise BadValue("predict", "standard input", f"UTF-8 in line {number}", repr(line[:40]), hint) from None
