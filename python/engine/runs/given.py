"""Texts and labels from memory: checked, as a table for training, and as rows of a file for a run that is resumed.

Labels take the same way as those of files, so that both give the same names. The caller's own labels are kept beside the names:
a predictor answers with them. Messages name the argument and its element, such as `labels[17]`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.data.table import Elements
from engine.errors import Argument, BadType, BadValue, amount, require
from engine.text import TaggedTable, TextTable, clean_text
from engine.text.cleaning import SURROGATE, clean_label
from engine.text.decimals import decimal_points
from engine.text.files import TextFile
from engine.text.label_columns import labels_in
from engine.text.label_forms import LabelSets, check_present, label_sets, own, several_columns
from engine.text.lists import is_missing, list_of, strings_of
from engine.text.table_rows import TypedRows

__all__ = ["Given", "Names", "given"]


class Names(NamedTuple):
    """What the caller's function calls itself and its arguments, for errors."""

    op: str = "fit"
    texts: str = "texts"
    labels: str = "labels"


class Given(NamedTuple):
    """The table of texts from memory; the same as objects of a JSON Lines file; and the caller's labels by their names, where they
    differ from these."""

    table: TextTable | TaggedTable
    rows: list[dict[str, Any]]
    own: dict[str, Any]


def given(task: str, texts: Any, labels: Any, pairs: Any, separator: str, names: Names) -> Given:
    """Checks texts and labels for a task. separator: between the names of several labels in one string.

    Raises:
        TypeError, ValueError: as `engine.train.fit`.
    """
    if task == "tagging":
        return _tagged(texts, labels, pairs, names)
    first = _texts(names, names.texts, texts)
    require(first, names.op, names.texts, "at least one text", "none")
    some = any(text.strip() for text in first)
    require(some, names.op, names.texts, "texts that are not empty", f"{len(first)} empty ones")
    seconds = None if pairs is None else _texts(names, "pairs", pairs)
    values, known, notes = _LABELS[task](labels, names)
    for argument, each in ((names.labels, values), ("pairs", seconds)):
        if each is not None:
            _check_length(names.op, argument, each, len(first))
    file = TextFile.named(names.op, Elements(names.labels), names.labels)
    fields = TypedRows(file, ["label"], list(range(len(values))), lambda name, missing: values)
    several = task == "multilabel"
    strings = labels_in(fields, "label", separator if several else None, empty_labels=several)
    table = TextTable(
        first, strings, "text", "label", Elements(names.texts), list(range(len(first))), seconds, None if seconds is None else "pair",
        notes=(*notes, *fields.notes), header=("text", "label", *(["pair"] if seconds else [])),
    )  # fmt: skip
    rows: list[dict[str, Any]] = [{"text": a, "label": b} for a, b in zip(first, values)]
    if seconds is not None:
        rows = [{**row, "pair": second} for row, second in zip(rows, seconds)]
    # A list in a string, such as "[1]", is read as what is in it.
    called = (
        known
        if several
        else {name: known[each] for name, each in zip(strings, map(clean_label, map(str, values))) if each in known}
    )
    return Given(table, rows, {name: label for name, label in called.items() if label != name})


def _texts(names: Names, argument: str, values: Any) -> list[str]:
    return [SURROGATE.sub("\ufffd", text) for text in strings_of(names.op, argument, values)]


def _check_length(op: str, argument: str, values: Sequence[Any], texts: int) -> None:
    require(len(values) == texts, op, argument, f"{texts}, one for each text", len(values))


def _one_each(labels: Any, names: Names) -> tuple[list[Any], dict[str, Any], list[str]]:
    """One label a text."""
    several = ("", Argument("task"), "'multilabel' takes several")
    if several_columns(labels):
        shape = tuple(getattr(labels, "shape", ())) or "several columns"
        raise BadType(
            names.op, names.labels, "one label for each text", f"an array or a table of shape {shape}", several
        )
    values = [own(each) for each in list_of(names.op, names.labels, labels)]
    check_present(names.op, names.labels, values)
    for row, value in enumerate(values):
        if isinstance(value, (list, tuple, set, frozenset, dict)) or hasattr(value, "shape"):
            got = f"{value!r} in {names.labels}[{row}]"
            raise BadType(names.op, names.labels, "one label for each text", got, several)
    known, notes = _named(names, ((f"{names.labels}[{row}]", value) for row, value in enumerate(values)))
    return [SURROGATE.sub("\ufffd", str(value)) for value in values], known, notes


def _any_number(labels: Any, names: Names) -> tuple[list[Any], dict[str, Any], list[str]]:
    """Any number of labels a text."""
    found = label_sets(names.op, names.labels, labels)
    lists = [(row, each) for row, each in enumerate(found.sets) if isinstance(each, list)]
    known, notes = _named(names, ((f"{names.labels}[{row}]", value) for row, each in lists for value in each))
    values = [each if isinstance(each, str) else [*map(str, each)] for each in found.sets]
    return values, known, [*notes, *([found.guess] if found.guess else []), *_without_texts(found, names)]


def _without_texts(found: LabelSets, names: Names) -> list[str]:
    there = {label for each in found.sets for label in each}
    missing = [label for label in found.columns or () if label not in there]
    shown = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
    return (
        [f"no 1 in {amount(len(missing), 'column')} of {names.labels}, so nothing is learned of: {shown}"]
        if missing
        else []
    )


def _named(names: Names, labels: Any) -> tuple[dict[str, Any], list[str]]:
    """The first label of each name, and a sentence if labels that differ have one name.

    Raises ValueError for a label that is empty when it is cleaned, and for a string and another object of the same name.
    """
    known: dict[str, Any] = {}
    other: dict[str, Any] = {}
    for place, label in labels:
        name = clean_label(str(label))
        if not name:
            raise BadValue(
                names.op, names.labels, "a label for each text", f"{label!r}, which is invisible, in {place}"
            )
        first = known.setdefault(name, label)
        if first is not label and first != label:
            if isinstance(first, str) != isinstance(label, str):
                expected, got = f"labels of one kind, as {first!r}", f"{label!r} ({type(label).__name__}) in {place}"
                raise BadValue(names.op, names.labels, expected, got)
            other[name] = label
    pairs = [f"{known[name]!a} and {label!a}" for name, label in other.items()]
    shown = ", ".join(pairs[:3]) + (", ..." if len(pairs) > 3 else "")
    return known, [
        f"labels that differ only in invisible characters or spelling of letters are one: {shown}"
    ] if pairs else []


def _numbers(labels: Any, names: Names) -> tuple[list[Any], dict[str, Any], list[str]]:
    """A number a text."""
    if several_columns(labels):
        shape = tuple(getattr(labels, "shape", ())) or "several columns"
        hint = "train one model for each column"
        raise BadType(names.op, names.labels, "one number for each text", f"an array or a table of shape {shape}", hint)
    values = [own(each) for each in list_of(names.op, names.labels, labels)]
    strings = [value for value in values if isinstance(value, str)]
    points, note = decimal_points(strings)
    replaced = iter(points)
    found = []
    for row, value in enumerate(values):
        place = f"{value!r} in {names.labels}[{row}]"
        if isinstance(value, (list, tuple)) or hasattr(value, "shape"):
            raise BadType(names.op, names.labels, "one number for each text", place, "train one model for each number")
        try:
            number = math.nan if is_missing(value) else float(next(replaced) if isinstance(value, str) else value)
        except (TypeError, ValueError):
            raise BadValue(names.op, names.labels, "numbers", place) from None
        require(math.isfinite(number), names.op, names.labels, "finite numbers", place)
        found.append(number)
    return found, {}, [note] if note else []


_LABELS = {"classification": _one_each, "multilabel": _any_number, "regression": _numbers}


def _tagged(texts: Any, labels: Any, pairs: Any, names: Names) -> Given:
    op = names.op
    words = [_texts(names, f"{names.texts}[{row}]", each) for row, each in enumerate(list_of(op, names.texts, texts))]
    tags = [_texts(names, f"{names.labels}[{row}]", each) for row, each in enumerate(list_of(op, names.labels, labels))]
    require(pairs is None, op, "pairs", "None, because this task has single texts", "second texts")
    require(words, op, names.texts, "at least one text", "none")
    _check_length(op, names.labels, tags, len(words))
    known: dict[str, Any] = {}
    for row, (sentence, each) in enumerate(zip(words, tags)):
        expected, got = f"{amount(len(sentence), 'tag')}, one for each word", f"{len(each)} in {names.labels}[{row}]"
        require(len(sentence) == len(each), op, names.labels, expected, got)
        check_present(op, f"{names.labels}[{row}]", each)
        known |= {clean_text(tag): tag for tag in each if clean_text(tag) not in known}
    cleaned = [[*map(clean_text, each)] for each in tags]
    table = TaggedTable(words, cleaned, source=Elements(names.texts), lines=list(range(len(words))))
    rows = [{"words": a, "tags": b} for a, b in zip(words, tags)]
    return Given(table, rows, {name: tag for name, tag in known.items() if name != tag})
