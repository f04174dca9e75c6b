"""`engine check`: finds the problems in a table of texts, and writes the table without them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import click

from engine.commands.common import PATH, Command, NewFile, file_options, file_settings, settings_options
from engine.commands.terminal import show

__all__ = ["check"]


@click.command(cls=Command, short_help="Find duplicates, conflicts, leaks and other problems in texts.")
@click.argument("data", type=PATH)
@click.option(
    "--test",
    "others",
    type=PATH,
    multiple=True,
    help="A file of test texts; texts of DATA that are also there are leaks. May be repeated.",
)
@click.option("--text-column", help="Column of the texts (default: found by its name).")
@click.option("--pair-column", help="Column of second texts.")
@click.option(
    "--label-column", help="Column of the labels, or columns of 0 and 1 with commas (default: found by its name)."
)
@click.option("--label-separator", metavar="TEXT", help="Separates the labels of a text, if it may have several.")
@click.option(
    "--model", type=click.Path(exists=True), help="Count tokens: a run, a published encoder, or its tokenizer."
)
@click.option(
    "--max-length",
    type=click.IntRange(3),
    help="Most tokens in a text, with --model (default: the run's, otherwise 128).",
)
@click.option(
    "--similarity",
    type=float,
    default=0.8,
    show_default=True,
    help="Texts that are at least this similar are near-duplicates.",
)
@settings_options(file_options)
@click.option(
    "--remove",
    metavar="KINDS",
    default="",
    help="Remove rows with these kinds of problems, separated by commas; needs --output.",
)
@click.option(
    "--output",
    "-o",
    type=NewFile(".csv", ".tsv", ".jsonl", ".parquet"),
    help="A CSV, TSV, JSON Lines or Parquet file for the rows that remain.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(
    data: str,
    others: tuple[str, ...],
    similarity: float,
    remove: str,
    output: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Report the problems in a file of texts (CSV, TSV, JSON, Parquet, Excel, a folder for each class): empty texts, control characters, markup, duplicates and
    near-duplicates, equal texts with different labels, texts that are also in a test file, rare labels.

    DATA is not changed: --remove and --output write a cleaned copy with all columns.

    \b
    Example:
      engine check train.csv --test test.csv
      engine check train.csv --model MiniLM
      engine check train.csv --test test.csv --remove duplicate,leak -o clean.csv
    """  # fmt: skip
    if options["max_length"] and not options["model"]:
        raise click.UsageError("--max-length needs --model.")
    from engine.report.words import visible_json
    from engine.text import find_problems, read_table, remove_problems
    from engine.text.table_write import write_columns

    kinds: Any = [kind.strip() for kind in remove.split(",") if kind.strip()]
    if bool(kinds) != (output is not None):
        raise click.UsageError("--remove and --output must be given together.")
    columns = {name: options[name] for name in ("text_column", "label_column", "pair_column")}
    separator = options["label_separator"]
    settings = {**columns, **file_settings(options), "label_separator": separator or "|", "empty_labels": True}
    named = options["label_column"] is not None
    table = _unguessed(read_table(data, **settings), named)
    splits = {name: _unguessed(read_table(name, **settings), named) for name in others}
    if table.label_column and table.label_column not in table.header:  # columns of 0 and 1: a row may have no 1
        separator = separator or "|"
    report = find_problems(table, splits or None, similarity=similarity, label_separator=separator)
    if options["model"]:
        report = replace(report, notes=(*report.notes, *_tokens(table, options["model"], options["max_length"])))
    left = (
        None if output is None else remove_problems(table, report, kinds)
    )  # may refuse a kind, before anything is printed
    if as_json:
        click.echo(visible_json(json.dumps(report.to_dict(), ensure_ascii=False, indent=2)))
    else:
        show(str(report))
    if left is not None and output is not None:
        columns_left = _all_columns(data, table, file_settings(options), set(left[1]))
        write_columns("check", columns_left, output)
        show(f"{len(left[1])} rows removed, {len(left[0])} written to {output}", err=as_json)


def _unguessed(table: Any, named: bool) -> Any:
    """The table without labels if these are columns of 0 and 1 that nobody named: they may be anything."""
    if named or table.label_column is None or table.label_column in table.header:
        return table
    notes = [note for note in table.notes if "hold 0 and 1" not in note]
    notes.append(f"the columns {table.label_column} hold 0 and 1; if they are labels, name them with --label-column")
    return replace(table, labels=None, label_column=None, notes=tuple(notes))


def _all_columns(path: str, table: Any, settings: dict[str, Any], removed: set[int]) -> dict[str, list[Any]]:
    """All columns of a file as they are there, without the removed rows. Lists of labels are as the table has them."""
    from engine.text.formats import format_of, open_file, read_rows
    from engine.text.table_columns import LABEL_COLUMNS, TEXT_COLUMNS

    file = open_file("check", path)
    given = (table.text_column, *(table.label_column or "").split(","))
    known = {name.casefold() for name in (*TEXT_COLUMNS, *LABEL_COLUMNS, *given) if name}
    rows = read_rows(file, format_of(file, settings.pop("format")), **settings, known=known)
    columns = {name: rows.as_they_are(name) for name in rows.header}
    if any(isinstance(value, list) for value in columns.get(table.label_column, ())):
        columns[table.label_column] = table.labels
    return {name: [v for row, v in enumerate(values) if row not in removed] for name, values in columns.items()}


def _tokens(table: Any, model: str, max_length: int | None) -> list[str]:
    """How long the texts are in tokens, and what the model does not see of them, a sentence each."""
    import numpy as np

    from engine.runs.folder import load_tokenizer
    from engine.tasks.remarks import TextLosses
    from engine.tasks.text import encode_texts

    tokenizer = load_tokenizer(model)
    trained = tokenizer.model_max_length if os.path.exists(os.path.join(model, "run.json")) else None
    limit = max_length or trained or 128
    lengths = encode_texts(table.texts, tokenizer, 2**31 - 1, pairs=table.pairs).lengths
    middle, most = np.quantile(lengths, (0.5, 0.95), method="higher").tolist()
    losses = TextLosses()
    losses.add(table, encode_texts(table.texts, tokenizer, limit, pairs=table.pairs), tokenizer, limit)
    spread = f"tokens in a text: half have at most {middle}, 95 % at most {most}, the longest {lengths.max()}"
    return [spread, *losses.sentences(limit)]
