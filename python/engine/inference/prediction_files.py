"""Answers for many texts, a table at a time; and files of them: the columns of the input, and the model's answers beside them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from engine.errors import BadValue, require
from engine.inference.predictor import Predictor
from engine.tasks.remarks import TextLosses
from engine.text.table_write import check_output_format, write_columns

__all__ = ["answer_tables", "write_predictions"]


def answer_tables(
    predictor: Predictor, tables: Iterable[Any], top_k: int = 1, batch_size: int = 128, losses: TextLosses | None = None
) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    """Each table with the answers for its rows, as soon as it comes. losses: counts the texts that are cut or unknown.

    Raises ValueError at a text without any token, which the model cannot read; most tokenizers add tokens even to an empty text."""
    for table in tables:
        dataset = predictor.encode(table)
        if 0 in (lengths := dataset.lengths.tolist()):
            place = table.where(lengths.index(0))
            raise BadValue("predict", "texts", "at least one token in each text", f"none in {place}")
        if losses is not None:
            losses.add(table, dataset, predictor.tokenizer, predictor.max_length)
        yield table, predictor.answer_encoded(table, dataset, top_k, batch_size)


def write_predictions(
    predictor: Predictor,
    tables: Iterable[Any],
    output: str | os.PathLike[str],
    *,
    top_k: int = 1,
    batch_size: int = 128,
    spreadsheet_safe: bool = False,
    losses: TextLosses | None = None,
) -> int:
    """Write the answers for tables of texts as CSV, TSV, JSON Lines or Parquet, complete or not at all.

    The file has the columns of the tables and, depending on the task, `predicted_label` and `probability` (for the next best labels
    `predicted_label_2` and so on), `predicted_labels` and `probabilities`, `predicted_value`, or `predicted_tags` and `predicted_spans`.

    Args:
        predictor: answers.
        tables: tables without labels, of the same columns; all rows of all of them are written, in their order.
        output: a name that ends in .csv, .tsv, .jsonl or .parquet.
        top_k, batch_size, losses: as in `answer_tables`.
        spreadsheet_safe: for CSV and TSV that a spreadsheet opens: an apostrophe is put before texts that it would run as a formula.

    Returns:
        The number of rows.

    Raises:
        ValueError: for another ending, before anything is read; if the tables have columns of these names. ImportError: for Parquet
            without `pyarrow` (extra `files`). OSError: if the file cannot be written.
    """
    op, task = "write_predictions", predictor.task
    check_output_format(op, output, spreadsheet_safe)
    columns: dict[str, list[Any]] = {}
    for table, given in answer_tables(predictor, tables, top_k, batch_size, losses):
        inputs, answers = task.inputs(table), [task.row(answer) for answer in given]
        for name in answers[0] if answers else ():
            require(name not in inputs, op, "tables", "columns of other names than the answers'", repr(name))
        found = {**inputs, **{name: [answer[name] for answer in answers] for name in (answers[0] if answers else ())}}
        for name, values in found.items():
            columns.setdefault(name, []).extend(values)
    write_columns(op, columns or {"text": []}, output, spreadsheet_safe, task.between)
    return len(next(iter(columns.values()), []))
