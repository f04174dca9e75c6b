"""What reports share: the names of figures, what counts as a number, names that fit into a picture."""

from __future__ import annotations

import re
from typing import Any, TypeGuard

import numpy as np

__all__ = ["figure_name", "is_number", "shortened", "text_width", "visible", "visible_json"]

_NAMES = {
    "f1": "F1", "macro_f1": "macro F1", "micro_f1": "micro F1", "subset_accuracy": "all labels right",
    "mean_average_precision": "mean AP", "mcc": "MCC", "mse": "MSE", "rmse": "RMSE", "mae": "MAE", "r2": "R²",
    "pearson": "Pearson", "spearman": "Spearman", "ece": "ECE", "train_samples": "training samples",
    "held_out_samples": "held-out samples", "seconds": "time", "peak_resident_bytes": "peak memory",
    "peak_array_bytes": "of which arrays",
}  # fmt: skip


# Characters that a terminal takes for orders: C0 and C1 controls but tab and line feed, and delete.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def visible(text: str) -> str:
    """The text with control characters spelled out (an escape as \\x1b), so that a terminal shows and does not obey them."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


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
    """Width in letters: characters from U+1100 on (Chinese, Japanese, Korean) are about two wide."""
    return sum(1 + (ord(c) >= 0x1100) for c in text)


def shortened(text: str, limit: int) -> str:
    """The text if it is at most `limit` letters wide; otherwise its beginning and its end, for names of classes differ in either."""
    shown, keep = text, min(len(text), limit)
    while text_width(shown) > limit:
        keep -= 1
        shown = text[: keep - keep // 3] + "…" + text[len(text) - keep // 3 :]
    return shown
