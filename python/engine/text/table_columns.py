"""Choosing the columns of a table's file: those that the caller names, and those with a usual name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.errors import Argument, BadValue, Hint, require
from engine.text.files import TextFile

__all__ = ["LABEL_COLUMNS", "TEXT_COLUMNS", "Columns", "TakenColumns", "choose_columns", "in_words", "taken_by"]

TEXT_COLUMNS = (
    "text", "sentence", "question", "utterance", "query", "review", "message", "content", "document", "comment",
    "tweet", "title", "body", "input", "comment_text", "文本", "句子", "内容",
)  # fmt: skip
"""Usual names of the text column, in any case. The first that is there wins."""

LABEL_COLUMNS = (
    "label", "category", "intent", "class", "target", "sentiment", "topic", "labels", "tag", "y", "标签", "类别",
)  # fmt: skip
"""Usual names of the label column, in any case. The first that is there wins."""


class Columns(NamedTuple):
    """The columns that a caller asks for, by name.

    None: the column with a usual name (text, label); no such column (pair); all other columns (extra). labels: several columns
    of 0 and 1 instead of one of labels.
    """

    text: str | None
    label: str | None
    pair: str | None
    extra: tuple[str, ...] | None
    labels: tuple[str, ...] = ()


TakenColumns = Mapping[str, str | int]
"""By what a column holds ("text", "label", "words"): its name, or its number from 1 in a file whose columns have no names."""


def in_words(taken: TakenColumns) -> str:
    """The columns that were read: "text 'title', label 'topic'", or "words in column 1"."""
    return ", ".join(
        f"{what} in column {name}" if isinstance(name, int) else f"{what} {name!r}" for what, name in taken.items()
    )


def choose_columns(
    file: TextFile, header: Sequence[str], wanted: Columns, read_labels: bool, named_by_file: bool
) -> tuple[str, str | None, str | None, tuple[str, ...]]:
    """The names of the columns to read: (text, label or None, second text or None, further columns).

    Args:
        file: the table's file, for messages.
        header: the names of all columns.
        wanted: what the caller asks for.
        read_labels: False: the label column is found, so that it is not taken for the text, but not read.
        named_by_file: whether the names come from the file's first row. If they do, a lone column need not be the text.

    Raises:
        ValueError: if a wanted column is missing or wanted twice, no text column is found, or a column to read has the same
            name as another.
    """
    there = ", ".join(map(repr, header)) or "none"
    text, label, pair, extra, labels = wanted
    further = extra or ()
    named = [("text_column", text), ("label_column", label if read_labels else None), ("pair_column", pair)]
    named += [("label_column", name) for name in labels if read_labels]
    for argument, name in (*named, *(("extra_columns", name) for name in further)):
        found = name is None or name in header
        require(found, file.op, argument, f"one of the columns of {file.name} ({there})", repr(name))
    if label not in header:
        label = None
    name_it = ("name the column of the texts with ", Argument("text_column"))
    differs = text is None or text != label
    require(differs, file.op, "label_column", "a column other than the text's", repr(label), name_it)
    differs = pair is None or pair not in (text, label)
    require(differs, file.op, "pair_column", "a column other than the text's and the label's", repr(pair), name_it)
    if label is None and not labels:
        label = usual_name([name for name in header if name not in (text, pair, *further)], LABEL_COLUMNS)
    if text is None:
        others = [name for name in header if name not in (label, pair, *further, *labels)]
        text = usual_name(others, TEXT_COLUMNS)
        lone = text is None and len(others) == 1 and (label is not None or not named_by_file)
        taken = None if text is not None else taken_by(wanted, header, TEXT_COLUMNS)
        if lone and not (taken and others[0].casefold() in LABEL_COLUMNS):
            text = others[0]
        elif taken:
            raise BadValue(file.op, taken[0], "a column other than the text's", repr(taken[1]), name_it)
    if text is None:
        hints: list[Hint] = [("name it with ", Argument("text_column"))]
        if named_by_file:
            inside = [each for each in ",;\t|" if len(header) == 1 and each in header[0]]
            if inside:
                hints.append((f"or, if {inside[0]!r} separates the fields, use ", Argument("delimiter")))
            hints.append(("or name the columns of a file without a header with ", Argument("columns")))
        expected = f"a column such as {', '.join(map(repr, TEXT_COLUMNS[:4]))}"
        raise BadValue(file.op, "text_column", expected, there, *hints)
    if not read_labels:
        label, labels = None, ()
    if extra is None:
        extra = tuple(name for name in dict.fromkeys(header) if name not in (text, label, pair, *labels))
    for name in (text, label, pair, *extra):
        times = 0 if name is None else header.count(name)
        way = ["give one of them another name in the file's first line"] * (times > 1)
        require(times < 2, file.op, "path", f"one column {name!r} in {file.name}", times, *way)
    return text, label, pair, extra


def taken_by(wanted: Columns, header: Sequence[str], known: Sequence[str]) -> tuple[str, str] | None:
    """A column with a name of `known` that the caller asks for as something else, after the argument that names it; None: there is
    none."""
    asked = [("label_column", name) for name in (wanted.label, *wanted.labels)]
    asked += [("pair_column", wanted.pair), *(("extra_columns", name) for name in wanted.extra or ())]
    there = [(by, name) for by, name in asked if name is not None and name in header]
    return next(((by, name) for by, name in there if name.casefold() in known), None)


def usual_name(names: Sequence[str], known: Sequence[str]) -> str | None:
    """The first name of `known` that is among `names` in any case."""
    by_folded = {name.casefold(): name for name in reversed(names)}
    return next((by_folded[name] for name in known if name in by_folded), None)
