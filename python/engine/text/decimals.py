"""Numbers that are written with a decimal comma, as spreadsheets write them in much of Europe."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.text.label_problems import missing_names

__all__ = ["decimal_points"]

_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2},\d{3}\s*")  # 1,500 may be 1500 or 1.5
_POINTS = re.compile(r"\s*[+-]?[1-9]\d{0,2}(\.\d{3})\s*")  # 1.500 may be 1.5 or 1500
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")


def decimal_points(labels: Sequence[str]) -> tuple[list[str], str | None]:
    """Labels with points in place of decimal commas, and a sentence that says so; as they are if there is no doubt that they have none.
    A sentence also says how points are read that may be those of thousands.

    Commas are decimal if no label has a point, and at least one comma cannot be that of thousands: '3,5', but not '1,500'.
    """
    missing = missing_names(labels)
    numbers = [label for label in labels if label not in missing]
    points = [label for label in numbers if _POINTS.fullmatch(label)]
    if len(points) > 1 and all(_POINTS.fullmatch(label) or _WHOLE.fullmatch(label) for label in numbers):
        number = points[0].strip()
        return list(
            labels
        ), f"numbers such as {number!r} are read with a decimal point, not as {number.replace('.', '')!r}"
    with_comma = [label for label in labels if "," in label]
    decimal = all(_COMMA.fullmatch(label) for label in with_comma)
    rest = all("," in label or _WHOLE.fullmatch(label) for label in numbers)
    sure = [label for label in with_comma if not _THOUSANDS.fullmatch(label)]
    if not (decimal and rest and sure):
        return list(labels), None
    note = (
        f"numbers such as {sure[0].strip()!r} are read with a decimal comma, as {sure[0].strip().replace(',', '.')!r}"
    )
    return [label.replace(",", ".") for label in labels], note
