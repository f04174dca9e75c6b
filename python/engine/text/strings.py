"""Checks of lists of strings that come from a caller."""

from __future__ import annotations

from collections.abc import Iterable

from engine.errors import BadType, BadValue, require
from engine.text.cleaning import SURROGATE

__all__ = ["checked_strings", "checked_texts"]


def checked_strings(op: str, argument: str, values: Iterable[str]) -> list[str]:
    """The strings as a list. Raises TypeError for one string, and for an element that is not a string."""
    require(not isinstance(values, (str, bytes)), op, argument, "a list of strings", "one string", error=BadType)
    checked = list(values)
    for row, value in enumerate(checked):
        if not isinstance(value, str):
            raise BadType(op, argument, "strings", f"{value!r} ({type(value).__name__}) in {argument}[{row}]")
    return checked


def checked_texts(op: str, argument: str, texts: Iterable[str]) -> list[str]:
    """The same for the texts of a tokenizer. Also raises ValueError for a text that is not valid Unicode."""
    checked = checked_strings(op, argument, texts)
    for row, text in enumerate(checked):
        if not text.isascii() and SURROGATE.search(text):
            got = f"half of a surrogate pair in {argument}[{row}]"
            raise BadValue(op, argument, "valid Unicode", got, "engine.text.clean_text replaces it")
    return checked
