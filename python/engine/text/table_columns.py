"""Which columns of a table's file are read: those that the caller names, and those that have a usual name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.errors import Argument, BadValue, Hint
from engine.text.files import TextFile

__all__ = ["LABEL_COLUMNS", "TEXT_COLUMNS", "Columns", "choose_columns"]

TEXT_COLUMNS = (
    "text", "sentence", "question", "utterance", "query", "review", "message", "content", "document", "comment",
    "tweet", "title", "body", "input", "文本", "句子", "内容",
)  # fmt: skip
"""Names that the text column is looked for under, in order of preference, in any case."""

LABEL_COLUMNS = (
    "label", "category", "intent", "class", "target", "sentiment", "topic", "labels", "tag", "y", "标签", "类别",
)  # fmt: skip
"""Names that the label column is looked for under, in order of preference, in any case."""


class Columns(NamedTuple):
    """The columns that a caller asks for, by name.

    None: to be found by a usual name (text, label); no such column (pair); all other columns (extra).
    """

    text: str | None
    label: str | None
    pair: str | None
    extra: tuple[str, ...] | None


def choose_columns(
    file: TextFile, header: Sequence[str], wanted: Columns, read_labels: bool, named_by_file: bool
) -> tuple[str, str | None, str | None, tuple[str, ...]]:
    """The names of the columns to read: (text, label or None, second text or None, further columns).

    Args:
        file: the table's file, for messages.
        header: the names of all columns.
        wanted: what the caller asks for.
        read_labels: False: the label column is not read, but still found, so that it is not taken for the text.
        named_by_file: whether the names stand in the file's first row. If they do, a lone column need not be the text.

    Raises:
        ValueError: if a wanted column is missing or wanted twice, if no text column is found, or if a column that is to
            be read has the same name as another.
    """
    there = ", ".join(map(repr, header)) or "none"
    text, label, pair, extra = wanted
    further = extra or ()
    named = [("text_column", text), ("label_column", label if read_labels else None), ("pair_column", pair)]
    for argument, name in (*named, *(("extra_columns", name) for name in further)):
        if name is not None and name not in header:
            expected = f"one of the columns of {file.name} ({there})"
            raise BadValue(file.op, argument, expected, repr(name))
    if label not in header:
        label = None
    if text is not None and text == label:
        raise BadValue(file.op, "label_column", "a column other than the text's", repr(label))
    if pair is not None and pair in (text, label):
        raise BadValue(file.op, "pair_column", "a column other than the text's and the label's", repr(pair))
    if label is None:
        label = _first_known([name for name in header if name not in (text, pair, *further)], LABEL_COLUMNS)
    if text is None:
        others = [name for name in header if name not in (label, pair, *further)]
        text = _first_known(others, TEXT_COLUMNS)
        if text is None and len(others) == 1 and (label is not None or not named_by_file):
            text = others[0]
    if text is None:
        hints: list[Hint] = [("name it with ", Argument("text_column"))]
        if named_by_file:
            hints.append(("or name the columns of a file without a header with ", Argument("columns")))
        expected = f"a column such as {', '.join(map(repr, TEXT_COLUMNS[:4]))}"
        raise BadValue(file.op, "text_column", expected, there, *hints)
    if extra is None:
        extra = tuple(name for name in dict.fromkeys(header) if name not in (text, label, pair))
    if not read_labels:
        label = None
    for name in (text, label, pair, *extra):
        if name is not None and header.count(name) > 1:
            raise BadValue(file.op, "path", f"one column {name!r} in {file.name}", header.count(name))
    return text, label, pair, extra


def _first_known(names: Sequence[str], known: Sequence[str]) -> str | None:
    """The first name of `known` that is among `names` in any case."""
    by_folded = {name.casefold(): name for name in reversed(names)}
    return next((by_folded[name] for name in known if name in by_folded), None)
