"""Texts and labels from memory: lists, NumPy arrays, columns of pandas, polars, pyarrow and `datasets`, and tables of these.

Nothing of these libraries is imported: an object is asked for the methods that its kind has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import BadType, require
from engine.text.strings import checked_strings

__all__ = ["column_of", "is_missing", "list_of", "names_of_columns", "strings_of"]

_TO_LIST = ("to_list", "tolist", "to_pylist")  # pandas and polars; NumPy; pyarrow


def list_of(op: str, argument: str, values: Any) -> list[Any]:
    """The values of a list, an array (n,) or (n, 1), a column, or a table with one column, as Python's objects.

    Raises:
        TypeError: for one string, a table of several columns, a set, and for what holds no values.
    """
    one = isinstance(values, (str, bytes))
    require(not one, op, argument, "a list of values, one for each sample", "one string", error=BadType)
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        expected = "a list, or a single column"
        single, got = len(shape) == 2 and shape[1] == 1, f"shape {tuple(shape)}"
        hints = ["pass one column, such as table['text']"] * hasattr(values, "columns")
        require(single, op, argument, expected, got, *hints, error=BadType)
        values = values[values.columns[0]] if hasattr(values, "columns") else values.reshape(-1)
    several = isinstance(values, Mapping) or names_of_columns(values) is not None
    kind, hint = type(values).__name__, "name its columns, or pass one of them, such as table['text']"
    require(not several, op, argument, "one column", f"a table ({kind})", hint, error=BadType)
    ordered = not isinstance(values, (set, frozenset))
    require(ordered, op, argument, "a list", f"a {kind}, which has no order", "pass sorted(...) of it", error=BadType)
    for name in _TO_LIST:
        if hasattr(values, name):
            return list(getattr(values, name)())
    require(isinstance(values, Iterable), op, argument, "a list of values", type(values).__name__, error=BadType)
    return list(values)


def strings_of(op: str, argument: str, values: Any) -> list[str]:
    """As `list_of`, for texts. Raises TypeError for an element that is not a string, such as a missing value; it names its place."""
    return [*map(str, checked_strings(op, argument, list_of(op, argument, values)))]  # NumPy's strings become Python's


def column_of(op: str, argument: str, table: Any, name: str) -> Any:
    """The column `name` of a table: a pandas or polars DataFrame, a `datasets.Dataset`, a pyarrow Table, or a dict of columns. Numbers
    of a `datasets.ClassLabel` become their names.

    Raises:
        TypeError: if it is no table; ValueError: if it has no such column.
    """
    names = list(table) if isinstance(table, Mapping) else names_of_columns(table)
    require(names is not None, op, argument, "no name, because the texts are not a table", repr(name), error=BadType)
    there = [str(each) for each in names or ()]
    require(name in there, op, argument, f"one of the columns {', '.join(map(repr, there))}", repr(name))
    column = table[name]
    parts = isinstance(column, Mapping) or names_of_columns(column) is not None  # a DatasetDict
    require(
        not parts,
        op,
        argument,
        "columns of one table",
        f"several tables ({', '.join(there)})",
        "pass one of them",
        error=BadType,
    )
    features = getattr(table, "features", None)
    labels = getattr(features[name], "names", None) if isinstance(features, Mapping) and name in features else None
    if labels is None:
        return column
    return [number if number is None or number < 0 else labels[number] for number in column]


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or pandas' NA."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas' NA is neither equal to itself nor not; arrays are no missing values
        return not hasattr(value, "__len__")


def names_of_columns(table: Any) -> list[Any] | None:
    """The names of a table's columns; None if it is no table."""
    for name in ("column_names", "columns"):
        found = getattr(table, name, None)
        if found is not None and not callable(found):
            return list(found)
    return None
