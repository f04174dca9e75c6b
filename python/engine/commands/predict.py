"""`engine predict`: a run's model answers for texts, as they come."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from engine.commands.common import (
    PATH,
    RUN,
    Command,
    NewFile,
    columns_of,
    device_option,
    encoding_option,
    one_text_only,
    threads_option,
)
from engine.errors import BadValue

if TYPE_CHECKING:
    from engine.inference import Predictor

__all__ = ["predict"]


@click.command(cls=Command, short_help="Label texts with a run's model.")
@click.argument("run", type=RUN)
@click.argument("texts", nargs=-1)
@click.option(
    "--input",
    "-i",
    "source",
    type=PATH,
    help="A file of texts: CSV, TSV, JSONL, or TXT with a text on each line; for tagging also CoNLL files.",
)
@click.option("--text-column", help="Column of the texts in the file (default: as in training, or found by its name).")
@click.option("--pair-column", help="Column of second texts in the file (default: as in training).")
@encoding_option
@click.option("--top-k", type=click.IntRange(1), default=1, show_default=True, help="Number of labels for each text.")
@click.option("--calibrated", is_flag=True, help="Use the temperature in the run's report for the probabilities.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines instead of tab-separated columns.")
@click.option("--output", "-o", type=NewFile(), help="Write to a file (.jsonl: JSON Lines).")
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True, help="Most texts in a batch.")
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
    batch_size: int,
    **options: Any,
) -> None:
    """Label texts: those on the command line, those of a file, or the lines of standard input as they arrive.

    Prints a line for each text, also for an empty one: the answer and the text, separated by tabs. Depending on the task, the
    answer is the top k labels with their probabilities, several labels, a number, or a tag for each word. A model of pairs takes
    two texts, or two columns.

    \b
    Example:
      engine predict runs/banking77 "My card has not arrived yet" --top-k 3
      engine predict runs/banking77 --input questions.csv --output labels.jsonl
      tail -f questions.txt | engine predict runs/banking77 --json
    """  # fmt: skip
    if texts and source:
        raise click.UsageError("Texts cannot be combined with --input.")
    for name in ("text_column", "pair_column", "encoding"):
        if options[name] and not source:
            raise click.UsageError(f"--{name.replace('_', '-')} needs --input.")
    from engine.inference import Predictor
    from engine.runs.folder import read_temperature
    from engine.serialization import replace_file
    from engine.tasks import Columns

    predictor = Predictor.from_pretrained(run, device=device)
    task = predictor.task
    if top_k > 1 and "top_k" in task.unused:
        raise click.UsageError(f"--top-k is for tasks with labels of texts, but this run's task is {task.name}.")
    one_text_only(run, options["pair_column"])
    if calibrated:
        temperature = read_temperature(run)
        if temperature is None:
            raise BadValue("predict", "calibrated", f"a temperature in the report of {run}", "none")
        predictor.temperature = temperature
    trained = columns_of(run)
    task.separator = trained.get("label_separator", task.separator)
    batches: Iterable[Any]
    if source:
        # The names of the training columns hold for tables, but not for a file of plain lines.
        named = {} if source.lower().endswith(".txt") else trained
        text, pair = (options[name] or named.get(name) for name in ("text_column", "pair_column"))
        table = task.read(source, Columns(text, pair=pair, encoding=options["encoding"]), labelled=False)
        batches = (table.select(part) for part in _parts(range(len(table)), batch_size))
    elif trained.get("pair_column"):
        if len(texts) != 2:
            got = f"; got {len(texts)}" if texts else ""
            raise click.UsageError(f"This model takes pairs: give two texts, or --input{got}.")
        batches = [task.bare(texts[:1], texts[1:])]
    else:
        lists = _parts(texts, batch_size) if texts else _stdin_batches(batch_size)
        batches = (task.bare(list(part)) for part in lists)
    as_json = as_json or (output or "").endswith((".jsonl", ".json"))

    def write(path: str) -> None:
        with open(path, "w", encoding="utf-8", newline="\n") as stream:
            _predict(predictor, batches, top_k, as_json, stream)

    if output is None:
        _predict(predictor, batches, top_k, as_json, sys.stdout)
    elif source or texts:
        replace_file(output, write, "predict")  # complete or not at all
    else:
        write(output)  # grows as the lines arrive


def _predict(predictor: Predictor, batches: Iterable[Any], top_k: int, as_json: bool, stream: Any) -> None:
    task, row = predictor.task, 0
    # Most tokenizers add tokens to a text. Without these an empty text has none, and the model cannot read it.
    bare = not predictor.encode(task.bare([""])).lengths[0]
    for table in batches:
        if bare and 0 in (lengths := predictor.encode(table).lengths.tolist()):
            got = f"none in text {row + lengths.index(0) + 1}"
            raise BadValue("predict", "texts", "at least one token in each text", got)
        row += len(table)
        for text, answer in zip(task.texts(table), predictor.answer_table(table, top_k)):
            if as_json:
                line = json.dumps({"text": text, **answer}, ensure_ascii=False)
            else:
                line = "\t".join(
                    " ".join(cell.split()) for cell in [*task.cells(answer), text]
                )  # a label may have tabs
            stream.write(f"{line}\n")
        stream.flush()


def _parts(texts: Sequence[Any], size: int) -> Iterator[Any]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def _stdin_batches(size: int) -> Iterator[list[str]]:
    """The lines of standard input, in batches of those that have arrived, so that a slow writer gets each answer at once."""
    raw = sys.stdin.buffer
    read = raw.raw.read if isinstance(raw, io.BufferedReader) else raw.read
    rest = b""
    while chunk := read(1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from _parts([_line(line) for line in lines], size)
    if rest:
        yield [_line(rest)]


def _line(line: bytes) -> str:
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError:
        raise BadValue("predict", "standard input", "UTF-8", repr(line[:40])) from None
