"""Checks of lists of strings, which come from a caller."""

from __future__ import annotations

from collections.abc import Iterable

from engine.errors import BadType, BadValue
from engine.text.cleaning import SURROGATE

__all__ = ["checked_strings", "checked_texts"]


def checked_strings(op: str, argument: str, values: Iterable[str]) -> list[str]:
    """The strings as a list. Raises TypeError for one string, and for an element that is not a string."""
    if isinstance(values, (str, bytes)):
        raise BadType(op, argument, "a list of strings", "one string")
    checked = list(values)
    for row, value in enumerate(checked):
        if not isinstance(value, str):
            raise BadType(op, argument, "strings", f"{type(value).__name__} in row {row}")
    return checked


def checked_texts(op: str, argument: str, texts: Iterable[str]) -> list[str]:
    """The same of texts for a tokenizer. Also raises ValueError for a text that is not valid Unicode."""
    checked = checked_strings(op, argument, texts)
    for row, text in enumerate(checked):
        if not text.isascii() and SURROGATE.search(text):
            raise BadValue(
                op,
                argument,
                "valid Unicode",
                f"half of a surrogate pair in row {row}",
                "engine.text.clean_text replaces it",
            )
    return checked
