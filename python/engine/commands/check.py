"""`engine check`: finds the problems in a table of texts, and writes the table without them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import click

from engine.commands.common import (
    PATH,
    Command,
    NewFile,
    complete_task,
    file_options,
    file_settings,
    overwrite_option,
    settings_options,
)
from engine.commands.terminal import show
from engine.errors import ArgumentError, amount

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
@click.option(
    "--task",
    metavar="NAME",
    default="classification",
    shell_complete=complete_task,
    help="What a model is to learn: for tagging, DATA are words with tags, such as a CoNLL file.",
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
@overwrite_option
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
      engine check train.conll --task tagging
    """  # fmt: skip
    if options["max_length"] and not options["model"]:
        raise click.UsageError("--max-length needs --model.")
    from engine.report.words import visible_json
    from engine.tasks import task_named
    from engine.text import find_problems, remove_problems
    from engine.text.table_columns import in_words
    from engine.text.table_write import write_columns

    kinds: Any = [kind.strip() for kind in remove.split(",") if kind.strip()]
    if bool(kinds) != (output is not None):
        raise click.UsageError("--remove and --output must be given together.")
    kind = task_named("multilabel" if _several(options) else options["task"])
    read = partial(_sentences if kind.name == "tagging" else _texts, options=options)
    (table, taken), found = read(data), {name: read(name) for name in others}
    splits = {name: split for name, (split, _) in found.items()}
    separator = options["label_separator"] or {"multilabel": "|", "tagging": " "}.get(kind.name)
    if table.label_column and table.label_column not in table.header:  # columns of 0 and 1: a row may have no 1
        separator = separator or "|"
    numbers = kind.name == "regression"  # which need not repeat
    report = find_problems(
        table, splits or None, similarity=similarity, label_separator=separator, min_label_count=1 if numbers else 2, numbers=numbers,
    )  # fmt: skip
    notes = [] if table.labels is None else _training_says(kind, data, _columns(options, separator))
    notes += [f"columns of {name}: {in_words(each)}" for name, (_, each) in found.items() if each != taken]
    if options["model"]:
        notes += _tokens(table, options["model"], options["max_length"])
    report = replace(report, columns=taken, notes=(*report.notes, *notes))
    left = (
        None if output is None else remove_problems(table, report, kinds)
    )  # may refuse a kind, before anything is printed
    if as_json:
        click.echo(visible_json(json.dumps(report.to_dict(), ensure_ascii=False, indent=2)))
    else:
        show(str(report))
    if left is not None and output is not None:
        columns = table.columns or _all_columns(data, table, file_settings(options))
        removed = set(left[1])
        columns = {name: [v for row, v in enumerate(each) if row not in removed] for name, each in columns.items()}
        write_columns("check", columns, output)
        show(f"{amount(len(left[1]), 'row')} removed, {len(left[0]):,} written to {output}", err=as_json)


def _several(options: dict[str, Any]) -> bool:
    """Whether texts have several labels, although nobody named that task."""
    return options["task"] == "classification" and bool(options["label_separator"])


def _columns(options: dict[str, Any], separator: str | None) -> Any:
    """The columns of a file, as training takes them."""
    from engine.tasks import Columns

    names = ("text_column", "label_column", "pair_column", "encoding", "delimiter", "quoting", "format")
    text, label, pair, encoding, delimiter, quoting, form = (options[name] for name in names)
    return Columns(text, label, pair, (), encoding, separator or "|", options["columns"], delimiter, quoting, form)


def _training_says(kind: Any, path: str, columns: Any) -> list[str]:
    """What a training says of the labels in a file, a sentence each."""
    from engine.tasks import TaskConfig

    try:
        table = kind.read(path, columns)
        task = kind.from_config(
            TaskConfig(kind.name, label_separator=columns.separator), kind.collect([table], columns)
        )
        task.targets(table)
        return task.remarks(table)
    except ArgumentError as error:
        names = ("text_column", "label_column", "label_separator")
        options = {name: f"--{name.replace('_', '-')}" for name in names}
        return [f"training refuses these {kind.label_word or 'number'}s: {error.problem(options)}"]


def _texts(path: str, options: dict[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """The texts of a file, and the columns that they come from. They have no labels if these are columns of 0 and 1 that nobody named: they may be anything."""
    from engine.text import read_table

    columns = {name: options[name] for name in ("text_column", "label_column", "pair_column")}
    separator = options["label_separator"] or "|"
    table = read_table(path, **columns, **file_settings(options), label_separator=separator, empty_labels=True)
    if options["label_column"] or table.label_column is None or table.label_column in table.header:
        return table, table.taken
    notes = [note for note in table.notes if "hold 0 and 1" not in note]
    notes.append(f"the columns {table.label_column} hold 0 and 1; if they are labels, name them with --label-column")
    table = replace(table, labels=None, label_column=None, notes=tuple(notes))
    return table, table.taken


def _sentences(path: str, options: dict[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """The tagged sentences of a file as texts, whose labels are their tags with spaces between them, and the columns that they come
    from."""
    from engine.tasks import Tagging
    from engine.text import TextTable

    if options["label_separator"]:
        raise click.UsageError("--label-separator is not used for tags.")
    tagged = Tagging.read(path, _columns(options, None))
    cells = {"words": tagged.words, "tags": tagged.tags}
    sentences, tags = ([" ".join(each) for each in column] for column in cells.values())
    header = ("words", "tags")
    table = TextTable(
        sentences, tags, *header, tagged.source, tagged.lines, columns=cells, notes=tagged.notes, header=header
    )
    return table, tagged.taken


def _all_columns(path: str, table: Any, settings: dict[str, Any]) -> dict[str, list[Any]]:
    """All columns of a file as they are there. Lists of labels are as the table has them."""
    from engine.text.formats import format_of, open_file, read_rows
    from engine.text.table_columns import LABEL_COLUMNS, TEXT_COLUMNS

    file = open_file("check", path)
    given = (table.text_column, *(table.label_column or "").split(","))
    known = {name.casefold() for name in (*TEXT_COLUMNS, *LABEL_COLUMNS, *given) if name}
    rows = read_rows(file, format_of(file, settings.pop("format")), **settings, known=known)
    columns = {name: rows.as_they_are(name) for name in rows.header}
    if any(isinstance(value, list) for value in columns.get(table.label_column, ())):
        columns[table.label_column] = table.labels
    return columns


def _tokens(table: Any, model: str, max_length: int | None) -> list[str]:
    """How long the texts are in tokens, and what the model does not see of them, a sentence each."""
    import numpy as np

    from engine.runs.folder import load_tokenizer
    from engine.tasks.remarks import TextLosses
    from engine.tasks.text import encode_texts

    tokenizer = load_tokenizer(model, "check", "model")
    trained = tokenizer.model_max_length if os.path.exists(os.path.join(model, "run.json")) else None
    limit = max_length or trained or 128
    lengths = encode_texts(table.texts, tokenizer, 2**31 - 1, pairs=table.pairs).lengths
    middle, most = np.quantile(lengths, (0.5, 0.95), method="higher").tolist()
    losses = TextLosses()
    losses.add(table, encode_texts(table.texts, tokenizer, limit, pairs=table.pairs), tokenizer, limit)
    spread = f"tokens in a text: half have at most {middle:,}, 95 % at most {most:,}, the longest {lengths.max():,}"
    return [spread, *losses.sentences(limit)]
