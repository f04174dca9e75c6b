"""Labels from the columns of a table: one a text, lists of them in any usual spelling, or columns of 0 and 1."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from engine.errors import Argument, BadValue, Hint
from engine.text.cleaning import clean_label, clean_text
from engine.text.label_problems import LEFT_OUT
from engine.text.table import TextTable
from engine.text.table_rows import Rows

__all__ = ["indicator_columns", "labels_in", "list_in", "refuse_combinations"]

_LIST = re.compile(r"\s*(\[.*\]|\{.*\}|\([^,]*,.*\)|\(\s*\)|((frozen)?set|array)\(.*\))\s*", re.DOTALL)
_CALLED = re.compile(r"(?:frozenset|array)\((.+?)(?:, dtype=\S+)?\)", re.DOTALL)
_NAMES = re.compile(r"""\s*[\[{(]([^\[\]{}()'":]*)[\]})]\s*""")  # names without quotes, such as [spam, work]
_CLOSING = {"[": "]", "{": "}", "(": ")", "'": "'", '"': '"'}
_NUMBERS = re.compile(r"\s*\[([\d.\s]*)\]\s*")  # as NumPy writes an array: no commas
_NO_COMMA = re.compile(r"""['"]\s+['"]""")
_ON, _OFF = frozenset({"1", "1.0", "true"}), frozenset({"0", "0.0", "false", ""})
_DIGITS = frozenset({"0", "1", "0.0", "1.0"})
_BARE_DIGITS = re.compile(r"\s*[01](?:(?:\s*[,;|]\s*|\s+)[01])+\s*")  # such as 0 1 0
_SEPARATORS = ("|", ",", ";")
_RARE_SEPARATORS = ("/", "+", "&", "#", "\t", "\n")  # that names may hold, too
_MOSTLY, _FEW = 0.5, 2

_SEVERAL: Hint = "the task 'multilabel' learns several labels a text; for several numbers, train one model for each"
_NONE: Hint = "the task 'multilabel' also takes texts without a label"


def labels_in(rows: Rows, columns: str | Sequence[str], separator: str | None, empty_labels: bool) -> list[str]:
    """The label of each row, cleaned as texts are, but with the white space inside. Several labels of a row are one string with the separator between them.

    Args:
        rows: the table.
        columns: the column of the labels; or several columns of 0 and 1, whose names are the labels.
        separator: between the labels of a text; None: a text has one label.
        empty_labels: whether a row may have no label.

    Raises:
        ValueError: for several labels if there is no separator; for a name that contains the separator; for an empty label; for a
            list that cannot be read. The error names the line.
    """
    hints = [] if isinstance(columns, str) else [("name another column of labels with ", Argument("label_column"))]
    found: list[str | list[str]]
    if isinstance(columns, str):
        found = _parsed(rows, rows.labels(columns), separator)
    else:
        found = [*_switched_on(rows, columns)]
    empty = [row for row, label in enumerate(found) if not label or (isinstance(label, str) and not clean_text(label))]
    if empty and not empty_labels:
        many = f" ({len(empty):,} rows have none)" if len(empty) > 1 else ""
        got = f"an empty field{many}" if isinstance(columns, str) else f"no 1 in {', '.join(columns)}{many}"
        ways = (LEFT_OUT, _NONE)
        raise rows.wrong(empty[0], "a label", got, *ways, *hints)
    labels = []
    for row, label in enumerate(found):
        names = label if isinstance(label, list) else [label]
        names = [*map(clean_label, names)]
        if separator is None and len(names) > 1:
            raise rows.wrong(row, "one label", f"the labels {', '.join(map(repr, names))}", _SEVERAL, *hints)
        for name in names if isinstance(label, list) and separator else ():
            if separator in name:  # type: ignore[operator]
                hint = ("pass another ", Argument("label_separator"))
                raise rows.wrong(row, f"labels without the separator {separator!r}", repr(name), hint)
        labels.append((separator or "").join(names))
    return labels


def indicator_columns(rows: Rows, taken: Iterable[str | None]) -> tuple[str, ...]:
    """The columns, apart from those that are taken, that hold only 0 and 1; () if there are fewer than two of them."""
    names = [name for name in rows.header if name not in set(taken) and rows.header.count(name) == 1]
    found = []
    for name in names:
        values = {"" if value is None else str(value).strip().casefold() for value in rows.as_they_are(name)}
        if values <= _ON | _OFF and values & _ON:
            found.append(name)
    return tuple(found) if len(found) > 1 else ()


def _switched_on(rows: Rows, columns: Sequence[str]) -> list[list[str]]:
    """The names of the columns that have a 1 in each row."""
    found: list[list[str]] = [[] for _ in rows.lines]
    for name in columns:
        for row, (names, value) in enumerate(zip(found, rows.values(name))):
            value = value.strip().casefold()
            if value in _ON:
                names.append(name)
            elif value not in _OFF:
                several = (
                    "several columns of labels hold 0 and 1: each is a label of the task 'multilabel'; for several numbers, train one "
                    "model for each column"
                )
                raise rows.wrong(row, f"0 or 1 in the column {name!r}", repr(value), several)
    return found


def _parsed(rows: Rows, labels: list[str | list[str]], separator: str | None) -> list[str | list[str]]:
    """The labels, with lists in place of strings that spell lists, and names in place of lists of 0 and 1."""
    given = [label for label in labels if label]
    if given and all(isinstance(label, str) and _BARE_DIGITS.fullmatch(label) for label in given):
        digits = [re.findall("[01]", str(label)) for label in labels]
        labels = [*digits] if len({len(each) for each in digits}) == 1 else labels
    if given and all(isinstance(label, str) and _LIST.fullmatch(label) for label in given):
        lists = [list_in(str(label)) if label else [] for label in labels]
        bare = [each if names is None else names for each, names in zip(map(_bare_names, labels), lists)]
        if None in lists and None not in bare and any(len(names or ()) > 1 for names in bare):
            lists = bare
            rows.notes.append(
                f"the labels of {rows.file.name} are read as lists of names without quotes, such as {given[0]!r}"
            )
        unread = [row for row, each in enumerate(lists) if each is None]
        if any(names for names in lists) or any(_value_of(str(labels[row])) is not None for row in unread):
            if unread:
                row = unread[0]
                numpy = ["NumPy writes lists without commas: write array.tolist()"] * bool(
                    _NO_COMMA.search(str(labels[row]))
                )
                raise rows.wrong(row, "a list such as ['a', 'b']", repr(labels[row]), *numpy)
            labels = [names or [] for names in lists]
    _refuse_cut_lists(rows, labels, separator)
    several = [label for label in labels if isinstance(label, list)]
    lengths = {len(names) for names in several}
    same = len(several) == len(labels) and len(lengths) == 1 and max(lengths, default=0) > 1
    if same and all(name in _DIGITS for names in several for name in names):
        rows.notes.append(
            f"the labels of {rows.file.name} are lists of {lengths.pop()} zeros and ones: the places of the ones, from 0, "
            "are taken as labels"
        )
        return [[str(place) for place, name in enumerate(names) if name in _ON] for names in several]
    return labels


def _bare_names(label: str | list[str]) -> list[str] | None:
    """The names of a list without quotes, such as [spam, work]; None if the label is none."""
    found = _NAMES.fullmatch(label) if isinstance(label, str) else None
    names = [] if found is None else [name.strip() for name in found[1].split(",")]
    if found is None or (len(names) > 1 and not all(names)):
        return [] if label == "" else None
    return [name for name in names if name]


def _refuse_cut_lists(rows: Rows, labels: list[str | list[str]], separator: str | None) -> None:
    """Raises ValueError for a list in a string beside other labels, and for one that the separator would cut into pieces."""
    for row, label in enumerate(labels):
        if not isinstance(label, str) or not label or (label[0] not in _CLOSING and "set(" not in label[:10]):
            continue
        listed = list_in(label) if _LIST.fullmatch(label) else None
        parts = [part.strip() for part in label.split(separator)] if separator else [label]
        opened, closed = parts[0][:1], _CLOSING.get(parts[0][:1], ")")
        cut = len(parts) > 1 and parts[-1].endswith(closed) and parts[0].count(opened) != parts[0].count(closed)
        cut = cut or (
            len(parts) > 1 and opened == closed and parts[0].count(opened) % 2 == 1 and parts[-1].endswith(closed)
        )
        if cut or len(listed or ()) > (0 if separator else 1):
            expected = "a list such as ['a', 'b'] in each row, or names with a separator in each row"
            raise rows.wrong(row, expected, repr(label), *([] if separator else [_SEVERAL]))


def list_in(text: str) -> list[str] | None:
    """The strings and numbers of a list or set in Python, JSON or NumPy spelling; truth values are 0 and 1; None if the text is none."""
    called = _CALLED.fullmatch(text.strip())
    text = called[1] if called else "[]" if text.strip() == "frozenset()" else text
    numbers = _NUMBERS.fullmatch(text)
    if numbers is not None:
        return [number.rstrip(".") for number in numbers[1].split()]
    value = _value_of(text)
    if not isinstance(value, (list, tuple, set)):
        return None
    names = sorted(value, key=str) if isinstance(value, set) else list(value)
    if all(isinstance(name, bool) for name in names):
        return [str(int(name)) for name in names]
    right = all(isinstance(name, (str, int, float)) and not isinstance(name, bool) for name in names)
    return [str(name) for name in names] if right else None


def _value_of(text: str) -> Any:
    """The value that a text spells in JSON or Python; None if it spells none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return None if _NO_COMMA.search(text) else ast.literal_eval(text.strip())  # Python would join 'a' 'b'
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def refuse_combinations(op: str, tables: Sequence[TextTable], separator: str = "") -> None:
    """Raises ValueError if labels are several labels with a mark between them, such as 'a,b': each combination would be a class.

    Args:
        op: for the error.
        tables: the tables with the labels, to name a line.
        separator: that between the labels of a text, which is in no name; '': a text has one label.
    """
    rows = [(table, row, label) for table in tables for row, label in enumerate(table.labels or ())]
    counts = Counter(name for _, _, label in rows for name in _names(label, separator))
    used = bool(separator) and any(separator in label for _, _, label in rows)
    for mark in (*_SEPARATORS, *_RARE_SEPARATORS):
        made = [] if mark == separator else _made(counts, mark, used)
        if not made:
            continue
        place = next(table.where(row) for table, row, label in rows if made[0] in _names(label, separator))
        if separator:
            hint: Hint = (f"name what is between them: {mark!r}, with ", Argument("label_separator"))
            raise BadValue(
                op,
                "labels",
                f"names without {mark!r}, which seems to be between labels",
                f"{made[0]!r} in {place}",
                hint,
            )
        expected = f"one label a text, not several with {mark!r} between them"
        keep = ("if that is one name, set ", Argument("label_separator"), " to ''")
        raise BadValue(op, "labels", expected, f"{made[0]!r} in {place}", _SEVERAL, keep)


def _made(counts: Counter[str], mark: str, used: bool) -> list[str]:
    """The names, sorted, that are probably several labels with this mark between them.

    They are if each of their parts is in another name, too. If nothing shows how labels are separated, they also are if the mark
    is '|', or if most of them occur only once, because names of classes repeat. With a mark that is often in names of classes, each
    part must be a name.

    counts: how often each name occurs. used: whether texts have several labels with another separator.
    """
    several = {name: {part.strip() for part in name.split(mark)} for name in sorted(counts) if mark in name}
    if mark in _RARE_SEPARATORS:
        return [] if used else [name for name, parts in several.items() if parts <= counts.keys() - {name}]
    if not used and (mark == "|" or len(several) > max(_FEW, _MOSTLY * sum(counts[name] for name in several))):
        return [*several]
    seen = Counter(part for parts in several.values() for part in parts)
    seen.update(name for name in counts if name not in several)
    return [name for name, parts in several.items() if all(seen[part] > 1 for part in parts)]


def _names(label: str, separator: str) -> list[str]:
    return [name.strip() for name in label.split(separator)] if separator else [label]
