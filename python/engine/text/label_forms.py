"""Labels of texts from memory, in the forms that people have them: one a text, lists or sets of several, or columns of 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from engine.errors import BadType, BadValue, require
from engine.text.lists import is_missing, list_of, names_of_columns

__all__ = ["LabelSets", "check_present", "label_sets", "own", "several_columns"]

_LISTS = (list, tuple, np.ndarray)


class LabelSets(NamedTuple):
    """The labels of texts that may have several.

    sets: the labels of each text, as the caller calls them; a string is one field, as a file has it. columns: the labels by
    column, if they were columns of 0 and 1; None: they were not. guess: a sentence if that was guessed.
    """

    sets: list[list[Any] | str]
    columns: list[Any] | None = None
    guess: str | None = None


def own(value: Any) -> Any:
    """A caller's label as Python's object: NumPy's numbers and strings become Python's."""
    return value.item() if isinstance(value, np.generic) else value


def check_present(op: str, argument: str, values: list[Any]) -> None:
    """Raises ValueError, which names the place, for a missing label: None, NaN, or a string that is empty."""
    for row, value in enumerate(values):
        if is_missing(value) or (isinstance(value, str) and not value.strip()):
            raise BadValue(op, argument, "a label for each text", f"{value!r} in {argument}[{row}]")


def several_columns(values: Any) -> bool:
    """Whether values are a matrix or a table with several columns."""
    shape = getattr(values, "shape", None)
    names = names_of_columns(values)
    by_shape = shape is not None and len(shape) == 2 and shape[1] != 1
    return by_shape or isinstance(values, Mapping) or (names is not None and len(names) > 1)


def label_sets(op: str, argument: str, values: Any) -> LabelSets:
    """The labels of texts that may have several.

    Args:
        op, argument: for errors.
        values: for each of n texts a list, a tuple, a set or an array of labels; or columns of 0 and 1, which are the labels: an array or
            a sparse matrix (n, k), lists of k numbers 0 and 1, or a table, whose columns have names.

    Raises:
        ValueError: for a missing label, and for a number in a column that is neither 0 nor 1; TypeError: for one string.
    """
    if several_columns(values):
        names = list(values) if isinstance(values, Mapping) else names_of_columns(values)
        if names is not None:
            columns = [list_of(op, f"{argument}[{name!r}]", values[name]) for name in names]
            even = len({len(column) for column in columns}) == 1
            require(even, op, argument, "columns of the same length", [len(column) for column in columns])
            return _by_columns(op, argument, [list(row) for row in zip(*columns)], names)
        matrix = np.asarray(values.toarray() if hasattr(values, "toarray") else values)
        require(matrix.ndim == 2, op, argument, "labels for each text", f"shape {tuple(matrix.shape)}")
        if matrix.dtype.kind in "biuf":
            return _by_columns(op, argument, matrix.tolist(), list(range(matrix.shape[1])))
        values = list(matrix)
    rows = [own(each) for each in list_of(op, argument, values)]
    for row, each in enumerate(rows):
        if is_missing(each):
            hint = "a text without a label has an empty list"
            raise BadValue(op, argument, "the labels of each text", f"{each!r} in {argument}[{row}]", hint)
    sizes = {len(each) if isinstance(each, _LISTS) else 0 for each in rows}
    if len(sizes) == 1 and max(sizes) > 1 and all(_is_digit(value) for each in rows for value in each):
        k = sizes.pop()
        guess = f"{argument} are lists of {k} zeros and ones: the places of the ones, from 0, are taken as labels"
        return _by_columns(op, argument, [list(each) for each in rows], list(range(k)))._replace(guess=guess)
    sets: list[list[Any] | str] = []
    for row, each in enumerate(rows):
        if isinstance(each, Mapping):
            raise BadType(op, argument, "lists of labels", f"{each!r} in {argument}[{row}]")
        if isinstance(each, (set, frozenset)):
            each = sorted(each, key=str)  # so that each run sees the same order
        several = [own(value) for value in each] if isinstance(each, _LISTS) else each
        found = several if isinstance(several, (list, str)) else [several]
        if not isinstance(found, str):
            check_present(op, f"{argument}[{row}]", found)
        sets.append(found)
    return LabelSets(sets)


def _is_digit(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.generic)) and not isinstance(value, str) and value in (0, 1)


def _by_columns(op: str, argument: str, rows: list[list[Any]], names: list[Any]) -> LabelSets:
    for row, values in enumerate(rows):
        for name, value in zip(names, values):
            if not _is_digit(own(value)):
                got = f"{value!r} in {argument}[{row}]"
                raise BadValue(op, argument, f"0 or 1 in the column {name!r}", got)
    return LabelSets([[name for name, value in zip(names, values) if value] for values in rows], names)
