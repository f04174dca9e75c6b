"""JSON files: an object on each line (JSON Lines), or one array of objects."""

from __future__ import annotations

import json
import re
from typing import Any

from engine.entries import decode_row
from engine.text.files import TextFile, json_kind, numbered_lines
from engine.text.table_rows import JsonRows

__all__ = ["json_records", "read_json_rows"]

_SPACE = re.compile(r"\s*")


def read_json_rows(file: TextFile, text: str, skip_empty_lines: bool) -> JsonRows:
    """The rows of either kind of file. skip_empty_lines: False keeps the empty lines of JSON Lines as rows."""
    return JsonRows(file, json_records(file, text, skip_empty_lines))


def json_records(file: TextFile, text: str, skip_empty_lines: bool = True) -> list[tuple[int, dict[str, Any] | None]]:
    """The objects with the line in which each begins; None for an empty line. Errors name the line."""
    if re.match(r"\s*\[\s*[{\]]", text):
        return _array(file, text)
    if text.lstrip()[:1] == "{":
        _refuse_whole(file, text)
    rows = [(line, row) for line, row in numbered_lines(text) if row.strip() or not skip_empty_lines]
    return [(line, file.json_object(row, line) if row.strip() else None) for line, row in rows]


def _array(file: TextFile, text: str) -> list[tuple[int, dict[str, Any] | None]]:
    """The objects of an array, decoded one by one, so that the line of each is known."""
    records: list[tuple[int, dict[str, Any] | None]] = []
    at, line = text.index("[") + 1, 1 + text[: text.index("[")].count("\n")
    counted = text.index("[")
    while True:
        at = _after_space(text, at)
        line, counted = line + text.count("\n", counted, at), at
        if text[at : at + 1] == "]" and not records:
            raise file.wrong(line, "at least one object", "an empty array")
        try:
            value, at = decode_row(text, at)
        except ValueError as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise file.wrong(line, "a JSON object", f"invalid JSON ({reason})") from None
        if not isinstance(value, dict):
            raise file.wrong(line, "a JSON object", json_kind(value))
        records.append((line, value))
        at = _after_space(text, at)
        if text[at : at + 1] == "]":
            break
        line, counted = line + text.count("\n", counted, at), at
        if text[at : at + 1] != ",":
            raise file.wrong(
                line, "',' or ']' after a JSON object", repr(text[at : at + 20]) if text[at:] else "the end"
            )
        at += 1
    end = _after_space(text, at + 1)
    if text[end:]:
        raise file.wrong(
            line + text.count("\n", counted, end), "nothing after the JSON array", repr(text[end : end + 20])
        )
    return records


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _refuse_whole(file: TextFile, text: str) -> None:
    """Raises ValueError if the file is one object that holds all rows: which of its values are the rows is not known."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return  # JSON Lines
    columns = len(value) > 1 and not {"words", "tokens"} & value.keys()  # a tagged sentence is a row of lists
    columns = columns and all(isinstance(each, (dict, list)) and len(each) > 1 for each in value.values())
    inner = [key for key, each in value.items() if isinstance(each, list) and each and isinstance(each[0], dict)]
    if "\n" not in text.strip() and not inner and not (columns and len({*map(len, value.values())}) == 1):
        return  # a row
    got = (
        f"one object with the rows in {inner[0]!r}" if inner else "one object with a list or an object for each column"
    )
    got = got if inner or columns else "one object over several lines"
    hint = "pandas writes such files with to_json(orient='records', lines=True)"
    hint = f"save only the array that is in {inner[0]!r}" if inner else hint
    raise file.wrong(1, "an object on each line, or an array of objects", got, hint)
