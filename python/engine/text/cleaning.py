"""Cleaning one text: Unicode form, invisible characters, white space."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from engine.errors import BadType, BadValue

__all__ = ["NormalForm", "clean_label", "clean_text"]

NormalForm = Literal["NFC", "NFD", "NFKC", "NFKD"]

# Characters that are invisible and tell a classifier nothing: C0 and C1 controls other than white space, soft hyphen,
# zero-width space and word joiner, marks of writing direction, byte-order mark. The zero-width joiners U+200C and U+200D are
# kept: emoji and several scripts use them in spelling.
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
)
SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str, form: NormalForm | None = "NFC", *, collapse_whitespace: bool = True) -> str:
    """Rewrite a text in one canonical spelling.

    Lone surrogates become U+FFFD, invisible control and formatting characters are removed, the text is normalised
    (Unicode Standard Annex #15), and each run of white space becomes one space, with none at the ends.
    Cleaning a cleaned text changes nothing.

    Args:
        text: any string.
        form: 'NFC' (the default) keeps the appearance; 'NFKC' also replaces full-width letters, ligatures and circled digits
            by plain ones, and Chinese full-width punctuation by ASCII; 'NFD'; 'NFKD'; None: no normalisation.
        collapse_whitespace: False keeps white space as it is, line ends included.

    Raises:
        TypeError: if `text` is not a string.
        ValueError: if `form` is unknown.
    """
    if not isinstance(text, str):
        raise BadType("clean_text", "text", "a string", type(text).__name__)
    if form not in ("NFC", "NFD", "NFKC", "NFKD", None):  # no `require`: corpora call this for each text
        raise BadValue("clean_text", "form", "'NFC', 'NFD', 'NFKC', 'NFKD' or None", repr(form))
    if not text.isascii():
        text = SURROGATE.sub("\ufffd", text)
    text = INVISIBLE.sub("", text)
    if form is not None and not text.isascii():
        text = unicodedata.normalize(form, text)
    return " ".join(text.split()) if collapse_whitespace else text


def clean_label(label: str) -> str:
    """The name of a label: cleaned as texts are, but with the white space inside it."""
    return clean_text(label, collapse_whitespace=False).strip()
