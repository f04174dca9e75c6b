"""What reports share: the names of figures, what counts as a number, names that fit into a picture."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from typing import Any, TypeGuard

import numpy as np

__all__ = ["figure_name", "folded", "is_number", "shortened", "text_width", "visible", "visible_json"]

_NAMES = {
    "f1": "F1", "macro_f1": "macro F1", "micro_f1": "micro F1", "subset_accuracy": "all labels right",
    "mean_average_precision": "mean AP", "mcc": "MCC", "mse": "MSE", "rmse": "RMSE", "mae": "MAE", "r2": "R²",
    "pearson": "Pearson", "spearman": "Spearman", "ece": "ECE", "train_samples": "training samples",
    "held_out_samples": "held-out samples", "seconds": "time", "peak_resident_bytes": "peak memory",
    "peak_array_bytes": "of which arrays",
}  # fmt: skip


# Characters that a terminal takes for orders: C0 and C1 controls but tab and line feed, delete, and those that turn the direction of
# what follows. Halves of a pair of surrogates, as names of files may have them, cannot be printed at all.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with control characters spelled out (an escape as \\x1b), so that a terminal shows and does not obey them."""

    def spelled(found: re.Match[str]) -> str:
        number = ord(found[0])
        return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"

    return _CONTROL.sub(spelled, text)


def visible_json(text: str) -> str:
    """JSON without the control characters that JSON lets through, and that a terminal would obey."""
    return re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text)


def figure_name(key: str) -> str:
    """What people call the figure that a report keeps under a key."""
    return _NAMES.get(key, key.replace("_", " "))


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number of Python or NumPy; True and False are not."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def text_width(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese, Japanese, Korean characters and emoji take two, combining marks none."""
    return len(text) if text.isascii() else sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf") and character != "\xad":
        return 0  # also joiners and variation selectors, but a soft hyphen is seen
    if "\u1160" <= character <= "\u11ff":
        return 0  # a vowel or final consonant of Hangul, drawn into the syllable before it
    return 1 + (unicodedata.east_asian_width(character) in "WF")


def shortened(text: str, limit: int) -> str:
    """The text if it is at most `limit` columns wide; otherwise its beginning and its end, for names of classes differ in either."""
    if text_width(text) <= limit:
        return text

    def cut(keep: int) -> str:
        return text[: keep - keep // 3] + "…" + text[len(text) - keep // 3 :]

    return cut(bisect_right(range(len(text)), limit, key=lambda keep: text_width(cut(keep))) - 1) if limit else ""


def folded(text: str, limit: int | None, indent: str = "  ") -> list[str]:
    """The lines of a text, broken at spaces so that none has more than `limit` columns; None: they stay as they are.

    Each line keeps the spaces at its beginning, and what is broken off gets `indent` in addition. Words that are too long are broken,
    but paths, words with a slash, stay whole, so that they can be copied.
    """
    if limit is None:
        return text.split("\n")
    lines: list[str] = []
    for line in text.split("\n"):
        words = line.split(" ")
        begin = " " * next((i for i, word in enumerate(words) if word), 0)
        now, rest = begin, begin + indent
        for word in words[len(begin) :]:
            gap = " " if now not in (begin, rest) else ""
            if now.strip() and text_width(now + gap + word) > limit:
                lines.append(now.rstrip())
                now, gap = rest, ""
            while text_width(now + gap + word) > limit and "/" not in word and text_width(now) < limit - 1:
                fits = next(n for n in range(len(word), 0, -1) if n == 1 or text_width(now + gap + word[:n]) <= limit)
                lines.append(now + gap + word[:fits])
                now, gap, word = rest, "", word[fits:]
            now += gap + word
        lines.append(now.rstrip())
    return lines
