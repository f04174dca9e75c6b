"""`engine predict`: what a run's model says of texts, as they come."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from engine.commands.common import PATH, RUN, Command, columns_of, device_option, encoding_option, threads_option
from engine.errors import BadValue

if TYPE_CHECKING:
    from engine.inference import Predictor

__all__ = ["predict"]


@click.command(cls=Command, short_help="Say what a run's model thinks of texts.")
@click.argument("run", type=RUN)
@click.argument("texts", nargs=-1)
@click.option(
    "--input",
    "-i",
    "source",
    type=PATH,
    help="A file of texts: CSV, TSV, JSONL, or TXT with one a line; for tags also CoNLL files.",
)
@click.option("--text-column", help="Column of the texts in the file (default: as in training, or found by its name).")
@click.option("--pair-column", help="Column of second texts in the file (default: as in training).")
@encoding_option
@click.option("--top-k", type=click.IntRange(1), default=1, show_default=True, help="Labels for each text.")
@click.option("--calibrated", is_flag=True, help="Probabilities by the temperature of the run's report.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines instead of tab-separated columns.")
@click.option("--output", "-o", type=click.Path(dir_okay=False), help="Write to a file (.jsonl: JSON Lines).")
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True)
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
    """Label texts: the arguments, the texts of a file, or the lines of standard input as they come.

    Prints the answer (label and probability of each of the top k; several labels; a number; a tag a word) and the text, separated
    by tabs: a row each line, also an empty one. A model of pairs takes two arguments, or two columns.

    \b
    Example:
      engine predict runs/banking77 "My card has not arrived yet" --top-k 3
      engine predict runs/banking77 --input questions.csv --output labels.jsonl
      tail -f questions.txt | engine predict runs/banking77 --json
    """  # fmt: skip
    if texts and source:
        raise click.UsageError("Texts cannot be given beside --input.")
    for name in ("text_column", "pair_column", "encoding"):
        if options[name] and not source:
            raise click.UsageError(f"--{name.replace('_', '-')} needs --input.")
    from engine.inference import Predictor
    from engine.runs.folder import read_temperature
    from engine.serialization import replace_file

    predictor = Predictor.from_pretrained(run, device=device)
    if calibrated:
        temperature = read_temperature(run)
        if temperature is None:
            raise BadValue("predict", "calibrated", f"a temperature in the report of {run}", "none")
        predictor.temperature = temperature
    trained = columns_of(run)
    predictor.task.separator = trained.get("label_separator", predictor.task.separator)
    pairs = bool(trained.get("pair_column")) or bool(options["pair_column"])
    if source:
        batches = _file_batches(predictor, source, trained, options, batch_size)
    elif texts and pairs:
        if len(texts) != 2:
            raise click.UsageError(f"This model takes pairs: two texts, or --input; got {len(texts)}.")
        batches = iter([predictor.task.bare(texts[:1], texts[1:])])
    elif texts:
        batches = (predictor.task.bare(part) for part in _parts(list(texts), batch_size))
    elif pairs:
        raise click.UsageError("This model takes pairs: two texts, or --input.")
    else:
        batches = (predictor.task.bare(part) for part in _stdin_batches(batch_size))
    if output is None:
        _predict(predictor, batches, top_k, as_json, sys.stdout)
        return
    as_json = as_json or output.endswith((".jsonl", ".json"))

    def write(path: str) -> None:
        with open(path, "w", encoding="utf-8", newline="\n") as stream:
            _predict(predictor, batches, top_k, as_json, stream)

    if source or texts:
        replace_file(output, write, "predict")  # complete or not at all
    else:
        write(output)  # grows as the lines come


def _file_batches(
    predictor: Predictor, source: str, trained: dict[str, Any], options: dict[str, Any], size: int
) -> Iterator[Any]:
    """Tables of the rows of a file, in parts."""
    from engine.tasks import Columns

    # The names of columns that training found hold for tables, but not for a file of plain lines.
    named = {} if source.lower().endswith(".txt") else trained
    columns = Columns(
        options["text_column"] or named.get("text_column"),
        pair=options["pair_column"] or named.get("pair_column"),
        encoding=options["encoding"],
    )
    table = predictor.task.read(source, columns, labelled=False)
    for part in _parts(range(len(table)), size):
        yield table.select(part)


def _predict(predictor: Predictor, batches: Iterable[Any], top_k: int, as_json: bool, stream: Any) -> None:
    task = predictor.task
    row = 0
    bare = not predictor.encode(task.bare([""])).lengths[0]  # a tokenizer that adds nothing leaves some without a token
    for table in batches:
        if bare and 0 in (lengths := predictor.encode(table).lengths.tolist()):
            raise BadValue(
                "predict",
                "texts",
                "at least one token in each text",
                f"none in text {row + lengths.index(0) + 1}",
            )
        row += len(table)
        for text, answer in zip(task.texts(table), predictor.answer_table(table, top_k)):
            if as_json:
                stream.write(json.dumps({"text": text, **answer}, ensure_ascii=False) + "\n")
            else:
                cells = (" ".join(cell.split()) for cell in [*task.cells(answer), text])  # a label may have tabs
                stream.write("\t".join(cells) + "\n")
        stream.flush()


def _parts(texts: Sequence[Any], size: int) -> Iterator[Any]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def _stdin_batches(size: int) -> Iterator[list[str]]:
    """Lines of standard input in batches of what has arrived, so that a slow writer gets each answer at once."""
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
