"""What the parts of a run's data have to do with each other: equal texts in two parts or with two labels, classes that a part lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.text import clean_text

__all__ = ["PART_WORDS", "part_remarks"]

PART_WORDS = {"train": "training texts", "held_out": "held-out texts", "test": "test texts"}
_SHOWN = 5


def part_remarks(tables: Mapping[str, Any], task: Any) -> list[str]:
    """What a user should know of the parts ("train", "held_out", "test") side by side, a sentence each.

    Texts are equal as `find_problems` has it, by `clean_text(text, "NFKC")`; empty ones are left out."""
    texts = {name: [clean_text(text, "NFKC") for text in task.texts(table)] for name, table in tables.items()}
    said = _conflicts(texts["train"], tables["train"], task)
    known: dict[str, str] = {}  # a text of an earlier part -> that part
    for name, each in texts.items():
        for other in dict.fromkeys(known.values()):
            rows = [row for row, text in enumerate(each) if known.get(text) == other]
            if rows:
                cleans = other == "train" and "clean" not in task.unused
                hint = '; --clean leak (clean=["leak"]) takes them out of the training' if cleans else ""
                said.append(
                    f"{len(rows):,} of {len(each):,} {PART_WORDS[name]} are also {PART_WORDS[other]}, so the figures may be too good; the "
                    f"first is in {tables[name].where(rows[0])}{hint}"
                )
        for text in filter(None, each):
            known.setdefault(text, name)
    for name in [name for name in tables if name != "train" and task.stratified]:
        said += _missing(tables["train"], tables[name], PART_WORDS[name], task)
    return said


def _conflicts(texts: list[str], table: Any, task: Any) -> list[str]:
    """A sentence if equal training texts have different labels."""
    targets = task.targets(table)
    if len(targets) != len(texts):  # a text has a label for each of its words
        return []
    first: dict[str, int] = {}
    found: dict[str, tuple[int, int]] = {}  # the first two rows that differ, by text
    for row, text in enumerate(texts):
        earlier = first.setdefault(text, row)
        if text and not np.array_equal(targets[row], targets[earlier]):
            found.setdefault(text, (earlier, row))
    if not found:
        return []
    one, two = next(iter(found.values()))
    return [
        f"{len(found):,} training {'text has' if len(found) == 1 else 'texts have'} different labels in different rows; the first is in "
        f'{table.where(one)} and {table.where(two)}; --clean label_conflict (clean=["label_conflict"]) takes them out'
    ]


def _missing(train: Any, table: Any, words: str, task: Any) -> list[str]:
    """A sentence if a class of the training texts has no text in another part."""
    there = set(task.targets(table).tolist())
    names = [task.labels.names[number] for number in np.unique(task.targets(train)).tolist() if number not in there]
    if not names:
        return []
    shown = ", ".join(map(repr, names[:_SHOWN])) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
    classes = "one class has" if len(names) == 1 else f"{len(names):,} classes have"
    return [f"{classes} no {words}, so the figures say nothing of them: {shown}"]
