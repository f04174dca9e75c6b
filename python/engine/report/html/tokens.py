"""Tokens as text that people read: the pieces of words are joined again, and each may have its colour."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from engine.report.html.svg import escape

__all__ = ["coloured", "readable"]

_MARKS = ("Ġ", "▁")  # what begins a word, in byte-level BPE and in SentencePiece
_SPECIAL = {"[CLS]", "[SEP]", "[PAD]", "[MASK]", "<s>", "</s>", "<pad>", "<mask>"}


def _pieces(tokens: Sequence[str]) -> list[tuple[str, str]]:
    """(the space before it or "", its text) of each token."""
    marked = any(t.startswith(_MARKS) for t in tokens)
    out: list[tuple[str, str]] = []
    for token in tokens:
        before = out[-1][1] if out else ""
        if token.startswith("##"):
            out.append(("", token[2:]))
        elif marked:
            begins = token.startswith(_MARKS) or token in _SPECIAL or before in _SPECIAL
            out.append((" " if begins and before else "", token.lstrip("".join(_MARKS))))
        else:
            close = not before or (_ideographic(before[-1]) and _ideographic(token[:1])) or token[:1] in set(".,;:!?)%")
            out.append(("" if close and token not in _SPECIAL else " ", token))
    return out


def _ideographic(c: str) -> bool:
    return bool(c) and unicodedata.east_asian_width(c) in "WF"


def readable(tokens: Sequence[str]) -> str:
    """The text of tokens, special ones included."""
    return "".join(before + text for before, text in _pieces(tokens)).strip()


def coloured(tokens: Sequence[str], weights: Sequence[float]) -> str:
    """HTML of the tokens: blue for positive and red for negative weights, stronger for larger ones."""
    values = np.asarray(weights, dtype=np.float64)
    largest = float(np.abs(values).max(initial=0)) or 1.0
    parts = []
    for (before, text), token, value in zip(_pieces(tokens), tokens, values):
        colour = "47,111,201" if value >= 0 else "210,59,59"
        kind = "token special" if token in _SPECIAL else "token"
        parts.append(
            f'{before}<span class="{kind}" style="background:rgba({colour},{0.75 * abs(value) / largest:.2f})" '
            f'title="{escape(token)}: {value:+.4f}">{escape(text)}</span>'
        )
    return "".join(parts).strip()
